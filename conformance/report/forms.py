"""The form of a module's answers, where it is not as asked for: said once, whatever the number of cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from conformance.report.text import counted, listed
from conformance.verdict.form import SHAPE, fault
from conformance.verdict.record import Record

#: Outputs that a sentence names.
_NAMED = 6

#: Remarks of a run that are told one by one, and what stands for the others.
_REMARKS, _OTHERS = 12, "and more like these (results.jsonl has all)"

#: Outputs by what was seen, and how often.
_Seen = dict[str, Counter[str]]


class Forms:
    """The forms of a run, gathered record by record."""

    def __init__(self) -> None:
        self._faults: dict[str, _Seen] = {}
        self._remarks: _Seen = {}

    def add(self, records: Sequence[Record]) -> bool:
        """Count the records of one case; returns whether there is a fault among them."""
        found = False
        for record in records:
            for said in record.form.split("; ") if record.form else ():
                name, seen = fault(said), said.partition(": ")[2]
                kind = self._faults.setdefault(name, {}) if name else self._remarks
                if kind is self._remarks and seen not in kind and len(kind) >= _REMARKS:
                    seen = _OTHERS  # an exception's text has numbers of its case in it
                # Shapes are those of one case alone.
                kind.setdefault("" if name == SHAPE else seen, Counter())[f"{record.op}.{record.output}"] += 1
                found = found or bool(name)
        return found

    def faults(self) -> list[dict[str, Any]]:
        """``summary.json``'s ``faults``: each fault of form with the outputs that have it, and a sentence."""
        return [
            {"id": name, "sentence": _sentence(name, seen), "outputs": dict(_total(seen))}
            for name, seen in self._faults.items()
        ]

    def remarks(self) -> list[str]:
        """``summary.json``'s ``remarks``: what is not as the contract has it and misleads nobody."""
        return [f"{_outputs(outputs)}: {seen}" for seen, outputs in self._remarks.items()]


def _sentence(name: str, seen: _Seen) -> str:
    what = " or ".join(filter(None, seen)) or "axes are merged, missing or too many"
    return f"{name}: {what}, in {_outputs(_total(seen))}; the values are judged all the same."


def _total(seen: _Seen) -> Counter[str]:
    return sum(seen.values(), Counter[str]())


def _outputs(found: Counter[str]) -> str:
    return f"{listed(found, _NAMED)} ({counted(sum(found.values()), 'answer')})"
