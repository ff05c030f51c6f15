"""A run: cases generated, judged in workers, written as they come in, summed up."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from conformance import report
from conformance.case import DTYPES, Case
from conformance.generate import generate
from conformance.operations import OPERATIONS, Operation
from conformance.record import Record
from conformance.report.summary import Summary, problems
from conformance.workers import About, Workers, cores


@dataclass(frozen=True)
class Options:
    """What a run was asked for.

    ``operations`` are names of the contract, ``dtypes`` ``"f32"`` and ``"f64"``, ``cases`` the number
    for each operation and dtype.
    """

    implementation: str = "cnnref"
    operations: tuple[str, ...] = tuple(OPERATIONS)
    dtypes: tuple[str, ...] = tuple(DTYPES)
    cases: int = 200
    seed: int = 0

    def generate(self) -> Iterator[Case]:
        """The cases of the run, in the order of the records."""
        chosen: list[Operation] = [OPERATIONS[name] for name in self.operations]
        return generate(chosen, self.dtypes, self.cases, self.seed)


@dataclass
class Result:
    """What a run came to: ``summary.json`` as a dict, and why it proves nothing if it does not."""

    summary: dict[str, Any]
    problems: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether nothing failed in a run that could have shown it."""
        return not self.summary["failed"] and not self.problems


Observe = Callable[[list[Record]], None]
Progress = Callable[[Iterable[list[Record]], int], Iterable[list[Record]]]


def run(
    options: Options, directory: Path, progress: Progress | None = None, observe: Observe | None = None
) -> Result:
    """Run the suite and write ``results.jsonl``, ``summary.json`` and the report into `directory`.

    Parameters
    ----------
    options : Options
        What to run.
    directory : Path
        Created if it is not there.
    progress : callable, optional
        Wraps the stream of records (one list for each case) and is told how many there will be.
    observe : callable, optional
        Is given the records of each case.

    Raises
    ------
    LoadError
        If the implementation cannot be used.
    """
    started = time.monotonic()
    cases = list(options.generate())
    workers = Workers(options.implementation, max(1, min(cores(), len(cases))))
    summary = Summary()
    directory.mkdir(parents=True, exist_ok=True)
    stream: Iterable[list[Record]] = in_order(workers, cases)
    if progress is not None:
        stream = progress(stream, len(cases))
    with open(directory / "results.jsonl", "w", encoding="utf-8", buffering=1) as results:
        for records in stream:
            summary.add(records)
            if observe is not None:
                observe(records)
            results.write("".join(record.line() + "\n" for record in records))
    about = workers.about or About("ieee", None)
    result = Result(
        summary.to_dict(
            listed=len(cases),
            implementation=options.implementation,
            versions=versions(options.implementation, about),
            oracle=f"PyTorch {_version('torch')} autograd in float64, oneDNN off",
            seed=options.seed,
            seconds=round(time.monotonic() - started, 3),
            arithmetic=about.arithmetic,
            options={"ops": list(options.operations), "dtypes": list(options.dtypes), "cases": options.cases},
        ),
        problems(summary),
    )
    text = json.dumps(result.summary, indent=1, allow_nan=False) + "\n"
    (directory / "summary.json").write_text(text, encoding="utf-8")
    report.write(directory / "results.jsonl", result.summary, directory)
    return result


def in_order(workers: Workers, cases: list[Case]) -> Iterator[list[Record]]:
    """The records of each case, in the order of the cases, as soon as those before it are there."""
    waiting: dict[int, list[Record]] = {}
    due = 0
    with closing(workers.judge(cases)) as judged:  # ends the processes when the caller stops early
        for number, _, records in judged:
            waiting[number] = records
            while due in waiting:
                yield waiting.pop(due)
                due += 1
    if due != len(cases):
        raise AssertionError(f"{len(cases)} cases were listed, {due} were judged")


def versions(implementation: str, about: About) -> dict[str, str]:
    """Versions of what decides the results, for the report."""
    found = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": _version("torch"),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    if about.version:
        found[implementation] = about.version
    return found


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
