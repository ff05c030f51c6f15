"""Detectability: the share of single dropped terms that a limit would let us see.

A kernel that leaves one term ``a_k w_k`` out of one sum is caught if ``|a_k w_k|`` exceeds the limit at
that output. The share is measured on 512 terms of each output, spread evenly over all extents by a
fixed quasi-random sequence. Terms are not counted where dropping them changes nothing: those that are
zero in the dtype, and those of a sum that is NaN or infinite with or without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import picked
from conformance.bounds.arithmetic import Limit
from conformance.cases.axis import Axis
from conformance.cases.case import Case
from conformance.cases.dtypes import finfo
from conformance.cases.window import divisors, transposed, window_of

Arrays = Mapping[str, NDArray[Any]]

_COUNT, _AXES = 512, 7


def _sequence() -> NDArray[np.float64]:
    """An additive recurrence with the powers of the root of ``x^8 = x + 1`` (Roberts 2018, R_d)."""
    root = 1.0
    for _ in range(60):
        root = (1 + root) ** (1 / (_AXES + 1))
    steps = root ** -np.arange(1, _AXES + 1, dtype=np.float64)
    return (0.5 + np.outer(steps, np.arange(1, _COUNT + 1))) % 1.0


_SEQUENCE = _sequence()


def seen(
    terms: NDArray[Any],
    limits: NDArray[Any],
    results: NDArray[Any],
    dtype: np.dtype[Any],
    places: NDArray[np.int64] | None = None,
) -> float | None:
    """The share of `terms` above `limits`, of those that count; None if none does.

    `results` are the outputs that the terms go to, at the flat `places` or one by one; `dtype` is that of the
    implementation's numbers.
    """
    total, above = picked.seen(terms, limits, results, places, _least(dtype))
    return above / total if total else None


@cache
def _least(dtype: np.dtype[Any]) -> float:
    """What is at most half of the smallest number is rounded to zero."""
    return float(finfo(dtype).smallest_subnormal) / 2


#: Of each output terms, and the flat places that they are added to.
Picked = dict[str, tuple[NDArray[np.float64], NDArray[np.int64]]]


def convolution(case: Case, arrays: Arrays) -> Picked:
    """Terms of each output of a convolution, plain or transposed, with where they are added to."""
    window, W = window_of(case), arrays["W"]
    turned, of_group, filters = transposed(case), W.shape[2], W.shape[3]
    extents = (case["m"], *window.outputs, window.rows.f, window.columns.f, of_group, filters)
    if 0 in extents:
        return {}
    return picked.convolution(
        _SEQUENCE, extents, _axis(window.rows), _axis(window.columns), case["k" if turned else "c"], turned,
        arrays["A_prev"], W, arrays.get("dZ"),
    )  # fmt: skip


def _axis(axis: Axis) -> tuple[int, int, int, int]:
    return axis.s, axis.d, axis.before, axis.n


def affine(case: Case, arrays: Arrays, upstream: NDArray[Any] | None) -> Picked:
    """Terms of each output of the affine layer."""
    extents = (case["m"], case["i"], case["o"])
    return {} if 0 in extents else picked.affine(_SEQUENCE, extents, arrays["A_prev"], arrays["W"], upstream)


def pooling(case: Case, arrays: Arrays, rows: int, columns: int) -> Picked:
    """Terms of average pooling, and of the gradient of both modes."""
    window = window_of(case)
    extents = (case["m"], rows, columns, case["c"], window.rows.f, window.columns.f)
    if 0 in extents:
        return {}
    by = None if case.word("mode") == "max" else divisors(case)
    return picked.pooling(
        _SEQUENCE, extents, _axis(window.rows), _axis(window.columns), by, arrays["A_prev"], arrays.get("dA")
    )


def pixels(case: Case, arrays: Arrays) -> Picked:
    """Terms of global average pooling."""
    extents = (case["m"], case["h"], case["w"], case["c"])
    return {} if 0 in extents else picked.pixels(_SEQUENCE, extents, arrays["A_prev"])


def share(found: Picked, output: str, limit: Limit, expected: Limit, dtype: np.dtype[Any]) -> float | None:
    """The share of the picked terms of `output` that `limit` lets us see."""
    if output not in found:
        return None
    terms, places = found[output]
    return seen(terms, limit, expected, dtype, places)
