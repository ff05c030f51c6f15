"""Images as torch has them, and the numbers of a window in its order."""

from __future__ import annotations

from typing import Any

from conformance.cases.window import Window


def nchw(image: Any) -> Any:
    """An image as torch has it."""
    return image.permute(0, 3, 1, 2).contiguous()


def nhwc(image: Any) -> Any:
    """An image of torch as the contract has it."""
    return image.permute(0, 2, 3, 1)


def both(window: Window, field: str) -> tuple[int, int]:
    """A field of the rows and of the columns."""
    return getattr(window.rows, field), getattr(window.columns, field)


def sides_of(window: Window) -> tuple[int, int, int, int]:
    """The padding as torch has it: left, right, top, bottom."""
    rows, columns = window.rows, window.columns
    return columns.before, columns.after, rows.before, rows.after
