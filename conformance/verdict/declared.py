"""Whether a failure is one of the differences that the implementation declares of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import Bound
from conformance.cases.case import Case
from conformance.conventions import Settings, adjusted, parse
from conformance.implementations.declared import Declared, Explains, Seen
from conformance.verdict.compare import compare, failing
from conformance.verdict.record import Record

Arrays = Mapping[str, NDArray[Any]]

#: How the reason of a failure begins that the implementation declares.
DECLARED = "differs as declared: "


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


def marked(declared: Declared, record: Record, trial: Tried | None = None) -> Record:
    """The record of a failure, its reason with the sentence in front if it is a declared difference.

    Parameters
    ----------
    declared : mapping
        What `implementations.declared.read` checked.
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
    wrong = failing(np.asarray(got), expected, limit)
    return bool(wrong.any()) and bool(np.broadcast_to(mask, wrong.shape)[wrong].all())


def _right_under(convention: str, record: Record, trial: Tried) -> bool:
    """Whether the output is right if one convention is another."""
    chosen = Settings({**trial.settings.conventions, **parse([convention])})
    expected, limits = adjusted(trial.case, trial.arrays, trial.expected, trial.limits, chosen)
    got, name = trial.outcome.outputs.get(record.output), record.output
    verdict = compare(got, expected[name], limits[name], trial.dtype(name))
    return verdict.status == "passed" or verdict.suspect
