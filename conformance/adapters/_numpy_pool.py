"""Pooling in plain NumPy, with its options; a part of `numpy_loops`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class PoolCache(NamedTuple):
    """What pool_backward needs; the mode is not in it."""

    A_prev: Array
    hparameters: Mapping[str, Any]


def _both(value: Any) -> tuple[Any, Any]:
    """A value for rows and columns, or one for each."""
    return (value[0], value[1]) if isinstance(value, (tuple, list)) else (value, value)


def _reads(hparameters: Mapping[str, Any], side: int, n: int) -> tuple[Array, int]:
    """Which element each tap of each window reads along one axis, ``(outputs, f)``; the padding after it."""
    f, s, d = (_both(hparameters.get(key, 1))[side] for key in ("f", "stride", "dilation"))
    pad, span = hparameters.get("pad", 0), d * (f - 1) + 1
    if pad in ("same", "same_lower"):
        total = max((-(-n // s) - 1) * s + span - n, 0)
        before = (total + (pad == "same_lower")) // 2
        after = total - before
    else:
        before, after = (0, 0) if pad == "valid" else _both(_both(pad)[side])
    room = n + before + after - span
    outputs = room // s + 1
    # Rounded up, the last window starts in the image or the padding before it.
    if hparameters.get("ceil_mode", False) and room % s and outputs * s < n + before:
        outputs += 1
    return np.arange(outputs)[:, None] * s - before + np.arange(f) * d, after


def _flat_windows(
    A_prev: Array, hparameters: Mapping[str, Any], outside: float
) -> tuple[Array, Array, Array, Array]:
    """Windows with the places of each in one last axis, in (row, column) order; `outside` in the padding.

    With them, which of those places lie in the image, ``(rows, columns, places)``, and what they read.
    """
    _, h, w, c = A_prev.shape
    rows, columns = _reads(hparameters, 0, h)[0], _reads(hparameters, 1, w)[0]
    inside = ((rows >= 0) & (rows < h))[:, None, :, None] & ((columns >= 0) & (columns < w))[None, :, None, :]
    r, q = np.clip(rows, 0, h - 1)[:, None, :, None], np.clip(columns, 0, w - 1)[None, :, None, :]
    taken = np.where(inside[..., None], A_prev[:, r, q], A_prev.dtype.type(outside))
    shape = (*taken.shape[:3], rows.shape[1] * columns.shape[1], c)
    return np.moveaxis(taken.reshape(shape), 3, 4), inside.reshape(*inside.shape[:2], -1), rows, columns


def _counts(A_prev: Array, hparameters: Mapping[str, Any]) -> Array:
    """By how many places each average divides, ``(rows, columns, 1)``."""
    counts = []
    for side in (0, 1):
        n = A_prev.shape[1 + side]
        reads, after = _reads(hparameters, side, n)
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
    return A, PoolCache(A_prev, hparameters)


def pool_backward(dA: Array, cache: PoolCache, mode: str = "max") -> Array:
    """Max: dA goes to the chosen place of each window; average: in equal shares to all of them."""
    A_prev, hparameters = cache
    windows, inside, rows, columns = _flat_windows(A_prev, hparameters, -np.inf)
    if mode == "average":
        share = dA / _counts(A_prev, hparameters)
        return _gathered(A_prev, rows, columns, lambda place: share)
    # A window of -inf has its first maximum in the image.
    within = inside[:, :, None]
    chosen = _choice(windows)
    chosen = np.where(
        np.take_along_axis(within & np.ones_like(windows, bool), chosen[..., None], 4)[..., 0],
        chosen,
        within.argmax(-1),
    )
    return _gathered(A_prev, rows, columns, lambda place: np.where(chosen == place, dA, 0))


def _gathered(A_prev: Array, rows: Array, columns: Array, part: Callable[[int], Array]) -> Array:
    """For each element of `A_prev` the sum of what it gets as some place of some window."""
    dA_prev = np.zeros_like(A_prev)
    for place in range(rows.shape[1] * columns.shape[1]):
        i, j = divmod(place, columns.shape[1])
        y = np.flatnonzero((rows[:, i] >= 0) & (rows[:, i] < A_prev.shape[1]))
        x = np.flatnonzero((columns[:, j] >= 0) & (columns[:, j] < A_prev.shape[2]))
        dA_prev[:, rows[y, i][:, None], columns[x, j]] += part(place)[:, y[:, None], x]
    return dA_prev


def create_mask_from_window(x: Array) -> Array:
    """One at the first maximum (the last NaN, if there is one), zero elsewhere."""
    mask = np.zeros_like(x)
    if x.size:
        mask.reshape(-1)[_choice(x.reshape(-1))] = 1
    return mask


def distribute_value(dz: float, shape: tuple[int, ...]) -> Array:
    """Equal shares of `dz`, float64."""
    return np.full(shape, np.float64(dz) / np.prod(shape))
