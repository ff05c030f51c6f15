"""What a run has seen of each output: which cases failed, by diagnosis, and which passed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, zip_longest

from conformance.cases.case import Case
from conformance.verdict.record import Record

#: Cases of a kind that are kept, and of those how many are looked at.
KEPT, LOOKED_AT = 2000, 400


@dataclass
class History:
    """Cases of one output, as many of each kind as a condition is found from.

    Attributes
    ----------
    passed : dict of str to list of str
        Those that passed, by dtype.
    failed : dict of str to list of str
        Those that failed, by diagnosis.
    """

    passed: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Keep the case of a record."""
        if record.status == "passed":
            kept = self.passed.setdefault(record.dtype, [])
        elif record.status == "failed":
            kept = self.failed.setdefault(str(record.diagnosis), [])
        else:
            return
        if len(kept) < KEPT:
            kept.append(record.case)

    def cases(self, diagnosis: str) -> tuple[list[Case], list[Case]]:
        """The cases that failed with a diagnosis, and those that passed, of all dtypes alike."""
        turns = chain.from_iterable(zip_longest(*self.passed.values()))
        return _spread(self.failed.get(diagnosis, [])), _spread([text for text in turns if text is not None])


def _spread(texts: list[str]) -> list[Case]:
    """So many of the cases as a condition is found from, evenly from first to last."""
    return [Case.parse(text) for text in texts[:: -(-len(texts) // LOOKED_AT) or 1]]


class Histories:
    """The histories of a run."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], History] = {}

    def add(self, records: Iterable[Record]) -> None:
        """Keep the cases of records."""
        for record in records:
            self._of.setdefault((record.op, record.output), History()).add(record)

    def of(self, record: Record) -> History:
        """That of the output of a record."""
        return self._of.get((record.op, record.output), History())
