"""The arrays of a case, what is right for them, how far an answer may be off, and the verdict on one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import Bound
from conformance.bounds.table import bounds
from conformance.cases.case import Case
from conformance.cases.dtypes import HALF, KNOWN, working
from conformance.conventions import Settings, adjusted, read
from conformance.operations import OPERATIONS
from conformance.oracle.torch_oracle import evaluate
from conformance.verdict import form
from conformance.verdict.compare import Verdict, compare, fitted
from conformance.verdict.form import Form
from conformance.verdict.record import REMARK, TAILS

if TYPE_CHECKING:
    from conformance.implementations.implementation import Implementation

Arrays = Mapping[str, NDArray[Any]]


def output_dtype(case: Case, output: str) -> np.dtype[Any] | None:
    """The dtype an output must have; None for a Python float."""
    return forms(case.op, case.dtype)[output][0]


@cache
def forms(op: str, dtype: str) -> dict[str, tuple[np.dtype[Any] | None, np.dtype[Any] | None]]:
    """Of each output the dtype it must have, and the one whose numbers it holds where that is another."""
    entry, stored = OPERATIONS[op], np.dtype(KNOWN[dtype])
    found: dict[str, tuple[np.dtype[Any] | None, np.dtype[Any] | None]] = {}
    for output in entry.outputs:
        asked: np.dtype[Any] | None = stored
        if output in entry.forms:
            name = entry.forms[output].dtype
            asked = None if name is None else working(dtype) if name == "working" else np.dtype(name)
        held = stored if dtype in HALF and entry.rounds(output) else None
        if asked is not None and asked.itemsize > working(dtype).itemsize:
            held = working(dtype)  # judged by the dtype that the arithmetic was asked for
        found[output] = asked, held
    return found


def _harmless(op: str, output: str) -> frozenset[str]:
    """The kinds of dtype that mislead nobody: a mask of booleans, either float of what is spread."""
    entry = OPERATIONS[op]
    if "mask" in entry.traits:
        return frozenset("biu")
    wide = output in entry.forms and entry.forms[output].dtype == "float64"
    return frozenset("f") if wide else frozenset()


def formed(case: Case, output: str, got: Any, shape: tuple[int, ...]) -> Form:
    """An output in the form that is asked for, if it can be put so."""
    return form.read(got, shape, output_dtype(case, output), _harmless(case.op, output))


@dataclass(frozen=True)
class Right:
    """What is right for a case with these arrays."""

    case: Case
    arrays: Arrays
    expected: dict[str, NDArray[np.float64]]
    limits: dict[str, Bound]
    settings: Settings

    def read(self, name: str, got: Any) -> Form:
        """What was given for an output, in the form that is asked for."""
        shape = self.expected[name].shape
        return formed(self.case, name, fitted(got, shape) if self.settings.lenient_shapes else got, shape)

    def verdict(self, name: str, got: Any) -> Verdict:
        """The verdict on what was given for an output."""
        verdict = self._compared(name, self.read(name, got).value, self.limits[name])
        came, asked = np.shape(got), self.expected[name].shape
        if not self.settings.lenient_shapes or came == asked or verdict.status != "passed":
            return verdict
        return replace(verdict, reason=f"{REMARK}{came}, expected {asked}")

    def of_tails(self, name: str, got: Any, verdict: Verdict) -> Verdict:
        """The verdict, with what another accuracy of the tails would make of it, if none is declared.

        What passes that falls short of a stricter one is remarked on; what fails that a more lenient one
        allows is told how to declare it.
        """
        tails = self.limits[name].tails
        if tails is None or tails.declared or not verdict.max_bound_fraction:
            return verdict
        passed = verdict.status == "passed"
        for word in tails.stricter if passed else tails.looser:
            other = self._compared(name, got, tails.under(word))
            if passed and other.status == "failed":
                return replace(verdict, reason=f"{TAILS}{tails.held}, not {word}: {other.reason}")
            if not passed and other.status == "passed":
                hint = f"accuracy = {{{self.case.op!r}: {word!r}}} declares that"
                return replace(verdict, reason=f"{verdict.reason}; {hint}")
        return verdict

    def _compared(self, name: str, got: Any, limit: Bound) -> Verdict:
        dtype, held = forms(self.case.op, self.case.dtype)[name]
        return compare(got, self.expected[name], limit, dtype, held)


def right(implementation: Implementation, case: Case, arrays: Arrays) -> Right:
    """What is right for `case` with `arrays`, read as strictly as the implementation is."""
    settings, arithmetic = implementation.settings, implementation.arithmetic
    if not settings.conventions:
        expected = evaluate(case, arrays)
        return Right(case, arrays, expected, bounds(case, arrays, expected, arithmetic), settings)
    seen = read(case, arrays, settings)
    expected = evaluate(case, seen)
    limits = bounds(case, seen, expected, arithmetic)
    return Right(case, arrays, *adjusted(case, seen, expected, limits, settings), settings)
