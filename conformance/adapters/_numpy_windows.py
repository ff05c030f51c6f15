"""Where windows read, in plain NumPy: a part of `numpy_loops`, for its convolutions and pools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def both(value: Any) -> tuple[Any, Any]:
    """A value for rows and columns, or one for each."""
    return (value[0], value[1]) if isinstance(value, (tuple, list)) else (value, value)


def reads_of(hparameters: Mapping[str, Any], side: int, n: int) -> tuple[Array, int]:
    """Which element each tap of each window reads along one axis, ``(outputs, f)``; the padding after it."""
    f, s, d = (both(hparameters.get(key, 1))[side] for key in ("f", "stride", "dilation"))
    pad, span = hparameters.get("pad", 0), d * (f - 1) + 1
    if isinstance(pad, str) and pad != "valid":
        total = max((-(-n // s) - 1) * s + span - n, 0)
        before = (total + (pad == "same_lower")) // 2
        after = total - before
    else:
        before, after = (0, 0) if pad == "valid" else both(both(pad)[side])
    room = n + before + after - span
    outputs = room // s + 1
    # Rounded up, the last window starts in the image or the padding before it.
    if hparameters.get("ceil_mode", False) and room % s and outputs * s < n + before:
        outputs += 1
    return np.arange(outputs)[:, None] * s - before + np.arange(f) * d, after


def windows_of(images: Array, rows: Array, columns: Array, outside: float) -> tuple[Array, Array]:
    """Every window ``(m, outputs, f_h, outputs, f_w, C)``, `outside` in the padding, and what lies inside."""
    _, h, w, _ = images.shape
    inside = ((rows >= 0) & (rows < h))[..., None, None] & ((columns >= 0) & (columns < w))
    r, q = np.clip(rows, 0, h - 1)[..., None, None], np.clip(columns, 0, w - 1)
    return np.where(inside[..., None], images[:, r, q], images.dtype.type(outside)), inside


def gathered(images: Array, rows: Array, columns: Array, part: Callable[[int, int], Array]) -> Array:
    """For each element of `images` the sum of what it gets as tap (i, j) of some window: `part`."""
    total = np.zeros_like(images)
    for i in range(rows.shape[1]):
        for j in range(columns.shape[1]):
            y = np.flatnonzero((rows[:, i] >= 0) & (rows[:, i] < images.shape[1]))
            x = np.flatnonzero((columns[:, j] >= 0) & (columns[:, j] < images.shape[2]))
            total[:, rows[y, i][:, None], columns[x, j]] += part(i, j)[:, y[:, None], x]
    return total
