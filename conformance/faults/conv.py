"""Faults of the convolution: bias, orientation and layout of the filter, stride and place of the window."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from conformance.cases.case import Case
from conformance.cases.patches import scatter
from conformance.cases.window import Window, window_of
from conformance.faults.catalogue import slip, without
from conformance.faults.core import Array, Arrays, Base, Outputs
from conformance.faults.rows import after, data, option
from conformance.operations.conv import blocks, whole_filters

_TRANSPOSE = {"conv_transpose_forward": "Z", "conv_transpose_backward": "dA_prev dW"}
_FILTER = {"conv_forward": "Z", "conv_backward": "dA_prev dW", **_TRANSPOSE}
_BIASED = {
    "conv_single_step": "Z",
    "conv_forward": "Z",
    "conv_transpose_forward": "Z",
    "affine_forward": "Z",
    "affine_activation_forward": "A",
}


def _taps(a: Arrays) -> int:
    """Positions of the window."""
    rows, columns = a["W"].shape[:2]
    return int(rows * columns)


def _channels(a: Arrays) -> int:
    """Input channels of a filter."""
    extents = a["W"].shape
    return int(extents[2])


def _inner(taps: bool, channels: bool) -> Callable[[Case, Arrays], dict[str, int]]:
    """How often the bias is added inside the sum over positions, over input channels, or over both."""
    return lambda case, a: {"bias_times": (_taps(a) if taps else 1) * (_channels(a) if channels else 1)}


_inside = partial(option, targets={"conv_single_step": "Z", "conv_forward": "Z"})
_inside(
    "conv-bias-per-tap",
    "The bias is inside the window sum, so it is added f*f*n_C_prev times instead of once.",
    of=_inner(True, True),
    post=True,
)
_inside(
    "conv-bias-per-position",
    "The bias is added once per position of the window (f*f times) instead of once.",
    of=_inner(True, False),
)
_inside(
    "conv-bias-per-channel",
    "The bias is added once per input channel (n_C_prev times) instead of once.",
    of=_inner(False, True),
)
option("bias-forgotten", "The bias is not added.", _BIASED, bias_times=0.0)
option("bias-subtracted", "The bias is subtracted instead of added.", _BIASED, bias_times=-1.0)
option("bias-twice", "The bias is added twice.", _BIASED, bias_times=2.0)
data(
    "bias-of-first-channel",
    "The bias of the first output channel is added to all of them.",
    without(_BIASED, "conv_single_step"),
    lambda case, a: {"b": np.broadcast_to(a["b"][..., :1], a["b"].shape)},
)

data(
    "bias-of-the-first-group",
    "A group's filters are given the biases of the first group.",
    {"conv_forward": "Z", "conv_transpose_forward": "Z"},
    lambda case, a: {"b": np.tile(a["b"][..., : max(case["k"] // case["g"], 1)], case["g"])},
)


def _filtered(id: str, text: str, there: Callable[[Array], Array], back: Callable[[Array], Array]) -> None:
    """A slip that reads the filter changed, and writes its gradient changed back."""

    @slip(id, text, _FILTER)
    def wrong(case: Case, a: Arrays, base: Base) -> Outputs:
        out = base(case, {**a, "W": there(a["W"])})
        return {name: back(value) if name == "dW" else value for name, value in out.items()}


def _turned(W: Array) -> Array:
    return W[::-1, ::-1]


def _without_last(axis: int) -> Callable[[Array], Array]:
    def kept(W: Array) -> Array:
        shape = [-1 if a == axis else 1 for a in range(4)]
        return np.asarray(W * (np.arange(W.shape[axis]) < W.shape[axis] - 1).reshape(shape))

    return kept


_filtered(
    "filter-flipped",
    "The filter is turned by 180 degrees (a convolution instead of a cross-correlation).",
    _turned,
    _turned,
)
_filtered(
    "filter-transposed",
    "Rows and columns of the filter are exchanged.",
    lambda W: W.reshape(W.shape[1], W.shape[0], *W.shape[2:]).swapaxes(0, 1),
    lambda dW: dW.swapaxes(0, 1).reshape(dW.shape),
)
data(
    "filter-channels-exchanged",
    "The filter's memory is read as (f, f, n_C, n_C_prev): input and output channels are exchanged.",
    {"conv_forward": "Z", "conv_backward": "dA_prev"},
    lambda case, a: {"W": a["W"].reshape(*a["W"].shape[:2], *a["W"].shape[:1:-1]).swapaxes(2, 3)},
)
data(
    "filter-read-as-oihw",
    "The filter's memory is read as (n_C, n_C_prev, f, f), the layout of PyTorch.",
    {"conv_forward": "Z", "conv_backward": "dA_prev"},
    lambda case, a: {"W": a["W"].reshape(*a["W"].shape[:1:-1], *a["W"].shape[:2]).transpose(2, 3, 1, 0)},
)


def _as_oihw(case: Case, dW: Array, shape: bool) -> Array:
    moved = dW.transpose(3, 2, 0, 1)
    return np.asarray(moved.reshape(dW.shape) if shape else moved)


after(
    "weight-gradient-as-oihw",
    "The filter's gradient comes in the layout of PyTorch, (n_C, n_C_prev, f, f).",
    {"conv_backward": "dW"},
    _as_oihw,
    variants=({"shape": False}, {"shape": True}),
)
_filtered(
    "filter-last-row-missing",
    "The loop over the window's rows stops one short: the filter's last row is not used.",
    _without_last(0),
    _without_last(0),
)
_filtered(
    "filter-last-column-missing",
    "The loop over the window's columns stops one short: the filter's last column is not used.",
    _without_last(1),
    _without_last(1),
)


def _first_alone(case: Case, a: Arrays) -> Arrays:
    keep = (np.arange(_channels(a)) == 0).reshape((-1, 1) if a["W"].ndim == 4 else (-1,))
    return {"W": a["W"] * keep}


data(
    "input-channels-only-first",
    "Only the first input channel enters the sum.",
    {"conv_forward": "Z", "conv_single_step": "Z"},
    _first_alone,
)
option(
    "stride-ignored",
    "Windows are placed one apart instead of `stride` apart.",
    {**_FILTER, "pool_forward": "A", "pool_backward": "dA_prev"},
    of=lambda case, a, rows, columns: {
        "window": window_of(case).but(
            s=(1 if rows else window_of(case).rows.s, 1 if columns else window_of(case).columns.s)
        )
    },
    variants=(
        {"rows": True, "columns": True},
        {"rows": True, "columns": False},
        {"rows": False, "columns": True},
    ),
)


def _of_the_first(case: Case, a: Arrays, of: str) -> Arrays:
    W = a["W"]
    if of == "group":
        return {"W": np.tile(W[..., : max(W.shape[-1] // case["g"], 1)], case["g"])}
    return {"W": np.broadcast_to(W[..., :1] if of == "last axis" else W[:, :, :1], W.shape)}


data(
    "filter-of-the-first",
    "The filter of the first output channel, input channel or group is used for all of them.",
    {
        "conv_forward": "Z",
        "conv_backward": "dA_prev",
        "conv_transpose_forward": "Z",
        "conv_transpose_backward": "dA_prev",
    },
    _of_the_first,
    variants=({"of": "last axis"}, {"of": "axis before"}, {"of": "group"}),
)


def _unweighted(case: Case, a: Arrays, block: int) -> Arrays:
    """Ones in place of the weights of the channels beyond the last full block."""
    W = np.array(a["W"])
    axis = 3 if "transposed" in case.operation.traits else 2
    channels = case["c"] // case["g"]
    np.moveaxis(W, axis, 0)[channels - channels % block :] = 1.0
    return {"W": W}


data(
    "remainder-channels-unweighted",
    "Input channels beyond the last full block of 4 or 8 are added without their weights.",
    {"conv_forward": "Z", "conv_transpose_forward": "Z"},
    _unweighted,
    variants=({"block": 4}, {"block": 8}),
)


@slip(
    "remainder-positions-not-computed",
    "Outputs of the positions beyond the last full block of 8, 16 or 32 hold the bias alone, or 0.",
    {"conv_forward": "Z", "conv_transpose_forward": "Z"},
    variants=tuple({"block": n, "biased": b} for n in (8, 16, 32) for b in (True, False)),
)
def _remainder_positions_not_computed(case: Case, a: Arrays, base: Base, block: int, biased: bool) -> Outputs:
    Z = np.array(base(case, a)["Z"])
    flat = Z.reshape(-1, Z.shape[-1])
    flat[len(flat) - len(flat) % block :] = a["b"].reshape(-1) if biased else 0.0
    return {"Z": flat.reshape(Z.shape)}


@slip(
    "padding-one-sided",
    "All the padding is taken to be at the bottom and right, none at the top and left.",
    {**_FILTER, "pad3d": "output", "pad3d_backward": "dinput"},
)
def _padding_one_sided(case: Case, a: Arrays, base: Base) -> Outputs:
    if "input" in a:
        p = case["p"]
        return {"output": np.pad(a["input"], ((0, 0), (0, 2 * p), (0, 2 * p), (0, 0)))}
    if "doutput" in a:
        return {"dinput": a["doutput"][:, : case["h"], : case["w"]]}
    return base(case, a, window=_unshifted(case))


option(
    "padding-off-by-one",
    "Windows start one pixel too early or too late in both directions.",
    _FILTER,
    of=lambda case, a, by: {"window": window_of(case).shifted(by)},
    variants=({"by": 1}, {"by": -1}),
)


@slip(
    "padding-forgotten",
    "The input is not padded: the output is that of padding 0, smaller.",
    {"conv_forward": "Z", "pad3d": "output"},
)
def _padding_forgotten(case: Case, a: Arrays, base: Base) -> Outputs:
    if "input" in a:
        return {"output": a["input"]}
    return base(case, a, window=window_of(case.replace(p=0)))


@slip(
    "padding-kept",
    "The gradient of the padded input is returned with its padding.",
    {"conv_backward": "dA_prev", "pad3d_backward": "dinput"},
)
def _padding_kept(case: Case, a: Arrays, base: Base) -> Outputs:
    if "doutput" in a:
        return {"dinput": a["doutput"]}
    return {"dA_prev": _padded_gradient(case, a)}


@slip(
    "crop-empty-at-padding-zero",
    "The padding is cut off by the slice p:-p, which is empty where p is 0.",
    {"conv_backward": "dA_prev", "pad3d_backward": "dinput"},
    variants=({"shape": "empty"}, {"shape": "zero"}),
)
def _crop_empty_at_padding_zero(case: Case, a: Arrays, base: Base, shape: str) -> Outputs:
    if case["p"] if "doutput" in a else window_of(case).padded:
        return {}
    right = base(case, a)
    name = case.operation.outputs[0]
    return {name: right[name][:, 0:-0, 0:-0] if shape == "empty" else np.zeros_like(right[name])}


def _padded_gradient(case: Case, a: Arrays) -> Array:
    window = window_of(case)
    extents = (axis.n + axis.before + axis.after for axis in (window.rows, window.columns))
    groups = case["g"] if "g" in case.operation.option else 1
    filters = whole_filters(a["W"], blocks(case["c"], case["k"], groups))
    spread = np.tensordot(a["dZ"], filters, ([3], [3]))
    return scatter(spread, _unshifted(case), (case["m"], *extents, case["c"]))


def _unshifted(case: Case) -> Window:
    return window_of(case).but(before=(0, 0))
