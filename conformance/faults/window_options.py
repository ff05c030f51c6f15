"""Faults of what a convolution or a pool may be asked beyond one square window, one stride and one padding.

Of both: rows and columns, or the two ends of an axis, taken for each other, dilation; of a pool: the padding
of a maximum, rounding, the border; of a convolution: groups.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from conformance.cases.case import Case
from conformance.cases.window import Window, counts_padding, pair, window_of
from conformance.faults.catalogue import slip
from conformance.faults.core import Array, Arrays, Base, Outputs
from conformance.faults.rows import is_word, option
from conformance.operations.conv import blocks

_BOTH = {"pool_forward": "A", "pool_backward": "dA_prev"}
_TRANSPOSE = {"conv_transpose_forward": "Z", "conv_transpose_backward": "dA_prev dW"}
_CONV = {"conv_forward": "Z", "conv_backward": "dA_prev dW", **_TRANSPOSE}
_WINDOWED = {**_BOTH, **_CONV}
_average = is_word("mode", "average")

option(
    "pool-padding-is-zero",
    "The padding of a maximum holds 0 instead of nothing, so it wins over negative numbers.",
    _BOTH,
    is_word("mode", "max"),
    outside=0.0,
)
option(
    "pool-border-counted-otherwise",
    "An average counts the padding where it should not, or the other way round (count_include_pad).",
    _BOTH,
    _average,
    of=lambda case, a: {"divisor": window_of(case).counts(not counts_padding(case))[..., None]},
)
option(
    "pool-overhang-counted",
    "An average divides by the whole window where a last window reaches beyond the padding (ceil_mode).",
    _BOTH,
    lambda case: _average(case) and counts_padding(case),
    of=lambda case, a: {"divisor": float(window_of(case).size)},
)


@slip(
    "ceil-ignored",
    "The output's extents are rounded down where they should be rounded up: a row or column is missing.",
    {"pool_forward": "A"},
)
def _ceil_ignored(case: Case, a: Arrays, base: Base) -> Outputs:
    rows, columns = window_of(case.replace(rounding="floor")).outputs
    return {"A": base(case, a)["A"][:, :rows, :columns]}


def _window(id: str, text: str, **settings: Callable[[Case], tuple[int, int]]) -> None:
    """A slip that places the windows otherwise: settings of rows and columns that a case makes."""
    option(
        id,
        text,
        _WINDOWED,
        of=lambda case, a: {"window": window_of(case).but(**{k: of(case) for k, of in settings.items()})},
    )


def _exchanged(what: str) -> Callable[[Case], tuple[int, int]]:
    """A setting of rows and columns, exchanged."""
    return lambda case: (getattr(window_of(case).columns, what), getattr(window_of(case).rows, what))


_window(
    "dilation-ignored",
    "The taps of a window lie side by side instead of `dilation` apart.",
    d=lambda case: (1, 1),
)
_window("dilation-exchanged", "The dilations of rows and columns are exchanged.", d=_exchanged("d"))
_window("stride-exchanged", "The strides of rows and columns are exchanged.", s=_exchanged("s"))
_window("padding-exchanged", "The paddings of rows and columns are exchanged.", before=_exchanged("before"))
_window(
    "padding-sides-exchanged",
    "The padding of the bottom is at the top, that of the right at the left, and the other way round.",
    before=lambda case: (window_of(case).rows.after, window_of(case).columns.after),
)


def _of_stride_one(case: Case, a: Arrays) -> dict[str, Window]:
    window = window_of(case)
    return {"window": window.but(before=((window.rows.span - 1) // 2, (window.columns.span - 1) // 2))}


option(
    "same-padding-of-stride-one",
    "With padding 'same' the first row and column are those of stride 1, whatever the stride.",
    {"conv_forward": "Z", "conv_backward": "dA_prev dW", "pool_forward": "A", "pool_backward": "dA_prev"},
    lambda case: case.value("p") == "same",
    of=_of_stride_one,
)


@slip(
    "groups-interleaved",
    "Groups are every n-th channel, of the input, of the output or of both, instead of neighbouring ones.",
    _CONV,
    variants=({"inputs": True, "filters": True}, {"inputs": True, "filters": False},
              {"inputs": False, "filters": True}),
)  # fmt: skip
def _groups_interleaved(case: Case, a: Arrays, base: Base, inputs: bool, filters: bool) -> Outputs:
    def sees(channels: int, count: int, groups: int) -> Array:
        c, k = np.arange(channels)[:, None], np.arange(count)
        of_channel = c % groups if inputs else c * groups // max(channels, 1)
        of_filter = k % groups if filters else k * groups // max(count, 1)
        return np.asarray(of_channel == of_filter)

    return base(case, a, sees=sees)


option(
    "groups-all-of-the-first",
    "Every filter reads the channels of the first group.",
    _CONV,
    sees=lambda channels, count, groups: np.repeat(blocks(channels, count, groups)[:, :1], count, 1),
)


@slip(
    "output-padding-ignored",
    "The rows and columns that output_padding adds are missing, or their gradient is not read.",
    {"conv_transpose_forward": "Z", "conv_transpose_backward": "dA_prev dW db"},
)
def _output_padding_ignored(case: Case, a: Arrays, base: Base) -> Outputs:
    rows, columns = _without_output_padding(case)
    if not case.operation.upstream:
        return {"Z": base(case, a)["Z"][:, :rows, :columns]}
    dZ = np.array(a["dZ"])
    dZ[:, rows:] = dZ[:, :, columns:] = 0.0
    return base(case, {**a, "dZ": dZ})


def _output_padding_before(case: Case, a: Arrays) -> dict[str, Window]:
    window, more = window_of(case), pair(case.value("e"))
    return {"window": window.but(before=(window.rows.before - more[0], window.columns.before - more[1]))}


option(
    "output-padding-before",
    "The rows and columns that output_padding adds are at the top and left, not at the bottom and right.",
    _TRANSPOSE,
    of=_output_padding_before,
)


@slip(
    "output-padding-appended",
    "The rows and columns that output_padding adds hold 0, or the bias alone, where windows reach into them.",
    {"conv_transpose_forward": "Z"},
    variants=({"biased": False}, {"biased": True}),
)
def _output_padding_appended(case: Case, a: Arrays, base: Base, biased: bool) -> Outputs:
    rows, columns = _without_output_padding(case)
    Z = np.array(base(case, a)["Z"])
    kept = Z[:, :rows, :columns].copy()
    Z[:] = a["b"].reshape(-1) if biased else 0.0
    Z[:, :rows, :columns] = kept
    return {"Z": Z}


def _without_output_padding(case: Case) -> tuple[int, int]:
    """Rows and columns of the output that are there without it."""
    window, more = window_of(case), pair(case.value("e"))
    return window.rows.n - more[0], window.columns.n - more[1]
