"""Faults any kernel can have: parts not computed, upstream ignored, accumulators, signs, batch means."""

from __future__ import annotations

import numpy as np

from conformance.cases.case import Case
from conformance.faults.catalogue import SUMMED, of_samples, outputs_of, slip, without
from conformance.faults.core import Array, Arrays, Base, Outputs
from conformance.faults.rows import after, data, instead, scaled
from conformance.operations import OPERATIONS

#: Outputs that are one for the whole batch.
SHARED = ("dW", "db", "dgamma", "dbeta", "dslopes", "running_mean", "running_var")
_NEGATIVE = without(outputs_of(), "softmax", "create_mask_from_window")
_UPSTREAM = {op.name: " ".join(op.outputs) for op in OPERATIONS.values() if op.upstream}


def _of_parameter(name: str) -> dict[str, str]:
    """The outputs, but those that are one for the whole batch, of the operations with such a parameter."""
    return {
        op.name: " ".join(o for o in op.outputs if o not in SHARED)
        for op in OPERATIONS.values()
        if name in op.parameters
    }


_BATCH = {op: names for op, names in _of_parameter("m").items() if names != "loss"}
_IMAGE = without(_of_parameter("c"), "arr2col", "conv_single_step", "global_average_pool_forward")
_FILLS = (0.0, float("nan"))


def _upstream(case: Case) -> str:
    return str(case.operation.upstream)


data("upstream-ignored", "The upstream gradient is taken to be all ones.", _UPSTREAM,
     lambda case, a: {_upstream(case): np.ones_like(a[_upstream(case)])})  # fmt: skip
scaled(
    "input-gradient-divided-by-m",
    "The gradient of the input is divided by the batch size.",
    {op: " ".join(o for o in v.split() if o not in SHARED) for op, v in _UPSTREAM.items()},
    over=lambda case, a: max(case["m"], 1),
)
scaled("sign-flipped", "The sign is wrong.", _NEGATIVE, by=-1.0)
scaled("added-twice", "The result is added twice: it is twice as large.", outputs_of(), by=2.0)
after(
    "nothing-written",
    "The output is never written: all zeros, or all NaN from the memory it was given.",
    outputs_of(),
    lambda case, value, fill: np.full(value.shape, fill),
    variants=tuple({"fill": fill} for fill in _FILLS),
)
after(
    "accumulator-kept-between-samples",
    "The sum is not cleared between samples: each result also holds those before it.",
    _BATCH,
    lambda case, value: np.cumsum(value, 0),
)
after(
    "accumulator-kept-between-channels",
    "The sum is not cleared between output channels: each result also holds those before it.",
    {"conv_forward": "Z", "affine_forward": "Z", "conv_backward": "dA_prev", "affine_backward": "dA_prev"},
    lambda case, value: np.cumsum(value, -1),
)
after(
    "accumulator-not-cleared",
    "The result is added to memory that held ones, not zeros.",
    {op: " ".join(v for v in (_BATCH.get(op), SUMMED.get(op)) if v) for op in _BATCH},
    lambda case, value: value + 1.0,
)


@slip(
    "accumulator-kept-between-calls",
    "The sum is not cleared between calls: called again, it adds the right result to the last.",
    outputs_of(),
)
@slip(
    "dtype-not-kept",
    "The numbers are right, but the result has not the dtype of the input.",
    outputs_of(),
)
@slip(
    "shape-flattened",
    "The numbers are right and in order, but axes of the result are merged, missing or too many.",
    outputs_of(),
)
@slip(
    "input-modified",
    "A function changes one of its inputs in place: the array is the caller's, and may be in a cache.",
    outputs_of(),
)
def _seen_by_experiment(case: Case, a: Arrays, base: Base) -> Outputs:
    """These leave no trace in the numbers of one result; `faults.diagnose` finds them otherwise."""
    return {}


after(
    "first-sample-repeated",
    "The sample's index is not used: every sample has the result of the first.",
    _BATCH,
    lambda case, value: np.broadcast_to(value[:1], value.shape) if case["m"] else value,
)


def _cut(value: Array, axis: int, last: int, fill: float) -> Array:
    """The last entries along an axis not written; as it is where there is no such axis."""
    if value.ndim <= abs(axis) - (axis < 0):
        return value
    kept = np.moveaxis(np.array(value), axis, 0)
    kept[max(len(kept) - last, 0) :] = fill
    return np.moveaxis(kept, 0, axis)


@slip(
    "last-sample-missing",
    "The last sample is left out: not written, or not in the sum.",
    {op: " ".join(v for v in (_BATCH.get(op), SUMMED.get(op)) if v) for op in _BATCH},
    variants=tuple({"fill": fill} for fill in _FILLS),
)
def _last_sample_missing(case: Case, a: Arrays, base: Base, fill: float) -> Outputs:
    out = {name: v if name in SHARED else _cut(v, 0, 1, fill) for name, v in base(case, a).items()}
    if case.op in SUMMED and case["m"]:
        rest = of_samples(case, a, base, slice(0, case["m"] - 1))
        out |= {name: rest[name] for name in SUMMED[case.op].split()}
    return out


for _name, _axis in (("row", -3), ("column", -2)):
    after(
        f"last-{_name}-missing",
        f"The last {_name} of the output is not written.",
        _IMAGE,
        lambda case, value, fill, axis=_axis: _cut(value, axis, 1, fill),
        variants=tuple({"fill": fill} for fill in _FILLS),
    )


def _without_channels(case: Case, value: Array, block: int, fill: float) -> Array:
    last = 1 if block == 1 else value.shape[-1] % block if value.ndim else 0
    return _cut(value, -1, last, fill)


after(
    "last-channels-missing",
    "The last channel, or the channels after the last full block of 4, 8 or 16, are not written.",
    without(_BATCH, "arr2col"),
    _without_channels,
    variants=tuple({"block": block, "fill": fill} for block in (1, 4, 8, 16) for fill in _FILLS),
)


def _not_visited(id: str, text: str, targets: dict[str, str], axis: int) -> None:
    """A slip that leaves the last of the upstream gradient along an axis unread."""
    data(id, text, targets, lambda case, a: {_upstream(case): _cut(a[_upstream(case)], axis, 1, 0.0)})


_WINDOWS = {"conv_backward": "dA_prev dW db", "pool_backward": "dA_prev"}
_not_visited(
    "last-output-row-not-visited", "The last row of the upstream gradient is not visited.", _WINDOWS, 1
)
_not_visited(
    "last-output-column-not-visited", "The last column of the upstream gradient is not visited.", _WINDOWS, 2
)
_not_visited(
    "last-filter-not-visited",
    "The last output channel is not visited.",
    dict.fromkeys(("conv_backward", "affine_backward", "affine_activation_backward"), "dA_prev"),
    -1,
)
data(
    "last-input-channel-not-summed",
    "The last input channel is left out of the sum.",
    {
        "conv_single_step": "Z",
        "conv_forward": "Z",
        "affine_forward": "Z",
        "affine_activation_forward": "A",
    },
    lambda case, a: {case.operation.arrays[0]: _cut(a[case.operation.arrays[0]], -1, 1, 0.0)},
)
instead(
    "upstream-passed-through",
    "The upstream gradient itself is returned.",
    without(
        {op: v.split()[0] for op, v in _UPSTREAM.items()},
        "conv_backward",
        "conv_transpose_backward",
        "relu_backward",
        "pad3d_backward",
    ),
    lambda case, a: a[_upstream(case)],
)
