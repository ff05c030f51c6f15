"""How far rounding may take a kernel's output from a slip's float64 result, and whether two results agree.

Only used to recognise a slip, never to pass or fail anything: the verdict's bounds are in
`conformance.bounds`. Here a generous limit for the whole output is enough, because a slip counts only
where it moves the result several times further than that.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance.cases.case import Case
from conformance.cases.dtypes import finfo
from conformance.faults.core import Array, Arrays, Outputs, reference
from conformance.operations.entry import largest

#: How many times the rounding error a slip has to differ from the right result to be told from it.
APART = 4.0


@dataclass(frozen=True)
class Rounding:
    """Limits for one output: ``|got - wrong| <= share * max(size, largest |wrong|) + relative * |wrong|``.

    Attributes
    ----------
    share : float
        The error of a sum, relative to `size`.
    size : float
        The largest sum of the absolute values of the terms.
    relative : float
        The error of what is not a sum.
    smallest : float or ndarray
        What underflow or cancellation may add.
    """

    share: float
    size: float
    relative: float
    smallest: float | Array

    def limit(self, wrong: Array) -> Array:
        """The limit at each element of `wrong`."""
        finite = np.abs(np.where(np.isfinite(wrong), wrong, 0.0))
        shared = self.share * max(self.size, largest(wrong))
        return np.asarray(shared + self.relative * finite + self.smallest)


@dataclass(frozen=True)
class Asked:
    """What the limits are for: one output of a case, on float64 arrays, at a unit roundoff."""

    case: Case
    a: Arrays
    output: str
    unit: float

    @property
    def tiny(self) -> float:
        """The smallest number of the case's dtype."""
        return float(finfo(self.case.numpy_dtype).smallest_subnormal)

    @property
    def absolute(self) -> Outputs:
        """The absolute values of the arrays, the labels as they are."""
        return {name: v if name == "Y" else np.abs(v) for name, v in self.a.items()}

    def reference(self, arrays: Arrays, **options: Any) -> Array:
        """The output in float64 on other arrays."""
        return reference(self.case, arrays, **options)[self.output]


def rounding(case: Case, a: Arrays, output: str, unit: float) -> Rounding | None:
    """The limits for one output at unit roundoff `unit`; None where each result is rounded once."""
    found = case.operation.rounding
    limits: Rounding | None = (
        None if found is None else found(sys.modules[__name__], Asked(case, a, output, unit))
    )
    return limits


def of_sum(asked: Asked, terms: int) -> Rounding:
    """The limits of a sum of products of at most so many terms."""
    size = largest(asked.reference(asked.absolute))
    return Rounding(terms * asked.unit, size, 4 * asked.unit, 16 * asked.tiny)


def agrees(case: Case, got: Array, wrong: Array, limit: Array | None) -> bool:
    """Whether `got` is the slip's result: NaN and infinities in place, the rest within `limit`.

    Without a limit equality is asked for, the slip's result rounded once to the case's dtype.
    """
    if limit is None:
        with np.errstate(over="ignore"):
            return bool(np.array_equal(got, wrong.astype(case.numpy_dtype), equal_nan=True))
    with np.errstate(over="ignore"):
        wrong = np.where(np.isinf(wrong.astype(case.numpy_dtype)), np.copysign(np.inf, wrong), wrong)
    finite = np.isfinite(wrong)
    if not np.array_equal(finite, np.isfinite(got)):
        return False
    if not np.array_equal(got[~finite], wrong[~finite], equal_nan=True):
        return False
    return bool((np.abs(got[finite] - wrong[finite]) <= limit[finite]).all())


def apart(case: Case, wrong: Array, expected: Array, limit: Array | None) -> bool:
    """Whether the slip's result is told from the right one by more than rounding."""
    return not agrees(case, expected, wrong, None if limit is None else APART * limit)


def distance(one: Array, other: Array) -> float:
    """The largest difference; infinite for other shapes and for NaN or infinities on one side only."""
    if one.shape != other.shape:
        return float("inf")
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    difference = np.where(same, 0.0, np.abs(one - other))
    return float(np.where(np.isnan(difference), np.inf, difference).max(initial=0.0))
