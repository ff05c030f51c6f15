"""Where an implementation says that it differs, each sentence tied to exactly what it explains.

A module declares ``differs = {OPERATION: {WHAT: SENTENCE}}``. WHAT is a diagnosis (``"subnormals-flushed"``),
a convention (``"pool-nan=ignored"``: the output is right under it), or a function of `Seen` that says which
elements, or whether all of them, are accounted for. Nothing else of the operation is excused: a failure
that no WHAT explains is one that is not declared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import Bound
from conformance.cases.case import Case
from conformance.conventions import Settings, adjusted, parse
from conformance.diagnosis import where
from conformance.faults import CATALOGUE
from conformance.faults.diagnose import RAISED
from conformance.operations import OPERATIONS
from conformance.verdict.compare import compare
from conformance.verdict.record import Record

Arrays = Mapping[str, NDArray[Any]]

#: How the reason of a failure begins that the implementation declares.
DECLARED = "differs as declared: "


@dataclass(frozen=True)
class Seen:
    """A failed output, as a declared difference sees it: `got` is None where there is none of that shape."""

    case: Case
    output: str
    arrays: Arrays | None = None
    expected: NDArray[np.float64] | None = None
    got: NDArray[np.float64] | None = None
    limit: NDArray[np.float64] | None = None


#: Which elements are accounted for, or whether the whole output is.
Explains = Callable[[Seen], Any]
Declared = Mapping[str, Mapping[str | Explains, str]]


class Tried(Protocol):
    """What is known of a case: `judge.Trial`."""

    case: Case
    arrays: Arrays
    expected: dict[str, NDArray[np.float64]]
    limits: dict[str, Bound]

    @property
    def outcome(self) -> Any:
        """What the implementation gave."""

    settings: Settings

    def dtype(self, output: str) -> np.dtype[Any] | None:
        """The dtype that an output must have."""


def read(declared: Any) -> Declared:
    """Check what a module declares.

    Raises
    ------
    ValueError
        If it has not the form above, or names what there is not.
    """
    form = "differs is {OPERATION: {DIAGNOSIS or CONVENTION=VALUE or function: SENTENCE}}"
    if not isinstance(declared, Mapping):
        raise ValueError(f"{form}, got a {type(declared).__name__}")
    for op, entries in declared.items():
        if op not in OPERATIONS:
            raise ValueError(f"differs names {op!r}, which is no operation")
        if not isinstance(entries, Mapping) or not all(isinstance(v, str) and v for v in entries.values()):
            raise ValueError(f"{form}; that of {op} is tied to nothing")
        for what in entries:
            if isinstance(what, str) and "=" in what:
                parse([what])
            elif isinstance(what, str) and what not in CATALOGUE and not what.startswith(RAISED):
                raise ValueError(f"differs[{op!r}] names {what!r}, which is no diagnosis and no convention")
            elif not isinstance(what, str) and not callable(what):
                raise ValueError(f"{form}, got {what!r} for {op}")
    return declared


def marked(declared: Declared, record: Record, trial: Tried | None = None) -> Record:
    """The record of a failure, its reason with the sentence in front if it is a declared difference.

    Parameters
    ----------
    declared : mapping
        What `read` checked.
    record : Record
        The failure.
    trial : Trial, optional
        The case, run; None if its process died.
    """
    for what, sentence in declared.get(record.op, {}).items():
        if _explains(what, record, trial):
            return record.but(reason=f"{DECLARED}{sentence} ({record.reason})")
    return record


def sentence_of(record: Record) -> str:
    """The declared sentence of a failure; empty if it is not declared."""
    if not record.reason.startswith(DECLARED):
        return ""
    return record.reason.removeprefix(DECLARED).partition(" (")[0]


def _explains(what: str | Explains, record: Record, trial: Tried | None) -> bool:
    case = Case.parse(record.case)
    if callable(what):
        return _accounted(what, case, record.output, trial)
    if "=" not in what:
        return record.diagnosis == what
    return trial is not None and _right_under(what, record, trial)


def _accounted(explains: Explains, case: Case, output: str, trial: Tried | None) -> bool:
    """Whether every wrong element is accounted for."""
    if trial is None:
        return explains(Seen(case, output)) is True
    got, expected = trial.outcome.outputs.get(output), trial.expected[output]
    if not isinstance(got, (float, np.ndarray)) or np.shape(got) != expected.shape:
        return explains(Seen(case, output, trial.arrays, expected)) is True
    limit = np.asarray(trial.limits[output].limit, np.float64)
    seen = Seen(case, output, trial.arrays, expected, np.asarray(got, np.float64), limit)
    with np.errstate(all="ignore"):
        mask = np.asarray(explains(seen), np.bool_)
    wrong = where.failing(np.asarray(got), expected, limit)
    return bool(wrong.any()) and bool(np.broadcast_to(mask, wrong.shape)[wrong].all())


def _right_under(convention: str, record: Record, trial: Tried) -> bool:
    """Whether the output is right if one convention is another."""
    chosen = Settings({**trial.settings.conventions, **parse([convention])})
    expected, limits = adjusted(trial.case, trial.arrays, trial.expected, trial.limits, chosen)
    got, name = trial.outcome.outputs.get(record.output), record.output
    verdict = compare(got, expected[name], limits[name], trial.dtype(name))
    return verdict.status == "passed" or verdict.suspect
