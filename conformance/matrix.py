"""Several implementations side by side: ``matrix.json`` and ``matrix.html``.

Each is judged in child processes of its own. A process that dies is a failed case with its name; the
cases behind it go on in another one. `HAZARDS` are run besides, each alone in a process: a kernel that
writes out of bounds may kill a later case, or the process at its end, and would not be found otherwise.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from conformance.case import Case
from conformance.conventions import Settings
from conformance.diagnose import UNEXPLAINED, explain
from conformance.generate import generate
from conformance.implementation import LoadError, load
from conformance.operations import OPERATIONS, Operation
from conformance.pool import in_order
from conformance.record import Record, case_status
from conformance.workers import Workers, batches, cause, cores

Json = dict[str, Any]

#: Cases that are known to corrupt the memory of a real library, with where they were seen.
HAZARDS: dict[str, str] = {
    "conv_backward:f32:m7h38w38c15_f1k52_s2p0:normal:0": "oneDNN #6035: 1x1, stride 2, C < 16",
}
#: How often each of them is run: memory that is overwritten is not always missed.
ATTEMPTS = 2
#: Seconds for one of them.
PATIENCE = 60.0


@dataclass
class Cell:
    """One operation of one implementation: cases by status, the worst error of what passed."""

    statuses: Counter[str] = field(default_factory=Counter)
    max_error_ulp: float = 0.0
    max_bound_fraction: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    example: str = ""
    absent: str = ""
    crashed: list[str] = field(default_factory=list)

    def add(self, records: list[Record]) -> None:
        """Count the records of one case."""
        status = case_status(records)
        self.statuses[status] += 1
        for record in records:
            if record.status == "failed":
                self.example = self.example or record.case
                known = record.diagnosis not in (None, UNEXPLAINED)
                self.reasons[_sentence(record) if known else f"{record.output}: {record.reason}"] += 1
                if record.reason.startswith(("the process died", "no answer within")):
                    self.crashed = (
                        self.crashed if record.case in self.crashed else [*self.crashed, record.case]
                    )
            elif record.status == "absent":
                self.absent = self.absent or record.reason
            else:
                self.max_error_ulp = max(self.max_error_ulp, float(record.max_error_ulp or 0))
                self.max_bound_fraction = max(self.max_bound_fraction, float(record.max_bound_fraction or 0))

    @property
    def status(self) -> str:
        """The one word of the cell."""
        order = ("failed", "passed", "absent")
        return next((status for status in order if self.statuses[status]), "absent")

    def to_dict(self, known: str | None) -> Json:
        """The cell for ``matrix.json``; `known` is what the adapter says of where it differs."""
        most = self.reasons.most_common(1)
        why = known or (most[0][0] if most else "")
        if self.crashed:
            # Heap corruption shows as one signal here and another there; the cell names the first case.
            killed = f"{len(self.crashed)} cases killed the process, the first {self.crashed[0]}."
            why = f"{killed} {known or ''}".strip()
        return {
            "status": self.status,
            **{status: self.statuses[status] for status in ("passed", "failed", "absent")},
            "max_error_ulp": self.max_error_ulp,
            "max_bound_fraction": self.max_bound_fraction,
            "differs": why if self.status == "failed" else "",
            "reason": most[0][0] if most else "",
            "example": self.example,
            "crashed": self.crashed,
            "absent_because": self.absent,
        }


def _sentence(record: Record) -> str:
    try:
        return f"{record.output}: {explain(str(record.diagnosis))}"
    except ValueError:  # a diagnosis that is no slip of the catalogue names itself
        return f"{record.output}: {record.reason}"


def column(
    spec: str, operations: Sequence[Operation], count: int, seed: int, settings: Settings,
    tell: Callable[[int], None] = lambda n: None,
) -> Json:  # fmt: skip
    """Judge one implementation; the column of ``matrix.json``."""
    started = time.monotonic()
    cases = list(generate(operations, ("f32", "f64"), count, seed))
    cells = {operation.name: Cell() for operation in operations}
    workers = Workers(spec, max(1, min(cores(), len(cases))), settings=settings)
    try:
        with closing(in_order(workers, batches(cases))) as judged:
            for records in judged:
                cells[records[0].op].add(records)
                tell(1)
        hazards = [
            _hazard(spec, Case.parse(text), settings) for text in HAZARDS if text.split(":")[0] in cells
        ]
    except LoadError as error:
        return {"implementation": spec, "unusable": str(error)}
    seconds = time.monotonic() - started
    for records in hazards:
        cells[records[0].op].add(records)
    known = _declared(spec)
    every = sum((cell.statuses for cell in cells.values()), Counter[str]())
    about = workers.about
    return {
        "implementation": spec,
        "version": about.version if about else None,
        "arithmetic": about.arithmetic if about else "ieee",
        "conventions": known["conventions"],
        **{status: every[status] for status in ("passed", "failed", "absent")},
        "crashed": sorted({case for cell in cells.values() for case in cell.crashed}),
        "seconds": round(seconds, 1),
        "cases_per_second": round((every["passed"] + every["failed"]) / max(seconds, 1e-3), 1),
        "operations": {op: cell.to_dict(known["differs"].get(op)) for op, cell in cells.items()},
    }


def _hazard(spec: str, case: Case, settings: Settings) -> list[Record]:
    """The records of a case that is run alone, to the end of its process."""
    from conformance.record import blank

    found: list[Record] = []
    context: Any = multiprocessing.get_context("spawn")
    for _ in range(ATTEMPTS):
        ours, theirs = context.Pipe(duplex=False)
        process: BaseProcess = context.Process(target=_alone, args=(theirs, spec, case, settings))
        process.start()
        theirs.close()
        try:
            found = ours.recv() if ours.poll(PATIENCE) else []
        except EOFError:
            found = []
        process.join(PATIENCE)
        if process.is_alive():
            process.kill()
            process.join()
        if process.exitcode != 0:
            why = f"the process died of {cause(process.exitcode)} in this case, or at its end"
            return [blank(case, o, "failed", None, why) for o in case.operation.outputs]
    return found


def _alone(connection: Any, spec: str, case: Case, settings: Settings) -> None:
    from conformance.judge import Judge

    connection.send(Judge(load(spec, settings))(case))
    connection.close()


def _declare(connection: Any, spec: str) -> None:
    implementation = load(spec)
    connection.send(
        {
            "differs": dict(getattr(implementation.target, "differs", {})),
            "conventions": dict(implementation.settings.conventions),
        }
    )


def _declared(spec: str) -> Json:
    """What a module says of itself, asked in a child: a peer is never imported here."""
    context: Any = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_declare, args=(theirs, spec))
    process.start()
    theirs.close()
    try:
        answer: Json = ours.recv()
    except EOFError:
        answer = {"differs": {}, "conventions": {}}
    process.join()
    return answer


def write(columns: list[Json], about: Json, directory: Path) -> Path:
    """Write ``matrix.json`` and ``matrix.html``; returns the page."""
    from conformance.report.matrix import render

    directory.mkdir(parents=True, exist_ok=True)
    facts = {**about, "implementations": columns}
    (directory / "matrix.json").write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n", "utf-8")
    page = directory / "matrix.html"
    page.write_text(render(facts, list(OPERATIONS)), encoding="utf-8")
    return page
