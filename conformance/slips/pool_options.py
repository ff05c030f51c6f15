"""Slips of what a pool may be asked beyond a dense square window: padding, dilation, rounding, the border."""

from __future__ import annotations

from conformance.case import Case
from conformance.slips.catalogue import slip
from conformance.slips.core import Arrays, Base, Outputs
from conformance.window import counts_padding, window_of

_BOTH = {"pool_forward": "A", "pool_backward": "dA_prev"}


@slip(
    "pool-padding-is-zero",
    "The padding of a maximum holds 0 instead of nothing, so it wins over negative numbers.",
    _BOTH,
)
def _pool_padding_is_zero(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, outside=0.0) if case.word("mode") == "max" else {}


@slip(
    "pool-border-counted-otherwise",
    "An average counts the padding where it should not, or the other way round (count_include_pad).",
    _BOTH,
)
def _pool_border_counted_otherwise(case: Case, a: Arrays, base: Base) -> Outputs:
    if case.word("mode") != "average":
        return {}
    counts = window_of(case).counts(not counts_padding(case))
    return base(case, a, divisor=counts[..., None])


@slip(
    "pool-overhang-counted",
    "An average divides by the whole window where a last window reaches beyond the padding (ceil_mode).",
    _BOTH,
)
def _pool_overhang_counted(case: Case, a: Arrays, base: Base) -> Outputs:
    if case.word("mode") != "average" or not counts_padding(case):
        return {}
    return base(case, a, divisor=float(window_of(case).size))


@slip(
    "ceil-ignored",
    "The output's extents are rounded down where they should be rounded up: a row or column is missing.",
    {"pool_forward": "A"},
)
def _ceil_ignored(case: Case, a: Arrays, base: Base) -> Outputs:
    rows, columns = window_of(case.replace(rounding="floor")).outputs
    return {"A": base(case, a)["A"][:, :rows, :columns]}


@slip("dilation-ignored", "The taps of a window lie side by side instead of `dilation` apart.", _BOTH)
def _dilation_ignored(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, window=window_of(case).but(d=(1, 1)))


@slip("stride-exchanged", "The strides of rows and columns are exchanged.", _BOTH)
def _stride_exchanged(case: Case, a: Arrays, base: Base) -> Outputs:
    window = window_of(case)
    return base(case, a, window=window.but(s=(window.columns.s, window.rows.s)))
