"""The arrays of a row: the same in every process."""

from __future__ import annotations

import zlib

import ml_dtypes
import numpy as np

from benchmarks.row import Row
from benchmarks.small import LOSSES

Arrays = dict[str, np.ndarray]


def numpy_dtype(name: str) -> np.dtype:
    """The dtype of this name; bfloat16 is that of `ml_dtypes`."""
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def _normal(generator: np.random.Generator, dtype: np.dtype, *shape: int) -> np.ndarray:
    drawn = np.float64 if dtype.itemsize == 8 else np.float32
    return generator.standard_normal(shape, dtype=drawn).astype(dtype, copy=False)


def _probabilities(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True), dtype=x.dtype)


def draw(row: Row, visit: int = 0) -> Arrays:
    """The arrays that the row's function takes, by the contract's argument names; zero mean, unit variance.

    Filters are scaled so that the outputs have about unit variance too. Each array starts at a cache line, as
    the results of PyTorch and of `cnnref` do, and so what one layer gives the next: in visit 0 at the first
    in its memory, later at one of the 64 of a page, another in each visit.
    """
    lines = np.random.default_rng((visit, _seed(row)))
    return {
        name: _at_a_line(array, int(lines.integers(_LINES)) if visit else 0)
        for name, array in _drawn(row).items()
    }


def _seed(row: Row) -> int:
    return zlib.crc32(f"{row.layer} {row.shape}".encode())


#: Cache lines of 64 bytes in a page.
_LINES = 64


def _at_a_line(array: np.ndarray, line: int) -> np.ndarray:
    memory = np.empty(array.nbytes + 64 * _LINES, np.uint8)
    start = -memory.ctypes.data % 64 + 64 * line
    placed = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    placed[...] = array
    return placed


def _drawn(row: Row) -> Arrays:
    generator = np.random.default_rng(_seed(row))
    z, dtype, function = row.sizes, numpy_dtype(row.dtype), row.function

    def normal(*letters: int) -> np.ndarray:
        return _normal(generator, dtype, *letters)

    if "i" in z:
        m, i, o = row.letter("m"), row.letter("i"), row.letter("o")
        return {
            "A_prev": normal(m, i),
            "W": normal(i, o) * np.asarray(i**-0.5, dtype),
            "b": normal(1, o),
            "upstream": normal(m, o),
        }
    if "n" in z:
        m, n = row.letter("m"), row.letter("n")
        x = normal(m, n)
        if function in LOSSES:
            return {"X": x, "T": _probabilities(normal(m, n))}
        return {"X": x, "AL": _probabilities(x), "Y": generator.integers(0, n, m), "upstream": normal(m, n)}
    if function == "conv_single_step":
        f, c = row.letter("f"), row.letter("c")
        return {
            "a_slice_prev": normal(f, f, c),
            "W": normal(f, f, c) / np.asarray(f * c**0.5, dtype),
            "b": normal(1),
        }
    if "m" not in z:
        return {"x": normal(row.letter("h"), row.letter("w"))}
    x = normal(*(row.letter(letter) for letter in "mhwc"))
    if function.startswith("conv_"):
        f, c, k = row.letter("f"), row.letter("c") // row.groups, row.letter("k")
        scale = np.asarray((f * f * c) ** -0.5, dtype)
        weights = normal(f, f, c, k) * scale
        if row.transposed:
            weights = normal(f, f, k // row.groups, row.letter("c")) * scale
        return {
            "A_prev": x,
            "W": weights,
            "b": normal(1, 1, 1, k),
            "upstream": normal(len(x), *row.extents, k),
        }
    if function.startswith("pool_"):
        return {"A_prev": x, "upstream": normal(len(x), *row.extents, row.letter("c"))}
    if function.startswith("global_average_pool"):
        return {"X": x, "upstream": normal(len(x), 1, 1, x.shape[3])}
    if function.startswith("batch_norm"):
        c = x.shape[3]
        scale, offset, mean = (normal(1, 1, 1, c) for _ in range(3))
        variance = 1 + np.abs(normal(1, 1, 1, c))
        channels = {"gamma": scale, "beta": offset, "running_mean": mean, "running_var": variance}
        return {"A_prev": x, **channels, "upstream": normal(*x.shape)}
    if function.startswith("prelu"):
        return {"X": x, "slopes": normal(1, 1, 1, x.shape[3]), "upstream": normal(*x.shape)}
    if function.startswith(("layer_norm", "rms_norm")):
        names = ("gamma", "beta") if function.startswith("layer_norm") else ("gamma",)
        rows = {name: normal(1, 1, 1, x.shape[3]) for name in names}
        return {"A_prev": x, **rows, "upstream": normal(*x.shape)}
    if function.startswith("pad3d"):
        p = row.letter("p")
        return {"X": x, "upstream": normal(len(x), x.shape[1] + 2 * p, x.shape[2] + 2 * p, x.shape[3])}
    return {"X": x, "upstream": normal(*x.shape)}
