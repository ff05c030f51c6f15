"""NumPy: windows gathered into a matrix (im2col), one matrix product through its BLAS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from benchmarks.inputs import Arrays
from benchmarks.row import Row


def start(threads: int) -> None:
    """Nothing: the worker's environment limits the BLAS."""


def version() -> str:
    """The version."""
    return str(np.__version__)


def prepare(row: Row, a: Arrays) -> Callable[[], Any] | None:
    """The call of one row; None for what needs no BLAS."""
    if row.function in ("affine_forward", "affine_backward"):
        x, w, b, g = (a[key] for key in ("A_prev", "W", "b", "upstream"))
        if row.function == "affine_forward":
            return lambda: x @ w + b
        return lambda: (g @ w.T, x.T @ g, g.sum(axis=0, keepdims=True))
    if row.function not in ("conv_forward", "conv_backward"):
        return None
    f, s, p = (row.letter(letter) for letter in "fsp")
    x, w, b, g = (a[key] for key in ("A_prev", "W", "b", "upstream"))
    m, height, width, channels = x.shape
    n_H, n_W = row.extents
    filters = w.reshape(-1, w.shape[3])

    def columns() -> np.ndarray:
        padded = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
        windows = sliding_window_view(padded, (f, f), (1, 2))[:, ::s, ::s]
        return windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, len(filters))

    def forward() -> np.ndarray:
        out = columns() @ filters
        out += b.reshape(-1)
        return out.reshape(m, n_H, n_W, -1)

    def backward() -> tuple[np.ndarray, ...]:
        flat = g.reshape(-1, g.shape[3])
        taps = (flat @ filters.T).reshape(m, n_H, n_W, f, f, channels)
        padded = np.zeros((m, height + 2 * p, width + 2 * p, channels), x.dtype)
        for r in range(f):
            for q in range(f):
                padded[:, r : r + n_H * s : s, q : q + n_W * s : s] += taps[:, :, :, r, q]
        inner = padded[:, p : p + height, p : p + width]
        return inner, (columns().T @ flat).reshape(w.shape), flat.sum(axis=0).reshape(b.shape)

    return forward if row.function == "conv_forward" else backward


def arrays(row: Row, result: Any) -> list[np.ndarray]:
    """The outputs."""
    return list(result) if isinstance(result, tuple) else [result]
