"""Pooling in plain NumPy, with its options; a part of `numpy_loops`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conformance.adapters._numpy_windows import gathered, reads_of, windows_of

Array = NDArray[Any]


class PoolCache(NamedTuple):
    """What pool_backward needs; the mode is not in it."""

    A_prev: Array
    hparameters: Mapping[str, Any]


def _flat_windows(
    A_prev: Array, hparameters: Mapping[str, Any], outside: float
) -> tuple[Array, Array, Array, Array]:
    """Windows with the places of each in one last axis, in (row, column) order; `outside` in the padding.

    With them, which of those places lie in the image, ``(rows, columns, places)``, and what they read.
    """
    rows, columns = (reads_of(hparameters, side, A_prev.shape[1 + side])[0] for side in (0, 1))
    taken, inside = windows_of(A_prev, rows, columns, outside)
    places = (len(rows), len(columns), rows.shape[1] * columns.shape[1])
    flat = np.moveaxis(taken, 5, 1).swapaxes(3, 4).reshape(len(A_prev), A_prev.shape[3], *places)
    return np.moveaxis(flat, 1, 3), inside.swapaxes(1, 2).reshape(places), rows, columns


def _counts(A_prev: Array, hparameters: Mapping[str, Any]) -> Array:
    """By how many places each average divides, ``(rows, columns, 1)``."""
    counts = []
    for side in (0, 1):
        n = A_prev.shape[1 + side]
        reads, after = reads_of(hparameters, side, n)
        if hparameters.get("count_include_pad", True):
            counts.append((reads < n + after).sum(1))
        else:
            counts.append(((reads >= 0) & (reads < n)).sum(1))
    result: Array = np.outer(*counts)[..., None].astype(A_prev.dtype)
    return result


def _choice(windows: Array) -> Array:
    """Where each window's maximum stands along the last axis: the first one, or the last NaN."""
    last = windows.shape[-1] - 1
    nan = np.isnan(windows)
    choice: Array = np.where(nan.any(axis=-1), last - nan[..., ::-1].argmax(axis=-1), windows.argmax(axis=-1))
    return choice


def pool_forward(A_prev: Array, hparameters: Mapping[str, Any], mode: str = "max") -> tuple[Array, PoolCache]:
    """Maximum or mean of each window."""
    windows = _flat_windows(A_prev, hparameters, -np.inf if mode == "max" else 0)[0]
    A = windows.max(axis=-1) if mode == "max" else windows.sum(axis=-1) / _counts(A_prev, hparameters)
    return A, PoolCache(A_prev, dict(hparameters))


def pool_backward(dA: Array, cache: PoolCache, mode: str = "max") -> Array:
    """Max: dA goes to the chosen place of each window; average: in equal shares to all of them."""
    A_prev, hparameters = cache
    windows, inside, rows, columns = _flat_windows(A_prev, hparameters, -np.inf)
    if mode == "average":
        share = dA / _counts(A_prev, hparameters)
        return gathered(A_prev, rows, columns, lambda i, j: share)
    # A window of -inf has its first maximum in the image.
    within = inside[:, :, None]
    chosen = _choice(windows)
    chosen = np.where(
        np.take_along_axis(within & np.ones_like(windows, bool), chosen[..., None], 4)[..., 0],
        chosen,
        within.argmax(-1),
    )
    wide = columns.shape[1]
    return gathered(A_prev, rows, columns, lambda i, j: np.where(chosen == i * wide + j, dA, 0))


def create_mask_from_window(x: Array) -> Array:
    """One at the first maximum (the last NaN, if there is one), zero elsewhere."""
    mask = np.zeros(x.shape, x.dtype)  # in C order, whatever that of x is
    if x.size:
        mask.reshape(-1)[_choice(x.reshape(-1))] = 1
    return mask


def distribute_value(dz: float, shape: tuple[int, ...]) -> Array:
    """Equal shares of `dz`, float64."""
    return np.full(shape, np.float64(dz) / np.prod(shape))
