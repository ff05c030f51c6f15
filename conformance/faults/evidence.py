"""One output of one case as evidence for or against a slip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from conformance.bounds.tier import kind_of
from conformance.cases.case import Case
from conformance.cases.dtypes import HALF, finfo
from conformance.faults.catalogue import Own, Slip
from conformance.faults.core import Array, Arrays, Outputs, reference
from conformance.faults.rounding import APART, Rounding, agrees, apart, distance, rounding
from conformance.operations.entry import largest

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
        #: Whether the verdict has found it wrong, by bounds that are tighter than these limits.
        self.failed = False
        self._right: Outputs | None = None

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

    def _worst(self, slip: Slip) -> list[Prediction]:
        """As `_predictions` for a slip with a bound of its own, which depends on what was got."""
        return list(self._predict(slip))

    def _predict(self, slip: Slip) -> Iterator[Prediction]:
        limits = self._rounding(slip.unit or self._unit)
        for outputs in slip.outputs(self.case, self.arrays, self._base):
            wrong = np.asarray(outputs.get(self.output, self.expected), np.float64)
            if slip.own is not None:
                yield self._worse(slip.own, wrong)
                continue
            exact = self._exact and not (slip.unit or slip.rounds) and _representable(wrong, self.case)
            yield wrong, None if exact or limits is None else limits.limit(wrong)

    def _worse(self, own: Own, wrong: Array) -> Prediction:
        """The right result with the bound of a slip's own arithmetic; what is not finite is the slip's."""
        if wrong.shape != self.expected.shape:
            return wrong, np.zeros(wrong.shape)
        slack = np.broadcast_to(np.asarray(own(self.case, self.arrays, self.output)), wrong.shape)
        value = np.where(np.isfinite(wrong), self.expected, wrong)
        loose = np.isinf(slack) & (self.got.shape == wrong.shape)
        value = np.where(loose, self.got, value) if loose.any() else value
        return value, self._tight() + slack

    def _tight(self) -> Array:
        """How far rounding may lead in the arithmetic asked for: in half, float32 and one rounding."""
        if self.case.dtype not in HALF:
            return self._limit(0.0)
        limits = self._rounding(2.0**-24)
        tiny = float(finfo(self.case.numpy_dtype).smallest_subnormal)
        once = 2 * self._unit * np.abs(self.expected) + tiny
        return np.asarray((limits.limit(self.expected) if limits else 0.0) + once)

    def worse(self) -> bool:
        """Whether what was got is further from what is right than that arithmetic leads."""
        return not agrees(self.case, self.got, self.expected, self._tight())

    def _base(self, case: Case, arrays: Arrays, **options: Any) -> Outputs:
        """The plain form, computed once where nothing is changed."""
        if options or case is not self.case or arrays is not self.arrays:
            return reference(case, arrays, **options)
        if self._right is None:
            self._right = reference(case, arrays)
        return dict(self._right)

    def _rounding(self, unit: float) -> Rounding | None:
        if unit not in self._limits:
            self._limits[unit] = rounding(self.case, self.arrays, self.output, unit)
        return self._limits[unit]

    def explained_by(self, slip: Slip) -> Slip | None:
        """The slip with those variants that give what was got and not what is right; None without any."""
        with np.errstate(all="ignore"):
            if slip.own is not None:
                if self.got.shape != self.expected.shape:
                    return None
                told = (self.failed or self.worse()) and (
                    slip.signature is None or slip.signature(self.case, self.got, self.expected)
                )
                tight = self._tight()
                fits = [
                    told
                    and (limit is None or bool((limit > tight).any()))
                    and agrees(self.case, self.got, v, limit)
                    for v, limit in self._worst(slip)
                ]
                return slip.narrowed(fits)
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
        if slip.signature or slip.own:
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
            predictions = self._worst(slip) if slip.own else self._predictions(slip)
            for variant, (wrong, limit) in zip(slip.variants, predictions, strict=True):
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
            if slip.own is not None:
                tight = APART * self._tight()
                for wrong, limit in self._worst(slip):
                    if not np.isfinite(wrong).all() or (limit is not None and (limit > tight).any()):
                        return True
                return False
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


def adds_up(
    case: Case, arrays: Mapping[str, Array], output: str, expected: Array, first: Array, second: Array
) -> bool:
    """Whether of two equal calls the second gave the right result on top of what the first gave."""
    if first.shape != expected.shape or second.shape != first.shape:
        return False
    with np.errstate(all="ignore"):
        difference = Evidence(case, arrays, output, second - first, expected)
    total = largest(second)
    return difference.right(total) and difference.visible(total)


def _representable(wrong: Array, case: Case) -> bool:
    """Whether the dtype of the case holds every number of a slip's result: then nothing was rounded."""
    with np.errstate(over="ignore"):
        return bool(np.array_equal(wrong, wrong.astype(case.numpy_dtype), equal_nan=True))
