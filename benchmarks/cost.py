"""What a row must at least do: operations, bytes, memory."""

from __future__ import annotations

import math

from benchmarks.inputs import numpy_dtype
from benchmarks.row import Row
from benchmarks.small import ELEMENTWISE, LOSSES

VECTOR = 64  # bytes; filters in a panel are rounded up to a whole vector

#: Arrays of the output's size read and written, for the functions that only move or map elements.
_MOVES = {
    **{name: 3 for name in ELEMENTWISE if name.endswith("_backward")},
    **{
        f"{name}_backward": 3
        for name in ("gelu", "prelu", "softmax", "log_softmax", "batch_norm", "layer_norm", "rms_norm")
    },
    **{name: 3 if name.endswith("_backward") else 2 for name in LOSSES},
    "cross_entropy_cost": 1,
    "global_average_pool_forward": 1,
    "global_average_pool_backward": 1,
}


def itemsize(row: Row) -> int:
    """Bytes of an element."""
    return numpy_dtype(row.dtype).itemsize


def flops(row: Row) -> float:
    """Floating-point operations by the formula, two for a multiply-add; 0 where memory is what counts.

    What falls into the padding is counted, as everywhere.
    """
    z = row.sizes
    if row.transposed:
        work = 2.0 * z["m"] * z["h"] * z["w"] * z["k"] * z["f"] ** 2 * z["c"] / row.groups
    elif row.function in ("conv_forward", "conv_backward"):
        work = 2.0 * z["m"] * math.prod(row.extents) * z["k"] * z["f"] ** 2 * z["c"] / row.groups
    elif "i" in z:
        work = 2.0 * z["m"] * z["i"] * z["o"]
    elif row.function == "conv_single_step":
        return 2.0 * z["f"] ** 2 * z["c"]
    else:
        return 0.0
    return 2 * work if row.function.endswith("backward") else work


def _elements(row: Row) -> int:
    return math.prod(row.letter(letter) for letter in "mhwcn" if letter in row.sizes)


def moved(row: Row) -> int:
    """Bytes that must be read and written: each input and each output once."""
    size, z = itemsize(row), row.sizes
    if row.function.startswith("pool_"):
        windows = z["m"] * math.prod(row.extents) * z["c"]
        # The backward pass reads the gradient (and the positions of the maxima) and writes the image.
        return (_elements(row) + windows) * size + (windows if z["mode"] == "max" else 0)
    if row.function.startswith("pad3d"):
        return outputs(row) + (_elements(row) * size if row.function == "pad3d" else _padded(row) * size)
    if row.function.startswith("conv_") and "k" in z:
        image, result = _elements(row), z["m"] * math.prod(row.extents) * z["k"]
        filters = z["f"] ** 2 * z["c"] * z["k"] // row.groups
        return size * ((image + result + filters) * (2 if row.function.endswith("backward") else 1))
    if row.function == "conv_single_step":
        return size * 2 * z["f"] ** 2 * z["c"]
    if "i" in z:
        matrices = z["m"] * z["i"] + z["i"] * z["o"] + z["m"] * z["o"]
        return size * matrices * (2 if row.function.endswith("backward") else 1)
    if row.function == "distribute_value":
        return outputs(row)  # float64 always
    return _elements(row) * size * _MOVES.get(row.function, 2)


def _padded(row: Row) -> int:
    p = row.letter("p")
    return row.letter("m") * (row.letter("h") + 2 * p) * (row.letter("w") + 2 * p) * row.letter("c")


def outputs(row: Row) -> int:
    """Bytes of what the call returns, the positions kept in the cache of a max pooling included."""
    size, z, function = itemsize(row), row.sizes, row.function
    if function in ("conv_forward", "conv_transpose_forward"):
        return size * z["m"] * math.prod(row.extents) * z["k"]
    if function in ("conv_backward", "conv_transpose_backward"):
        return size * (_elements(row) + z["f"] ** 2 * z["c"] * z["k"] // row.groups + z["k"])
    if function in ("affine_forward", "affine_activation_forward"):
        # An activation keeps its argument Z in the cache.
        return size * z["m"] * z["o"] * (2 if "activation" in z else 1)
    if function in ("affine_backward", "affine_activation_backward"):
        return size * (z["m"] * z["i"] + z["i"] * z["o"] + z["o"])
    if function == "pool_forward":
        windows = z["m"] * math.prod(row.extents) * z["c"]
        return windows * (size + (1 if z["mode"] == "max" else 0))
    if function == "pad3d":
        return size * _padded(row)
    if function == "global_average_pool_forward":
        return size * z["m"] * z["c"]
    if function.startswith("batch_norm"):
        # Backward two gradients per channel; forward four statistics in the cache, in training.
        per_channel = 2 if function.endswith("backward") else 4 if z["statistics"] == "training" else 2
        return size * (_elements(row) + per_channel * z["c"])
    if function == "prelu_backward":
        return size * (_elements(row) + z["c"])
    if function in ("layer_norm_forward", "rms_norm_forward"):  # two statistics of each pixel, for the cache
        return size * _elements(row) + 8 * 2 * (_elements(row) // z["c"])
    if function in ("layer_norm_backward", "rms_norm_backward"):
        return size * (_elements(row) + (2 if function.startswith("layer") else 1) * z["c"])
    if function in ("conv_single_step", "cross_entropy_cost") or (
        function in LOSSES and not function.endswith("_backward")
    ):
        return 0
    return (8 if function == "distribute_value" else size) * _elements(row)


def allowed_memory(row: Row) -> int:
    """Bytes that a call may take beyond its inputs: outputs, a padded sample and a panel set per thread."""
    size, z = itemsize(row), row.sizes
    extra = 0
    if row.transposed:  # a padded sample of the output or of the input, whichever is larger
        n_H, n_W = (extent + 2 * z["p"] for extent in row.extents)
        h, w = (z[letter] + 2 * (z["f"] - 1) for letter in "hw")
        sample = max(n_H * n_W * z["k"], h * w * z["c"])
        extra = size * sample + _panels(row, z["f"] ** 2, z["k"] // row.groups, z["c"])
    elif row.function in ("conv_forward", "conv_backward"):
        h, w = z["h"] + 2 * z["p"], z["w"] + 2 * z["p"]
        sample = h * w * z["c"]
        if row.function == "conv_backward":  # or a padded sample of the gradient, whichever is larger
            n_H, n_W = (extent + 2 * (z["f"] - 1) for extent in row.extents)
            sample = max(sample, n_H * n_W * z["k"])
        extra = size * sample + _panels(row, z["f"] ** 2, z["c"] // row.groups, z["k"])
    elif "i" in z:
        extra = _panels(row, 1, z["i"], z["o"]) + size * (z["i"] + z["o"])
        if row.function == "affine_activation_backward":
            extra += size * z["m"] * z["o"]  # the gradient between the two steps
    elif row.function in LOSSES:
        extra = _elements(row) // 512 + 8  # a double for each chunk
    elif row.function == "softmax_cross_entropy":
        extra = size * _elements(row)  # the logarithms
    elif row.function.startswith(("batch_norm", "layer_norm", "rms_norm", "prelu_backward")):
        extra = 8 * 2 * (z["m"] * z["h"] * z["w"] * z["c"] // 64 + 16 * z["c"])  # sums of chunks
    return outputs(row) + row.threads * extra


def _panels(row: Row, taps: int, rows: int, columns: int) -> int:
    """Bytes of the packed filters, the channels rounded up to a whole vector."""
    lanes = VECTOR // itemsize(row)
    if row.function.endswith("backward"):  # packed either way round
        rows = -(-rows // lanes) * lanes
    return itemsize(row) * taps * rows * -(-columns // lanes) * lanes
