"""Pictures of where an output is wrong: text for a terminal, SVG for the report.

A picture is a few rows of characters: ``#`` all wrong, ``+`` partly wrong, ``.`` right,
``o`` what a sum is made of. The drawing on the
page is made from the same rows, so both show the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.diagnosis.where import Mask

#: Characters, or squares of a drawing, on a side; a larger plane is drawn in blocks.
SIDE = 48

RIGHT, PARTLY, WRONG, USED = ".+#o"
_CELL = 9


@dataclass(frozen=True)
class Picture:
    """A plane of squares.

    Attributes
    ----------
    title : str
        What is drawn, and which axes it runs over.
    rows : tuple of str
        One character for each square.
    """

    title: str
    rows: tuple[str, ...]

    def text(self) -> list[str]:
        """The lines for a terminal."""
        return [self.title, *(f"  {' '.join(row)}" for row in self.rows)]

    def svg(self) -> str:
        """An SVG element that stands by itself in a page."""
        width, height = _CELL * max(map(len, self.rows), default=0), _CELL * len(self.rows)
        squares = "".join(
            f'<rect class="{_CLASSES.get(letter, "right")}" x="{x * _CELL}" y="{y * _CELL}" '
            f'width="{_CELL - 1}" height="{_CELL - 1}"/>'
            for y, row in enumerate(self.rows)
            for x, letter in enumerate(row)
        )
        title = escape(self.title)
        return (
            f'<svg class="plane" role="img" aria-label="{title}" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}">{squares}</svg>'
        )

    def to_dict(self) -> dict[str, Any]:
        """What ``summary.json`` holds."""
        return {"title": self.title, "rows": list(self.rows)}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Picture:
        """Read what `to_dict` wrote."""
        return cls(str(found["title"]), tuple(map(str, found["rows"])))


_CLASSES = {WRONG: "wrong", PARTLY: "partly", USED: "used"}


def plane(mask: Mask, names: tuple[str, ...], output: str) -> Picture | None:
    """The failing elements over the plane of the image or filter, all samples and channels as one.

    None for an output that has no plane.
    """
    if mask.ndim < 2 or not mask.size:
        return None
    rows, columns = (1, 2) if names[:1] == ("m",) and mask.ndim == 4 else (0, 1)
    if mask.shape[rows] == mask.shape[columns] == 1:
        return None
    others = tuple(axis for axis in range(mask.ndim) if axis not in (rows, columns))
    share = mask.mean(axis=others) if others else mask.astype(np.float64)
    title = f"{output}: {names[rows]} down, {names[columns]} across"
    if others:
        title += f", all {' and '.join(names[axis] for axis in others)}"
    return Picture(title, _rows(_blocks(share)))


def taps(wrong: Mask, title: str) -> Picture:
    """The taps of a filter or window that are wrong."""
    return Picture(title, _rows(wrong.astype(np.float64)))


def _rows(share: NDArray[np.float64]) -> tuple[str, ...]:
    return tuple(
        "".join(WRONG if s == 1 else PARTLY if s > 0 else RIGHT for s in row) for row in share.tolist()
    )


def _blocks(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over blocks, so that neither side is longer than `SIDE`."""
    for axis in (0, 1):
        extent = share.shape[axis]
        if extent > SIDE:
            starts = np.unique(np.arange(SIDE) * extent // SIDE)
            sums = np.add.reduceat(share, starts, axis=axis)
            sizes = np.diff([*starts, extent])
            share = sums / np.expand_dims(sizes, 1 - axis)
    return share
