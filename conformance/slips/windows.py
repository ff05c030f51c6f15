"""Windows of images: where they read, cut out and put back. Convolution and pooling share it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.case import Case

Array = NDArray[Any]


@dataclass(frozen=True)
class Window:
    """Where a window reads.

    Tap (i, j) of output (y, x) is row ``y*sh - top + i`` and column ``x*sw - left + j``.
    """

    f: int
    sh: int
    sw: int
    top: int
    left: int
    rows: int
    cols: int

    def taps(self) -> Iterator[tuple[int, int]]:
        """All taps, last first: writing them in this order leaves what a row-major scan leaves."""
        return ((i, j) for i in reversed(range(self.f)) for j in reversed(range(self.f)))

    def shifted(self, by: int) -> Window:
        """The window `by` pixels further to the top and left."""
        return replace(self, top=self.top + by, left=self.left + by)


def window_of(case: Case) -> Window:
    """The right window of a convolution or pooling case (pooling has no padding)."""
    f, s = case["f"], case["s"]
    pad = case["p"] if case.op.startswith("conv") else 0
    rows, cols = ((case[x] + 2 * pad - f) // s + 1 for x in "hw")
    return Window(f, s, s, pad, pad, max(rows, 0), max(cols, 0))


def patches(images: Array, window: Window) -> Array:
    """The windows of `images`, ``(m, rows, cols, f, f, C)``, zero outside the image."""
    _, height, width, _ = images.shape
    r = np.arange(window.rows)[:, None] * window.sh - window.top + np.arange(window.f)
    c = np.arange(window.cols)[:, None] * window.sw - window.left + np.arange(window.f)
    inside = ((r >= 0) & (r < height))[:, None, :, None] & ((c >= 0) & (c < width))[None, :, None, :]
    r, c = np.clip(r, 0, height - 1), np.clip(c, 0, width - 1)
    taken = images[:, r[:, None, :, None], c[None, :, None, :], :]
    return np.where(inside[None, ..., None], taken, 0.0)


def scatter(values: Array, window: Window, shape: tuple[int, ...], overwrite: bool = False) -> Array:
    """Put windows back into images of `shape`: added, or overwritten in the order of a row-major scan."""
    out = np.zeros(shape)
    for i, j in window.taps():
        r = np.arange(window.rows) * window.sh - window.top + i
        c = np.arange(window.cols) * window.sw - window.left + j
        y, x = np.flatnonzero((r >= 0) & (r < shape[1])), np.flatnonzero((c >= 0) & (c < shape[2]))
        place = (slice(None), r[y][:, None], c[x][None, :])
        part = values[:, y[:, None], x[None, :], i, j]
        out[place] = part if overwrite else out[place] + part
    return out
