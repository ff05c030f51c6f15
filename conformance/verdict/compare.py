"""The verdict on one output: type, shape, dtype, NaN and infinities, then every value against its limit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import Bound
from conformance.bounds.elements import compared
from conformance.bounds.storage import spacing
from conformance.cases.dtypes import finfo
from conformance.verdict.form import read

_FLOAT64 = np.dtype(np.float64)


@dataclass(slots=True)
class Verdict:
    """What came of comparing one output.

    Attributes
    ----------
    status : {"passed", "failed"}
    tier : str
        The tier that judged.
    max_error_ulp : float or None
        The largest error in units of the spacing of the dtype at the expected value (at least the
        spacing of the smallest normal number); None where no value was compared.
    max_bound_fraction : float or None
        The largest error as a share of its limit, 0 where both are 0.
    index : tuple of int or None
        Where the worst element is.
    expected, got : float or None
        The two values there.
    reason : str
        Why it failed, in one sentence; empty when it passed.
    suspect : bool
        Whether only the statistical limit was exceeded, so that fresh data have to confirm it.
    """

    status: str
    tier: str
    max_error_ulp: float | None = None
    max_bound_fraction: float | None = None
    index: tuple[int, ...] | None = None
    expected: float | None = None
    got: float | None = None
    reason: str = ""
    suspect: bool = False


def compare(
    got: Any,
    expected: NDArray[np.float64],
    bound: Bound,
    dtype: np.dtype[Any] | None,
    stored: np.dtype[Any] | None = None,
) -> Verdict:
    """Compare an output with the oracle's; `form.read` puts another form right before, where that can be.

    Parameters
    ----------
    got : object
        What the implementation returned.
    expected : ndarray of float64
        The oracle's output.
    bound : Bound
        What it is held to.
    dtype : numpy dtype or None
        The dtype that the output must have; None for a Python float (0-d `expected`).
    stored : numpy dtype, optional
        The half dtype that a Python float has been rounded to.
    """
    # What is not plainly right is looked into; a dtype of NumPy equals None if it is float64.
    right = (
        dtype is not None and type(got) is np.ndarray and got.dtype == dtype and got.shape == expected.shape
    )
    if not right:
        form = read(got, expected.shape, dtype)
        if form.wrong or form.said:
            return Verdict("failed", bound.tier, reason=form.wrong or form.said.partition(": ")[2])
    if not expected.size:
        return Verdict("passed", bound.tier, 0.0, 0.0)
    if bound.target is not None:
        expected = bound.target
    return _values(got, expected, bound, stored or dtype or _FLOAT64)


def failing(got: NDArray[Any], expected: NDArray[Any], limit: NDArray[Any]) -> NDArray[np.bool_]:
    """Which elements are further from the expected ones than their limit, or NaN or infinite on one side."""
    with np.errstate(all="ignore"):
        error = np.abs(np.asarray(got, np.float64) - expected)
        same = (np.asarray(got, np.float64) == expected) | (np.isnan(got) & np.isnan(expected))
        wrong = ~(error <= np.broadcast_to(limit, expected.shape)) & ~same
    return np.asarray(wrong, np.bool_)


def _values(got: Any, expected: NDArray[np.float64], bound: Bound, dtype: np.dtype[Any]) -> Verdict:
    unequal, exceeding, ulps, fraction, place, wanted, value, suspicion = compared(
        got, expected, bound.limit, bound.statistical, _grid(dtype)
    )
    if not unequal:
        return Verdict("passed", bound.tier, 0.0, 0.0, place, wanted, value)
    if exceeding < 0:
        return Verdict("failed", bound.tier, None, None, place, wanted, value, _unequal(value, wanted))
    if fraction > 1:
        reason = _too_far(bound, f"{exceeding} of {expected.size} elements", ulps, fraction)
        return Verdict("failed", bound.tier, ulps, fraction, place, wanted, value, reason)
    if suspicion is not None and suspicion[0] > 1:
        share, place, wanted, value = suspicion
        reason = f"error is {share:.3g} times the statistical limit, within the a-priori bound"
        return Verdict("failed", bound.tier, ulps, fraction, place, wanted, value, reason, suspect=True)
    return Verdict("passed", bound.tier, ulps, fraction, place, wanted, value)


@cache
def _grid(dtype: np.dtype[Any]) -> tuple[float, float, float, float]:
    """The numbers of `dtype`, as `elements.compared` takes them.

    In half the limit holds half a spacing for the rounding; the other half is what is rounded down to the
    largest number.
    """
    info = finfo(dtype)
    largest = float(info.max)
    beyond = float(spacing(np.asarray(largest), dtype)) if dtype.itemsize == 2 else 0.0
    return float(info.tiny), 2.0 ** float(info.maxexp - 1), float(info.eps), largest + beyond


def _unequal(got: float, expected: float) -> str:
    return f"is {got:g} where {expected:g} was expected"


#: Errors beyond so many ULPs are all as wrong.
FAR_ULP = 1000


def _too_far(bound: Bound, share: str, ulps: float, fraction: float) -> str:
    size = f"largest {ulps:.3g} ulp" if ulps <= FAR_ULP else f"by more than {FAR_ULP:,} ulp"
    if bound.tier == "equal":
        return f"{share} differ, and nothing is rounded in this operation ({size})"
    if bound.tier == "exact":
        return f"{share} differ, and every partial sum of these data is exact ({size})"
    times = "" if math.isinf(fraction) else f", at worst {fraction:.3g} times"
    return f"{share} exceed the bound{times} ({size})"


def fitted(got: Any, shape: tuple[int, ...]) -> Any:
    """`got` in `shape`, if only leading ones are missing or too many; else as it is."""
    if not isinstance(got, np.ndarray) or got.shape == shape:
        return got
    return got.reshape(shape) if _bare(got.shape) == _bare(shape) else got


def _bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without its leading ones."""
    first = next((i for i, extent in enumerate(shape) if extent != 1), len(shape))
    return shape[first:]
