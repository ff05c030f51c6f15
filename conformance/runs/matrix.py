"""Several implementations side by side: ``matrix.json`` and ``matrix.html``.

Each is judged in child processes of its own. A process that dies is a failed case with its name; the
cases behind it go on in another one. `HAZARDS` are run besides, each alone in a process: a kernel that
writes out of bounds may kill a later case, or the process at its end, and would not be found otherwise.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from conformance.cases.case import Case
from conformance.conventions import Settings
from conformance.faults.diagnose import UNEXPLAINED, explain
from conformance.generation.generate import generate
from conformance.implementations.child import LostError
from conformance.implementations.implementation import load
from conformance.implementations.loading import LoadError
from conformance.implementations.processes import Question, cause, context
from conformance.operations import OPERATIONS
from conformance.operations.entry import Entry
from conformance.runs.pool import in_order
from conformance.runs.worker import PLAIN, Holding, belong
from conformance.runs.workers import Workers, batches, cores
from conformance.verdict.declared import DECLARED, marked, sentence_of
from conformance.verdict.form import fault
from conformance.verdict.record import STATUSES, Record, case_status, plain

Json = dict[str, Any]

#: Cases that are known to corrupt the memory of a real library, with where they were seen.
HAZARDS: dict[str, str] = {
    "conv_backward:f32:m7h38w38c15_f1k52_s2p0:normal:0": "oneDNN #6035: 1x1, stride 2, C < 16",
}
#: How often each of them is run: memory that is overwritten is not always missed.
ATTEMPTS = 2
#: Seconds for one of them.
PATIENCE = 60.0


#: How the reason of a case begins whose process died or hung.
_DEATHS = ("the process ", "no answer within")


@dataclass
class Cell:
    """One operation of one implementation: cases by status, the worst error of what passed."""

    statuses: Counter[str] = field(default_factory=Counter)
    max_error_ulp: float = 0.0
    max_bound_fraction: float = 0.0
    #: Why it fails, by how many outputs: as the implementation declares, and otherwise.
    declared: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    #: The first failing case, of those that are not declared if there is one.
    example: str = ""
    declared_example: str = ""
    absent: str = ""
    deaths: dict[str, Record] = field(default_factory=dict)

    def add(self, records: list[Record]) -> None:
        """Count the records of one case."""
        self.statuses[case_status(records)] += 1
        for record in records:
            if record.status == "failed" and record.reason.startswith(_DEATHS):
                # Whether that is declared is not known here; see `settle`.
                self.deaths.setdefault(record.case, record)
            elif record.status == "failed":
                self._fail(record)
            elif record.status in ("absent", "refused"):
                self.absent = self.absent or record.reason
            else:
                if fault(record.form):
                    self._fail(record.but(diagnosis=fault(record.form)))
                self.max_error_ulp = max(self.max_error_ulp, float(record.max_error_ulp or 0))
                self.max_bound_fraction = max(self.max_bound_fraction, float(record.max_bound_fraction or 0))

    def settle(self, sentences: Mapping[str, str]) -> None:
        """Count the deaths, with what the implementation declares of each of their cases."""
        for case, record in self.deaths.items():
            self._fail(record.but(reason=f"{DECLARED}{sentences[case]}") if sentences.get(case) else record)

    def _fail(self, record: Record) -> None:
        sentence = sentence_of(record)
        if sentence:
            self.declared[sentence] += 1
            self.declared_example = self.declared_example or record.case
            return
        known = record.diagnosis not in (None, UNEXPLAINED)
        self.reasons[
            _sentence(record) if known else f"{record.output}: {record.reason.partition(chr(10))[0]}"
        ] += 1
        self.example = self.example or record.case

    @property
    def status(self) -> str:
        """The one word of the cell; ``differs`` if everything that fails is declared."""
        if self.statuses["failed"] or self.reasons:
            return "failed" if self.reasons else "differs"
        return next((status for status in ("passed", "refused") if self.statuses[status]), "absent")

    def to_dict(self) -> Json:
        """The cell for ``matrix.json``."""
        most = self.reasons.most_common(1)
        why = [most[0][0]] if most else []
        if self.deaths:
            # Heap corruption shows as one signal here and another there; the cell names the first case.
            first, *more = self.deaths
            many = f"{len(self.deaths)} cases killed the process, the first {first}."
            why.insert(0, many if more else f"One case killed the process: {first}.")
        why += [sentence for sentence, _ in self.declared.most_common()]
        return {
            "status": self.status,
            **{status: self.statuses[status] for status in STATUSES},
            "max_error_ulp": plain(self.max_error_ulp),
            "max_bound_fraction": plain(self.max_bound_fraction),
            "differs": " ".join(why),
            "declared": dict(self.declared),
            "reason": most[0][0] if most else "",
            "example": self.example or self.declared_example,
            "crashed": list(self.deaths),
            "absent_because": self.absent,
        }


def _sentence(record: Record) -> str:
    try:
        return f"{record.output}: {explain(str(record.diagnosis))}"
    except ValueError:  # a diagnosis that is no slip of the catalogue names itself
        return f"{record.output}: {record.reason}"


def column(
    spec: str, operations: Sequence[Entry], count: int, seed: int, settings: Settings,
    holding: Holding = PLAIN, tell: Callable[[int], None] = lambda n: None,
) -> Json:  # fmt: skip
    """Judge one implementation; the column of ``matrix.json``."""
    started = time.monotonic()
    cases = list(generate(operations, ("f32", "f64"), count, seed))
    cells = {operation.name: Cell() for operation in operations}
    processes = max(1, min(cores(), len(cases)))
    workers = Workers(
        spec, processes, holding.time_limit, settings, isolate=holding.isolate, wrapped=holding.wrapped
    )
    try:
        with closing(in_order(workers, batches(cases), follow=lambda: False)) as judged:
            for case, records in judged:
                cells[case.op].add(records)
                tell(1)
        hazards = [
            _hazard(spec, Case.parse(text), settings, holding)
            for text in HAZARDS
            if text.split(":")[0] in cells
        ]
    except LoadError as error:
        return {"implementation": spec, "unusable": str(error)}
    seconds = time.monotonic() - started
    for records in hazards:
        cells[records[0].op].add(records)
    deaths = [record for cell in cells.values() for record in cell.deaths.values()]
    known = _declared(spec, deaths, holding)
    for cell in cells.values():
        cell.settle(known.deaths)
    every = sum((cell.statuses for cell in cells.values()), Counter[str]())
    about = workers.about
    return {
        "implementation": spec,
        "version": about.version if about else None,
        "arithmetic": about.arithmetic if about else "ieee",
        "conventions": known.conventions,
        **{status: every[status] for status in STATUSES},
        "undeclared": sum(cell.status == "failed" for cell in cells.values()),
        "crashed": sorted({case for cell in cells.values() for case in cell.deaths}),
        "seconds": round(seconds, 1),
        "cases_per_second": round((every["passed"] + every["failed"]) / max(seconds, 1e-3), 1),
        "operations": {op: cell.to_dict() for op, cell in cells.items()},
    }


def _hazard(spec: str, case: Case, settings: Settings, holding: Holding) -> list[Record]:
    """The records of a case that is run alone, to the end of its process."""
    from conformance.verdict.record import blank

    found: _Alone | None = None
    for _ in range(ATTEMPTS):
        child = Question(context(), _alone, spec, case, settings, holding)
        found = child.answer(_ALONE, PATIENCE)
        code = child.exitcode(PATIENCE)
        why = f"the process died of {cause(code)} in" if found is None else found.why
        if found is None or why or not belong(found.records, case):
            return [
                blank(case, o, "failed", None, f"{why} this case, or at its end")
                for o in case.operation.outputs
            ]
    assert found is not None
    return found.records


class _Alone(msgspec.Struct):
    """A case run alone: its records, and how its process was lost if it was."""

    records: list[Record]
    why: str = ""


_ALONE = msgspec.msgpack.Decoder(_Alone)


def _alone(spec: str, case: Case, settings: Settings, holding: Holding) -> _Alone:
    from conformance.verdict.judge import Judge

    implementation = load(spec, settings, holding.time_limit, survives=False, wrapped=holding.wrapped)
    try:
        records = Judge(implementation)(case)
    except LostError as lost:
        return _Alone([], lost.why)
    code = implementation.finish(PATIENCE)
    return _Alone(records, "" if code == 0 else f"the process died of {cause(code)} in")


def _declare(spec: str, deaths: list[Record], holding: Holding) -> Json:
    implementation = load(spec, wrapped=holding.wrapped)
    sentences = {r.case: sentence_of(marked(implementation.differs, r)) for r in deaths}
    return {"deaths": sentences, "conventions": dict(implementation.settings.conventions)}


class _Said(msgspec.Struct):
    """What a module says of itself and of the cases it died of."""

    deaths: dict[str, str] = {}
    conventions: dict[str, str] = {}


def _declared(spec: str, deaths: list[Record], holding: Holding) -> _Said:
    """What a module says of itself and of the cases it died of, asked in a child of its own."""
    child = Question(context(), _declare, spec, deaths, holding)
    try:
        return child.answer(msgspec.msgpack.Decoder(_Said), PATIENCE) or _Said()
    finally:
        child.close()


def write(columns: list[Json], about: Json, directory: Path) -> Path:
    """Write ``matrix.json`` and ``matrix.html``; returns the page."""
    from conformance.report.matrix import render

    directory.mkdir(parents=True, exist_ok=True)
    facts = {**about, "implementations": columns}
    (directory / "matrix.json").write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n", "utf-8")
    page = directory / "matrix.html"
    page.write_text(render(facts, list(OPERATIONS)), encoding="utf-8")
    return page
