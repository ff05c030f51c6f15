"""One output of one case as evidence for or against a slip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np

from conformance.bounds.tier import kind_of
from conformance.cases.case import Case
from conformance.cases.dtypes import finfo
from conformance.faults.catalogue import Slip
from conformance.faults.core import Array, reference
from conformance.faults.rounding import APART, Rounding, agrees, apart, distance, rounding

#: A slip's result and the limit of rounding, None if nothing rounds.
Prediction = tuple[Array, Array | None]


class Evidence:
    """One output of one case with what is right, and the questions a diagnosis asks of it."""

    def __init__(
        self,
        case: Case,
        arrays: Mapping[str, Array],
        output: str,
        got: Array | None,
        expected: Array | None,
    ) -> None:
        self.case, self.output = case, output
        self.arrays = {
            name: np.asarray(v) if name == "Y" else np.asarray(v, np.float64) for name, v in arrays.items()
        }
        with np.errstate(all="ignore"):
            right = reference(case, self.arrays)[output] if expected is None else expected
        self.expected = np.asarray(right, np.float64)
        self.got = self.expected if got is None else np.asarray(got, np.float64)
        self.finite = all(bool(np.isfinite(v).all()) for v in self.arrays.values())
        self._unit = float(finfo(case.numpy_dtype).eps) / 2
        self._exact = kind_of(case) == "exact"
        self._known: dict[str, list[Prediction]] = {}
        self._limits: dict[float, Rounding | None] = {}

    def seen(self, got: Array) -> Evidence:
        """The same with what an implementation gave."""
        self.got = np.asarray(got, np.float64)
        return self

    def _predictions(self, slip: Slip) -> list[Prediction]:
        """What each variant of a slip gives here, with the limit of rounding (None if nothing rounds)."""
        key = f"{slip.id} {slip.variants}"
        if key not in self._known:
            self._known[key] = list(self._predict(slip))
        return self._known[key]

    def _predict(self, slip: Slip) -> Iterator[Prediction]:
        limits = self._rounding(slip.unit or self._unit)
        for outputs in slip.outputs(self.case, self.arrays):
            wrong = np.asarray(outputs.get(self.output, self.expected), np.float64)
            exact = self._exact and not slip.unit and _representable(wrong, self.case)
            yield wrong, None if exact or limits is None else limits.limit(wrong)

    def _rounding(self, unit: float) -> Rounding | None:
        if unit not in self._limits:
            self._limits[unit] = rounding(self.case, self.arrays, self.output, unit)
        return self._limits[unit]

    def explained_by(self, slip: Slip) -> Slip | None:
        """The slip with those variants that give what was got and not what is right; None without any."""
        with np.errstate(all="ignore"):
            if slip.signature:
                told = slip.signature(self.case, self.got, self.expected)
                fits = [told and agrees(self.case, self.got, *p) for p in self._predictions(slip)]
                return slip.narrowed(fits)
            return slip.narrowed(
                [
                    agrees(self.case, self.got, wrong, limit)
                    and apart(self.case, wrong, self.expected, limit)
                    for wrong, limit in self._predictions(slip)
                ]
            )

    def closer_to(self, slip: Slip) -> Slip | None:
        """As `explained_by`, for a slip established on other cases: it may be as small as rounding here.

        It is enough that what was got agrees with the slip and lies several times further from what is
        right.
        """
        if slip.signature:
            return self.explained_by(slip)
        with np.errstate(all="ignore"):
            return slip.narrowed(
                [
                    agrees(self.case, self.got, wrong, limit)
                    and distance(self.got, wrong) * APART < distance(self.got, self.expected)
                    for wrong, limit in self._predictions(slip)
                ]
            )

    def consistent_with(self, slip: Slip) -> Slip | None:
        """The slip with those variants that do not contradict what was got; None without any."""
        with np.errstate(all="ignore"):
            fits = []
            for variant, (wrong, limit) in zip(slip.variants, self._predictions(slip), strict=True):
                if np.isnan(variant.get("fill", 0.0)) and not self.right():
                    wrong = self._unwritten(wrong)
                fits.append(agrees(self.case, self.got, wrong, limit))
            return slip.narrowed(fits)

    def _unwritten(self, wrong: Array) -> Array:
        """A result with what was got where a part of it is NaN: memory never written may hold anything."""
        if wrong.shape != self.got.shape or np.isnan(wrong).all():
            return wrong
        return np.where(np.isnan(wrong), self.got, wrong)

    def shows(self, slip: Slip) -> bool:
        """Whether the slip would be seen in this case."""
        with np.errstate(all="ignore"):
            return bool(slip.signature) or any(
                apart(self.case, wrong, self.expected, limit) for wrong, limit in self._predictions(slip)
            )

    def tells_apart(self, slips: list[Slip]) -> bool:
        """Whether two of the slips give different results in this case."""
        with np.errstate(all="ignore"):
            predictions = [list(self._predictions(slip)) for slip in slips]
            return any(
                all(apart(self.case, w, v, limit) for w, limit in one for v, _ in other)
                for one, other in combinations(predictions, 2)
            )

    def right(self, total: float = 0.0) -> bool:
        """Whether what was got is right, up to rounding (also of a `total` that it was taken from)."""
        return agrees(self.case, self.got, self.expected, self._limit(total))

    def visible(self, total: float) -> bool:
        """Whether the right output is told from zero when it is taken from a `total`."""
        zeros = np.zeros_like(self.expected)
        return not agrees(self.case, zeros, self.expected, APART * self._limit(total))

    def _limit(self, total: float) -> Array:
        limits = self._rounding(self._unit)
        return (limits.limit(self.expected) if limits else 0.0) + np.full(
            self.expected.shape, 4 * self._unit * total
        )


def _representable(wrong: Array, case: Case) -> bool:
    """Whether the dtype of the case holds every number of a slip's result: then nothing was rounded."""
    with np.errstate(over="ignore"):
        return bool(np.array_equal(wrong, wrong.astype(case.numpy_dtype), equal_nan=True))
