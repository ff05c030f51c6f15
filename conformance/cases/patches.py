"""Windows of images cut out and put back. Convolution and pooling share it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases.window import Window

Array = NDArray[Any]


def patches(images: Array, window: Window, outside: float = 0.0) -> Array:
    """The windows of `images`, ``(m, rows, columns, f_h, f_w, C)``, `outside` where they leave the image."""
    _, height, width, _ = images.shape
    r, c = window.rows.reads(), window.columns.reads()
    inside = ((r >= 0) & (r < height))[:, None, :, None] & ((c >= 0) & (c < width))[None, :, None, :]
    r, c = np.clip(r, 0, height - 1), np.clip(c, 0, width - 1)
    taken = images[:, r[:, None, :, None], c[None, :, None, :], :]
    return np.where(inside[None, ..., None], taken, outside)


def scatter(values: Array, window: Window, shape: tuple[int, ...], overwrite: bool = False) -> Array:
    """Put windows back into images of `shape`: added, or overwritten in the order of a row-major scan."""
    rows, columns = window.rows.reads(), window.columns.reads()
    if not rows.size or not columns.size:
        return np.zeros(shape)
    # With room for what is read outside the image, so that each tap is one slice.
    (top, height), (left, width) = _room(rows, shape[1]), _room(columns, shape[2])
    out = np.zeros((shape[0], height, width, shape[3]))
    for i, j in window.taps():
        place = (slice(None), _slice(rows[:, i] + top), _slice(columns[:, j] + left))
        part = values[:, :, :, i, j]
        out[place] = part if overwrite else out[place] + part
    return np.ascontiguousarray(out[:, top : top + shape[1], left : left + shape[2]])


def _room(reads: Array, extent: int) -> tuple[int, int]:
    """How far before an axis is read, and how long it is with that and what is read behind it."""
    before = max(0, -int(reads.min()))
    return before, before + max(extent, int(reads.max()) + 1)


def _slice(places: Array) -> slice:
    """Places at equal distances."""
    first, last = int(places[0]), int(places[-1])
    step = (last - first) // (len(places) - 1) if len(places) > 1 else 1
    return slice(first, last + 1, step)
