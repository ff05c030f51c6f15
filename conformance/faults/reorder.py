"""Faults of memory order: padding, flattening, exchanged extents, channels first."""

from __future__ import annotations

import numpy as np

from conformance.cases.case import Case
from conformance.faults.catalogue import slip, without
from conformance.faults.core import Array, Arrays, Base, Outputs
from conformance.faults.rows import after, data, instead, option

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


option("flattened-column-major", "Features are in R's order: h fastest, then w, then c.", _FLATTEN,
       order="cwh", post=True)  # fmt: skip
option("flattened-channel-first", "Features are in the order of NCHW: w fastest, then h, then c.", _FLATTEN,
       order="chw")  # fmt: skip
option("flattened-width-first", "Height and width are exchanged: c fastest, then h, then w.", _FLATTEN,
       order="whc")  # fmt: skip


@slip(
    "flattened-across-samples",
    "The whole array, samples included, is read in column-major order.",
    _FLATTEN,
)
def _flattened_across_samples(case: Case, a: Arrays, base: Base) -> Outputs:
    out = base(case, a)["output"]
    return {"output": a["X"].reshape(-1, order="F").reshape(out.shape, order="C")}


def _sides(rows: int, columns: int) -> tuple[tuple[int, int], ...]:
    return ((0, 0), (rows, rows), (columns, columns), (0, 0))


instead(
    "padding-of-one-axis",
    "Only the rows, or only the columns, are padded.",
    {"pad3d": "output"},
    lambda case, a, rows: np.pad(a["input"], _sides(case["p"] * rows, case["p"] * (not rows))),
    variants=({"rows": True}, {"rows": False}),
)


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


def _read(id: str, text: str, order: str) -> None:
    """A slip that reads the image in another order of its axes."""
    data(
        id,
        text,
        without(_READS, "arr2col"),
        lambda case, a: {_image(case): _reread(a[_image(case)], order)},
    )


_read("input-read-as-nchw", "The input's memory is taken for channels first (NCHW).", "chw")
after("output-written-as-nchw", "The output's memory is written channels first (NCHW).", _WRITES,
      lambda case, image: _written(image, "chw"))  # fmt: skip
_read(
    "height-width-exchanged",
    "Height and width of the input are exchanged when its memory is addressed.",
    "whc",
)
after(
    "output-height-width-exchanged",
    "Height and width of the output are exchanged when its memory is addressed, or in its shape.",
    _WRITES,
    lambda case, image, shape: image.swapaxes(1, 2) if shape else _written(image, "whc"),
    variants=({"shape": False}, {"shape": True}),
)
data(
    "upstream-height-width-exchanged",
    "Height and width of the upstream gradient are exchanged when its memory is addressed.",
    {"conv_backward": "dA_prev dW", "pool_backward": "dA_prev"},
    lambda case, a: {str(case.operation.upstream): _reread(a[str(case.operation.upstream)], "whc")},
)
