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
    out = np.zeros(shape)
    rows, columns = window.rows.reads(), window.columns.reads()
    for i, j in window.taps():
        r, c = rows[:, i], columns[:, j]
        y, x = np.flatnonzero((r >= 0) & (r < shape[1])), np.flatnonzero((c >= 0) & (c < shape[2]))
        place = (slice(None), r[y][:, None], c[x][None, :])
        part = values[:, y[:, None], x[None, :], i, j]
        out[place] = part if overwrite else out[place] + part
    return out
