"""Faults of memory order: padding values, flattening, exchanged extents, channels first."""

from __future__ import annotations

import numpy as np

from conformance.cases.case import Case
from conformance.faults.catalogue import slip, without
from conformance.faults.core import Array, Arrays, Base, Outputs

_FLATTEN = {"arr2col": "output", "col2arr": "output"}
_READS = {
    "pad3d": "output",
    "pad3d_backward": "dinput",
    "conv_forward": "Z",
    "conv_backward": "dW",
    "pool_forward": "A",
    "pool_backward": "dA_prev",
    "arr2col": "output",
}
_WRITES = {
    "pad3d": "output",
    "pad3d_backward": "dinput",
    "conv_forward": "Z",
    "conv_backward": "dA_prev",
    "pool_forward": "A",
    "pool_backward": "dA_prev",
}


def _image(case: Case) -> str:
    """The image a case reads."""
    return next(name for name in ("input", "doutput", "A_prev", "X") if name in case.operation.arrays)


@slip(
    "flattened-column-major",
    "Features are in R's order: h fastest, then w, then c.",
    _FLATTEN,
    post=True,
)
def _flattened_column_major(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, order="cwh")


@slip("flattened-channel-first", "Features are in the order of NCHW: w fastest, then h, then c.", _FLATTEN)
def _flattened_channel_first(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, order="chw")


@slip("flattened-width-first", "Height and width are exchanged: c fastest, then h, then w.", _FLATTEN)
def _flattened_width_first(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, order="whc")


@slip(
    "flattened-across-samples",
    "The whole array, samples included, is read in column-major order.",
    _FLATTEN,
)
def _flattened_across_samples(case: Case, a: Arrays, base: Base) -> Outputs:
    out = base(case, a)["output"]
    return {"output": a["X"].reshape(-1, order="F").reshape(out.shape, order="C")}


@slip("padding-replicated", "The border is filled with the edge's values instead of 0.", {"pad3d": "output"})
def _padding_replicated(case: Case, a: Arrays, base: Base) -> Outputs:
    return _filled(case, a, "edge")


@slip("padding-wrapped", "The border is filled from the opposite edge, not with 0.", {"pad3d": "output"})
def _padding_wrapped(case: Case, a: Arrays, base: Base) -> Outputs:
    return _filled(case, a, "wrap")


def _filled(case: Case, a: Arrays, mode: str) -> Outputs:
    if not (case["h"] and case["w"]):
        return {}
    p = case["p"]
    return {"output": np.pad(a["input"], ((0, 0), (p, p), (p, p), (0, 0)), mode)}  # type: ignore[call-overload]


@slip("padding-of-ones", "The border is filled with 1 instead of 0.", {"pad3d": "output"})
def _padding_of_ones(case: Case, a: Arrays, base: Base) -> Outputs:
    p = case["p"]
    return {"output": np.pad(a["input"], ((0, 0), (p, p), (p, p), (0, 0)), constant_values=1.0)}


@slip(
    "padding-of-one-axis",
    "Only the rows, or only the columns, are padded.",
    {"pad3d": "output"},
    variants=({"rows": True}, {"rows": False}),
)
def _padding_of_one_axis(case: Case, a: Arrays, base: Base, rows: bool) -> Outputs:
    p = case["p"]
    both = ((0, 0), (p, p), (0, 0), (0, 0)) if rows else ((0, 0), (0, 0), (p, p), (0, 0))
    return {"output": np.pad(a["input"], both)}


@slip(
    "crop-off-by-one",
    "The inner part is cut out one pixel too early or too late.",
    {"pad3d_backward": "dinput"},
    variants=({"by": 1}, {"by": -1}),
)
def _crop_off_by_one(case: Case, a: Arrays, base: Base, by: int) -> Outputs:
    start = case["p"] + by
    if not 0 <= start <= 2 * case["p"]:
        return {}
    return {"dinput": a["doutput"][:, start : start + case["h"], start : start + case["w"]]}


def _reread(image: Array, order: str) -> Array:
    """The image's memory taken for an image whose axes after the batch stand in `order`."""
    extents = dict(zip("hwc", image.shape[1:], strict=True))
    read = image.reshape(image.shape[0], *(extents[letter] for letter in order))
    return np.transpose(read, (0, *(1 + order.index(letter) for letter in "hwc")))


def _written(image: Array, order: str) -> Array:
    """The image with its axes written in `order`, in memory of the right shape."""
    moved = np.transpose(image, (0, *(1 + "hwc".index(letter) for letter in order)))
    return np.reshape(moved, image.shape)


@slip(
    "input-read-as-nchw",
    "The input's memory is taken for channels first (NCHW).",
    without(_READS, "arr2col"),
)
def _input_read_as_nchw(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, {**a, _image(case): _reread(a[_image(case)], "chw")})


@slip("output-written-as-nchw", "The output's memory is written channels first (NCHW).", _WRITES)
def _output_written_as_nchw(case: Case, a: Arrays, base: Base) -> Outputs:
    return {name: _written(v, "chw") for name, v in base(case, a).items() if v.ndim == 4}


@slip(
    "height-width-exchanged",
    "Height and width of the input are exchanged when its memory is addressed.",
    without(_READS, "arr2col"),
)
def _height_width_exchanged(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, {**a, _image(case): _reread(a[_image(case)], "whc")})


@slip(
    "output-height-width-exchanged",
    "Height and width of the output are exchanged when its memory is addressed, or in its shape.",
    _WRITES,
    variants=({"shape": False}, {"shape": True}),
)
def _output_height_width_exchanged(case: Case, a: Arrays, base: Base, shape: bool) -> Outputs:
    return {
        name: v.swapaxes(1, 2) if shape else _written(v, "whc")
        for name, v in base(case, a).items()
        if v.ndim == 4
    }


@slip(
    "upstream-height-width-exchanged",
    "Height and width of the upstream gradient are exchanged when its memory is addressed.",
    {"conv_backward": "dA_prev dW", "pool_backward": "dA_prev"},
)
def _upstream_height_width_exchanged(case: Case, a: Arrays, base: Base) -> Outputs:
    name = str(case.operation.upstream)
    return base(case, {**a, name: _reread(a[name], "whc")})
