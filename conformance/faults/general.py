"""Faults any kernel can have: parts not computed, upstream ignored, accumulators, signs, batch means."""

from __future__ import annotations

import numpy as np

from conformance.cases.case import Case
from conformance.faults.catalogue import SUMMED, of_samples, outputs_of, slip, without
from conformance.faults.core import Arrays, Base, Outputs
from conformance.operations import OPERATIONS

#: Outputs that are one for the whole batch.
SHARED = ("dW", "db", "dgamma", "dbeta", "running_mean", "running_var")
_NEGATIVE = without(outputs_of(), "softmax", "create_mask_from_window")
_UPSTREAM = {op.name: " ".join(op.outputs) for op in OPERATIONS.values() if op.upstream}


def _of_parameter(name: str) -> dict[str, str]:
    """The outputs, but those that are one for the whole batch, of the operations with such a parameter."""
    return {
        op.name: " ".join(o for o in op.outputs if o not in SHARED)
        for op in OPERATIONS.values()
        if name in op.parameters
    }


_BATCH = without(_of_parameter("m"), "cross_entropy_cost")
_IMAGE = without(_of_parameter("c"), "arr2col", "conv_single_step", "global_average_pool_forward")
_FILLS = (0.0, float("nan"))


@slip("upstream-ignored", "The upstream gradient is taken to be all ones.", _UPSTREAM)
def _upstream_ignored(case: Case, a: Arrays, base: Base) -> Outputs:
    name = str(case.operation.upstream)
    return base(case, {**a, name: np.ones_like(a[name])})


@slip(
    "input-gradient-divided-by-m",
    "The gradient of the input is divided by the batch size.",
    {op: " ".join(o for o in v.split() if o not in SHARED) for op, v in _UPSTREAM.items()},
)
def _input_gradient_divided_by_m(case: Case, a: Arrays, base: Base) -> Outputs:
    return {name: v / max(case["m"], 1) for name, v in base(case, a).items() if name not in SHARED}


@slip("sign-flipped", "The sign is wrong.", _NEGATIVE)
def _sign_flipped(case: Case, a: Arrays, base: Base) -> Outputs:
    return {name: -v for name, v in base(case, a).items()}


@slip("added-twice", "The result is added twice: it is twice as large.", outputs_of())
def _added_twice(case: Case, a: Arrays, base: Base) -> Outputs:
    return {name: 2.0 * v for name, v in base(case, a).items()}


@slip(
    "nothing-written",
    "The output is never written: all zeros, or all NaN from the memory it was given.",
    outputs_of(),
    variants=tuple({"fill": fill} for fill in _FILLS),
)
def _nothing_written(case: Case, a: Arrays, base: Base, fill: float) -> Outputs:
    return {name: np.full(v.shape, fill) for name, v in base(case, a).items()}


@slip(
    "accumulator-kept-between-samples",
    "The sum is not cleared between samples: each result also holds those before it.",
    _BATCH,
)
def _accumulator_kept_between_samples(case: Case, a: Arrays, base: Base) -> Outputs:
    return {name: np.cumsum(v, 0) for name, v in base(case, a).items() if name not in SHARED}


@slip(
    "accumulator-kept-between-channels",
    "The sum is not cleared between output channels: each result also holds those before it.",
    {"conv_forward": "Z", "affine_forward": "Z", "conv_backward": "dA_prev", "affine_backward": "dA_prev"},
)
def _accumulator_kept_between_channels(case: Case, a: Arrays, base: Base) -> Outputs:
    return {name: np.cumsum(v, -1) for name, v in base(case, a).items() if name not in SHARED}


@slip(
    "accumulator-not-cleared",
    "The result is added to memory that held ones, not zeros.",
    _BATCH | {op: f"dA_prev {v}" for op, v in SUMMED.items()},
)
def _accumulator_not_cleared(case: Case, a: Arrays, base: Base) -> Outputs:
    return {name: v + 1.0 for name, v in base(case, a).items()}


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
    "input-modified",
    "The output is right, but the function changed one of its inputs in place.",
    outputs_of(),
)
def _seen_by_experiment(case: Case, a: Arrays, base: Base) -> Outputs:
    """These leave no trace in the numbers of one result; `faults.diagnose` finds them otherwise."""
    return {}


@slip(
    "first-sample-repeated",
    "The sample's index is not used: every sample has the result of the first.",
    _BATCH,
)
def _first_sample_repeated(case: Case, a: Arrays, base: Base) -> Outputs:
    if not case["m"]:
        return {}
    return {name: np.broadcast_to(v[:1], v.shape) for name, v in base(case, a).items() if name not in SHARED}


def _cut(case: Case, a: Arrays, base: Base, axis: int, last: int, fill: float) -> Outputs:
    """The last entries along an axis not written."""
    out = {}
    for name, value in base(case, a).items():
        if name in SHARED or value.ndim <= abs(axis) - (axis < 0):
            continue
        kept = np.moveaxis(np.array(value), axis, 0)
        kept[max(len(kept) - last, 0) :] = fill
        out[name] = np.moveaxis(kept, 0, axis)
    return out


@slip(
    "last-sample-missing",
    "The last sample is left out: not written, or not in the sum.",
    {op: " ".join(v for v in (_BATCH.get(op), SUMMED.get(op)) if v) for op in _BATCH},
    variants=tuple({"fill": fill} for fill in _FILLS),
)
def _last_sample_missing(case: Case, a: Arrays, base: Base, fill: float) -> Outputs:
    out = _cut(case, a, base, 0, 1, fill)
    if "dW" in case.operation.outputs and case["m"]:
        rest = of_samples(case, a, base, slice(0, case["m"] - 1))
        out |= {name: rest[name] for name in ("dW", "db")}
    return out


@slip(
    "last-row-missing",
    "The last row of the output is not written.",
    _IMAGE,
    variants=tuple({"fill": fill} for fill in _FILLS),
)
def _last_row_missing(case: Case, a: Arrays, base: Base, fill: float) -> Outputs:
    return _cut(case, a, base, -3, 1, fill)


@slip(
    "last-column-missing",
    "The last column of the output is not written.",
    _IMAGE,
    variants=tuple({"fill": fill} for fill in _FILLS),
)
def _last_column_missing(case: Case, a: Arrays, base: Base, fill: float) -> Outputs:
    return _cut(case, a, base, -2, 1, fill)


@slip(
    "last-channels-missing",
    "The last channel, or the channels after the last full block of 4, 8 or 16, are not written.",
    without(_BATCH, "arr2col"),
    variants=tuple({"block": block, "fill": fill} for block in (1, 4, 8, 16) for fill in _FILLS),
)
def _last_channels_missing(case: Case, a: Arrays, base: Base, block: int, fill: float) -> Outputs:
    out: Outputs = {}
    for name, value in base(case, a).items():
        last = 1 if block == 1 else value.shape[-1] % block if value.ndim else 0
        out |= {k: v for k, v in _cut(case, a, base, -1, last, fill).items() if k == name}
    return out


@slip(
    "last-output-row-not-visited",
    "The last row of the upstream gradient is not visited.",
    {"conv_backward": "dA_prev dW db", "pool_backward": "dA_prev"},
)
def _last_output_row_not_visited(case: Case, a: Arrays, base: Base) -> Outputs:
    return _without_last(case, a, base, 1)


@slip(
    "last-output-column-not-visited",
    "The last column of the upstream gradient is not visited.",
    {"conv_backward": "dA_prev dW db", "pool_backward": "dA_prev"},
)
def _last_output_column_not_visited(case: Case, a: Arrays, base: Base) -> Outputs:
    return _without_last(case, a, base, 2)


@slip(
    "last-filter-not-visited",
    "The last output channel is not visited.",
    {
        "conv_backward": "dA_prev",
        "affine_backward": "dA_prev",
        "affine_activation_backward": "dA_prev",
    },
)
def _last_filter_not_visited(case: Case, a: Arrays, base: Base) -> Outputs:
    return _without_last(case, a, base, -1)


def _without_last(case: Case, a: Arrays, base: Base, axis: int) -> Outputs:
    name = str(case.operation.upstream)
    upstream = np.moveaxis(np.array(a[name]), axis, 0)
    upstream[-1:] = 0.0
    return base(case, {**a, name: np.moveaxis(upstream, 0, axis)})


@slip(
    "last-input-channel-not-summed",
    "The last input channel is left out of the sum.",
    {
        "conv_single_step": "Z",
        "conv_forward": "Z",
        "affine_forward": "Z",
        "affine_activation_forward": "A",
    },
)
def _last_input_channel_not_summed(case: Case, a: Arrays, base: Base) -> Outputs:
    name = case.operation.arrays[0]
    kept = np.array(a[name])
    kept[..., -1:] = 0.0
    return base(case, {**a, name: kept})


@slip(
    "upstream-passed-through",
    "The upstream gradient itself is returned.",
    without(
        {op: v.split()[0] for op, v in _UPSTREAM.items()},
        "conv_backward",
        "conv_transpose_backward",
        "relu_backward",
        "pad3d_backward",
    ),
)
def _upstream_passed_through(case: Case, a: Arrays, base: Base) -> Outputs:
    upstream = a[str(case.operation.upstream)]
    first = case.operation.outputs[0]
    return {first: upstream}
