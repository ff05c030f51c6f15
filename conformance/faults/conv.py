"""Faults of the convolution: bias, orientation and layout of the filter, stride and place of the window."""

from __future__ import annotations

import numpy as np

from conformance.cases.case import Case
from conformance.cases.patches import scatter
from conformance.cases.window import Window, window_of
from conformance.faults.catalogue import slip, without
from conformance.faults.core import Array, Arrays, Base, Outputs
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


@slip(
    "conv-bias-per-tap",
    "The bias is inside the window sum, so it is added f*f*n_C_prev times instead of once.",
    {"conv_single_step": "Z", "conv_forward": "Z"},
    post=True,
)
def _conv_bias_per_tap(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, bias_times=_taps(a) * _channels(a))


@slip(
    "conv-bias-per-position",
    "The bias is added once per position of the window (f*f times) instead of once.",
    {"conv_single_step": "Z", "conv_forward": "Z"},
)
def _conv_bias_per_position(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, bias_times=_taps(a))


@slip(
    "conv-bias-per-channel",
    "The bias is added once per input channel (n_C_prev times) instead of once.",
    {"conv_single_step": "Z", "conv_forward": "Z"},
)
def _conv_bias_per_channel(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, bias_times=_channels(a))


@slip("bias-forgotten", "The bias is not added.", _BIASED)
def _bias_forgotten(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, bias_times=0.0)


@slip("bias-subtracted", "The bias is subtracted instead of added.", _BIASED)
def _bias_subtracted(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, bias_times=-1.0)


@slip("bias-twice", "The bias is added twice.", _BIASED)
def _bias_twice(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, bias_times=2.0)


@slip(
    "bias-of-first-channel",
    "The bias of the first output channel is added to all of them.",
    without(_BIASED, "conv_single_step"),
)
def _bias_of_first_channel(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, {**a, "b": np.broadcast_to(a["b"][..., :1], a["b"].shape)})


@slip(
    "filter-flipped",
    "The filter is turned by 180 degrees (a convolution instead of a cross-correlation).",
    _FILTER,
)
def _filter_flipped(case: Case, a: Arrays, base: Base) -> Outputs:
    out = base(case, {**a, "W": a["W"][::-1, ::-1]})
    return {name: value[::-1, ::-1] if name == "dW" else value for name, value in out.items()}


@slip("filter-transposed", "Rows and columns of the filter are exchanged.", _FILTER)
def _filter_transposed(case: Case, a: Arrays, base: Base) -> Outputs:
    f_h, f_w, *channels = a["W"].shape
    out = base(case, {**a, "W": a["W"].reshape(f_w, f_h, *channels).swapaxes(0, 1)})
    return {
        name: value.swapaxes(0, 1).reshape(value.shape) if name == "dW" else value
        for name, value in out.items()
    }


@slip(
    "filter-channels-exchanged",
    "The filter's memory is read as (f, f, n_C, n_C_prev): input and output channels are exchanged.",
    {"conv_forward": "Z", "conv_backward": "dA_prev"},
)
def _filter_channels_exchanged(case: Case, a: Arrays, base: Base) -> Outputs:
    f_h, f_w, c, k = a["W"].shape
    return base(case, {**a, "W": a["W"].reshape(f_h, f_w, k, c).swapaxes(2, 3)})


@slip(
    "filter-read-as-oihw",
    "The filter's memory is read as (n_C, n_C_prev, f, f), the layout of PyTorch.",
    {"conv_forward": "Z", "conv_backward": "dA_prev"},
)
def _filter_read_as_oihw(case: Case, a: Arrays, base: Base) -> Outputs:
    f_h, f_w, c, k = a["W"].shape
    return base(case, {**a, "W": a["W"].reshape(k, c, f_h, f_w).transpose(2, 3, 1, 0)})


@slip(
    "weight-gradient-as-oihw",
    "The filter's gradient comes in the layout of PyTorch, (n_C, n_C_prev, f, f).",
    {"conv_backward": "dW"},
    variants=({"shape": False}, {"shape": True}),
)
def _weight_gradient_as_oihw(case: Case, a: Arrays, base: Base, shape: bool) -> Outputs:
    right = base(case, a)["dW"]
    moved = right.transpose(3, 2, 0, 1)
    return {"dW": moved.reshape(right.shape) if shape else moved}


def _all_but_last(extent: int) -> Array:
    return np.arange(extent) < extent - 1


@slip(
    "filter-last-row-missing",
    "The loop over the window's rows stops one short: the filter's last row is not used.",
    _FILTER,
)
def _filter_last_row_missing(case: Case, a: Arrays, base: Base) -> Outputs:
    keep = _all_but_last(len(a["W"])).reshape(-1, 1, 1, 1)
    out = base(case, {**a, "W": a["W"] * keep})
    return {name: value * keep if name == "dW" else value for name, value in out.items()}


@slip(
    "filter-last-column-missing",
    "The loop over the window's columns stops one short: the filter's last column is not used.",
    _FILTER,
)
def _filter_last_column_missing(case: Case, a: Arrays, base: Base) -> Outputs:
    keep = _all_but_last(a["W"].shape[1]).reshape(1, -1, 1, 1)
    out = base(case, {**a, "W": a["W"] * keep})
    return {name: value * keep if name == "dW" else value for name, value in out.items()}


@slip(
    "input-channels-only-first",
    "Only the first input channel enters the sum.",
    {"conv_forward": "Z", "conv_single_step": "Z"},
)
def _input_channels_only_first(case: Case, a: Arrays, base: Base) -> Outputs:
    keep = (np.arange(_channels(a)) == 0).reshape((-1, 1) if a["W"].ndim == 4 else (-1,))
    return base(case, {**a, "W": a["W"] * keep})


@slip(
    "stride-ignored",
    "Windows are placed one apart instead of `stride` apart.",
    {**_FILTER, "pool_forward": "A", "pool_backward": "dA_prev"},
)
def _stride_ignored(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, window=window_of(case).but(s=(1, 1)))


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


@slip(
    "padding-off-by-one",
    "Windows start one pixel too early or too late in both directions.",
    _FILTER,
    variants=({"by": 1}, {"by": -1}),
)
def _padding_off_by_one(case: Case, a: Arrays, base: Base, by: int) -> Outputs:
    return base(case, a, window=window_of(case).shifted(by))


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
