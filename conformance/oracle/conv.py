"""The oracle's convolutions; see `conformance.oracle`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from conformance.cases.case import Case
from conformance.cases.window import Window, window_of

Tensors = dict[str, Tensor]


def nchw(image: Tensor) -> Tensor:
    """An image as torch has it."""
    return image.permute(0, 3, 1, 2).contiguous()


def nhwc(image: Tensor) -> Tensor:
    """An image of torch as the contract has it."""
    return image.permute(0, 2, 3, 1)


def both(window: Window, field: str) -> tuple[int, int]:
    """A field of the rows and of the columns."""
    return getattr(window.rows, field), getattr(window.columns, field)


def sides_of(window: Window) -> tuple[int, int, int, int]:
    """The padding as torch has it: left, right, top, bottom."""
    rows, columns = window.rows, window.columns
    return columns.before, columns.after, rows.before, rows.after


def single_step(case: Case, t: Tensors) -> Tensor:
    """One window, and the bias."""
    return (t["a_slice_prev"] * t["W"]).sum() + t["b"]


def convolution(case: Case, t: Tensors) -> Tensor:
    """Torch's conv2d."""
    image, filters, bias = t["A_prev"], t["W"], t["b"]
    window = window_of(case)
    if image.numel() == 0 or filters.numel() == 0:
        # torch drops the filters when there is no channel; the sum over no channel is the bias alone.
        return bias.expand(case["m"], *window.outputs, case["k"])
    # Padding by hand: torch's own rule for the padding argument depends on the backend.
    padded = functional.pad(nchw(image), sides_of(window))
    weight = filters.permute(3, 2, 0, 1).contiguous()
    return nhwc(
        functional.conv2d(
            padded, weight, bias.reshape(-1), both(window, "s"), 0, both(window, "d"), case["g"]
        )
    )


def transposed(case: Case, t: Tensors) -> Tensor:
    """Torch's conv_transpose2d without padding; what the padding takes off is cut off its output."""
    image, filters, bias = t["A_prev"], t["W"], t["b"]
    window = window_of(case)
    rows, columns = window.rows, window.columns
    if image.numel() == 0 or filters.numel() == 0:  # the sum over no channel is the bias alone
        return bias.expand(case["m"], rows.n, columns.n, case["k"])
    weight = filters.permute(3, 2, 0, 1).contiguous()
    s, d = both(window, "s"), both(window, "d")
    reach = [(axis.outputs - 1) * axis.s + axis.span for axis in (rows, columns)]
    more = [
        axis.n + axis.before + axis.after - there for axis, there in zip((rows, columns), reach, strict=True)
    ]
    whole = torch.conv_transpose2d(nchw(image), weight, bias.reshape(-1), s, 0, more, case["g"], d)
    kept = whole[:, :, rows.before : rows.before + rows.n, columns.before : columns.before + columns.n]
    return nhwc(kept)
