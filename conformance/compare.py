"""The verdict on one output: type, shape, dtype, NaN and infinities, then every value against its limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import Bound
from conformance.bounds.storage import spacing
from conformance.formats import finfo


@dataclass(frozen=True)
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
    """Compare an output with the oracle's.

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
    wrong = _form(got, expected, dtype)
    if wrong:
        return Verdict("failed", bound.tier, reason=wrong)
    if not expected.size:
        return Verdict("passed", bound.tier, 0.0, 0.0)
    if bound.target is not None:
        expected = bound.target
    form = stored or dtype or np.dtype(np.float64)
    with np.errstate(all="ignore"):
        return _values(np.asarray(got, np.float64), expected, bound, form)


def _form(got: Any, expected: NDArray[np.float64], dtype: np.dtype[Any] | None) -> str:
    """What is wrong with the type, shape or dtype; empty if nothing is."""
    if dtype is None:
        return "" if isinstance(got, float) else f"is a {_type(got)}, expected a Python float"
    if not isinstance(got, np.ndarray):
        return f"is a {_type(got)}, expected a NumPy array"
    if got.shape != expected.shape:
        return f"shape is {got.shape}, expected {expected.shape}"
    if got.dtype != dtype:
        return f"dtype is {got.dtype}, expected {dtype}"
    return ""


def _type(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _values(
    got: NDArray[np.float64], expected: NDArray[np.float64], bound: Bound, dtype: np.dtype[Any]
) -> Verdict:
    if (got == expected).all():
        first = (0,) * expected.ndim
        return Verdict("passed", bound.tier, 0.0, 0.0, first, float(expected[first]), float(got[first]))
    limit = _shaped(bound.limit, expected)
    error = np.abs(got - expected)
    regular: Any = True
    if not error.max() < np.inf:
        regular = np.isfinite(error)
        place = _nonfinite(got, expected, limit, _overflowing(dtype))
        if place is not None:
            value, wanted = float(got[place]), float(expected[place])
            return Verdict("failed", bound.tier, None, None, place, wanted, value, _unequal(value, wanted))
        error = np.where(regular, error, 0.0)  # equal infinities, NaN where NaN belongs
    worst, fraction = _worst(error, limit)
    finite = expected if regular is True else np.where(regular, expected, 0.0)
    ulps = float((error / spacing(finite, dtype)).max())
    place = tuple(int(i) for i in np.unravel_index(worst, expected.shape))
    found = (ulps, fraction, place, float(expected[place]), float(got[place]))
    if fraction > 1:
        return Verdict("failed", bound.tier, *found, _too_far(bound, error, limit, ulps, fraction))
    if bound.statistical is not None:
        worst, share = _worst(error, _shaped(bound.statistical, expected))
        if share > 1:
            place = tuple(int(i) for i in np.unravel_index(worst, expected.shape))
            reason = f"error is {share:.3g} times the statistical limit, within the a-priori bound"
            found = (ulps, fraction, place, float(expected[place]), float(got[place]))
            return Verdict("failed", bound.tier, *found, reason, suspect=True)
    return Verdict("passed", bound.tier, *found)


def _shaped(limit: NDArray[np.float64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    return limit if limit.shape == expected.shape else np.broadcast_to(limit, expected.shape)


def _overflowing(dtype: np.dtype[Any]) -> float:
    """From where on a true value with its limit may be infinite in `dtype`.

    In half the limit holds half a spacing for the rounding; the other half is what is rounded down.
    """
    largest = float(finfo(dtype).max)
    return largest + (float(spacing(np.asarray(largest), dtype)) if dtype.itemsize == 2 else 0.0)


def _worst(error: NDArray[np.float64], limit: NDArray[np.float64]) -> tuple[int, float]:
    """The flat index and the value of the largest share ``error / limit``; 0 / 0 is 0."""
    share = error / limit
    worst = int(share.argmax())  # NaN before everything else
    if np.isnan(share.item(worst)):
        share = np.where(error == 0, 0.0, share)
        worst = int(share.argmax())
    return worst, float(share.reshape(-1)[worst])


def _nonfinite(
    got: NDArray[np.float64], expected: NDArray[np.float64], limit: NDArray[np.float64], largest: float
) -> tuple[int, ...] | None:
    """The first place where NaN or an infinity stands on one side only.

    An infinity is right where the true value, or one within the limit of it, is beyond the largest
    number of the dtype: rounding to nearest gives it then.
    """
    same = (np.isnan(got) & np.isnan(expected)) | (got == expected)
    overflow = np.isinf(got) & (np.abs(expected) + limit >= largest)
    overflow &= (np.sign(got) == np.sign(expected)) | (limit >= largest)
    finite = np.isfinite(got) & np.isfinite(expected)
    # Where a partial sum may overflow, so may it on both sides: inf - inf.
    unknown = np.isinf(limit) & np.isfinite(expected)
    wrong = ~(same | overflow | finite | unknown)
    if not wrong.any():
        return None
    return tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape))


def _unequal(got: float, expected: float) -> str:
    return f"is {got:g} where {expected:g} was expected"


def _too_far(
    bound: Bound, error: NDArray[np.float64], limit: NDArray[np.float64], ulps: float, fraction: float
) -> str:
    count = int((error > limit).sum())
    share = f"{count} of {error.size} elements"
    if bound.tier == "equal":
        return f"{share} differ, and nothing is rounded in this operation (largest {ulps:.3g} ulp)"
    if bound.tier == "exact":
        return f"{share} differ, and every partial sum of these data is exact (largest {ulps:.3g} ulp)"
    times = "" if np.isinf(fraction) else f", at worst {fraction:.3g} times"
    return f"{share} exceed the bound{times} (largest {ulps:.3g} ulp)"
