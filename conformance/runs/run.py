"""A run: cases generated, judged in workers, written as they come in, summed up."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from conformance import report
from conformance.cases.case import Case
from conformance.cases.dtypes import DTYPES
from conformance.conventions import Settings
from conformance.generation.generate import generate
from conformance.implementations.program import TIME_LIMIT
from conformance.operations import OPERATIONS, Operation
from conformance.report.summary import Summary
from conformance.report.summary import problems as summary_problems
from conformance.runs import after_run as aftermath
from conformance.runs.lock import writing
from conformance.runs.pool import Pool, in_order
from conformance.runs.shards import Shard, SweepError, begin, kept
from conformance.runs.worker import About
from conformance.runs.workers import Answer, Batches, Workers, cores
from conformance.verdict.record import REMARK, Record


@dataclass(frozen=True)
class Options:
    """What a run was asked for.

    ``operations`` are names of the contract, ``dtypes`` ``"f32"`` and ``"f64"``, ``cases`` the number
    for each operation and dtype, ``settings`` how strictly the implementation is read.
    """

    implementation: str = "cnnref"
    operations: tuple[str, ...] = tuple(OPERATIONS)
    dtypes: tuple[str, ...] = tuple(DTYPES)
    cases: int = 200
    seed: int = 0
    settings: Settings = field(default_factory=Settings)

    @property
    def groups(self) -> int:
        """How many times `cases` there are."""
        return len(self.operations) * len(self.dtypes)

    def generate(self, start: int = 0, stop: int | None = None) -> Iterator[Case]:
        """The cases of the run, in the order of the records, or those of some numbers."""
        chosen: list[Operation] = [OPERATIONS[name] for name in self.operations]
        return generate(chosen, self.dtypes, self.cases, self.seed, start, stop)


@dataclass(frozen=True)
class Sweep:
    """How a run is carried out; no record of a right answer depends on it.

    ``workers`` is the number of processes (0: one for each processor), ``resume`` keeps the records that
    are there, ``shard`` is the part of the run to do, ``isolate`` gives each case a process of its own,
    ``time_limit`` is how many seconds a case may take, ``dask`` the address of a scheduler whose workers
    judge instead of processes here.
    """

    workers: int = 0
    resume: bool = False
    shard: Shard = field(default_factory=Shard)
    isolate: bool = False
    time_limit: float = TIME_LIMIT
    dask: str | None = None


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
Progress = Callable[[Iterable[Answer], int], Iterable[Answer]]


def run(
    options: Options,
    directory: Path,
    progress: Progress | None = None,
    observe: Observe | None = None,
    sweep: Sweep | None = None,
) -> Result:
    """Run the suite and write ``results.jsonl``, ``summary.json`` and the report into `directory`.

    Parameters
    ----------
    options : Options
        What to run.
    directory : Path
        Created if it is not there.
    progress : callable, optional
        Wraps the stream of cases with their records and is told how many there will be.
    observe : callable, optional
        Is given the records of each case.
    sweep : Sweep, optional
        Processes, resumption, shard.

    Raises
    ------
    LoadError
        If the implementation cannot be used.
    SweepError
        If `directory` holds another run than the one to resume, another run is writing there, or there are
        not as many results as cases.
    """
    with writing(directory):
        return _run(options, directory, progress, observe, sweep or Sweep())


def _run(
    options: Options, directory: Path, progress: Progress | None, observe: Observe | None, sweep: Sweep
) -> Result:
    started = time.monotonic()
    total = sweep.shard.size(options.groups, options.cases)
    count = max(1, min(sweep.workers or cores(), total))
    workers = _pool(options, sweep, count)
    remarks = 0
    summary, seen = Summary(), aftermath.Seen()
    shard = f"{sweep.shard.index}/{sweep.shard.count}"
    judged = {"isolate": sweep.isolate, "time_limit": sweep.time_limit, "shard": shard}
    begin(directory, {**_asked(options), **judged}, sweep.resume)
    queue = sweep.shard.of(options.groups, options.cases, options.generate)
    stream: Iterable[Answer] = _records(workers, directory, queue)
    if progress is not None:
        stream = progress(stream, total)
    judged_cases = 0
    for case, records in stream:
        judged_cases += 1
        summary.add(case, records)
        seen.add(records)
        remarks += sum(r.status == "passed" and r.reason.startswith(REMARK) for r in records)
        if observe is not None:
            observe(records)
    if judged_cases != total:
        raise SweepError(f"{total} cases were asked for and {judged_cases} judged: the run shows nothing")
    about = workers.about or About("ieee", None)
    whole = sweep.shard.count == 1  # what a part shows, the whole decides
    problems = summary_problems(summary) if whole else []
    after: dict[str, Any] = {}
    if whole:
        drawn = aftermath.Drawn(options.dtypes, options.cases, options.seed)
        seconds = time.monotonic() - started
        after = aftermath.work(options.implementation, options.settings, drawn, seen, count, seconds)
    result = Result(
        summary.to_dict(
            listed=total,
            implementation=options.implementation,
            versions=versions(options.implementation, about),
            oracle=f"PyTorch {_version('torch')} autograd in float64, oneDNN off",
            seed=options.seed,
            seconds=round(time.monotonic() - started, 3),
            arithmetic=about.arithmetic,
            **({"shape_remarks": remarks} if options.settings.lenient_shapes else {}),
            options={
                "ops": list(options.operations),
                "dtypes": list(options.dtypes),
                "cases": options.cases,
                **options.settings.plain(),
            },
            problems=problems,
            **after,
        ),
        problems,
    )
    text = json.dumps(result.summary, indent=1, allow_nan=False) + "\n"
    (directory / "summary.json").write_text(text, encoding="utf-8")
    report.write(directory / "results.jsonl", result.summary, directory)
    return result


def _pool(options: Options, sweep: Sweep, count: int) -> Pool:
    if sweep.dask is None:
        return Workers(
            options.implementation, count, sweep.time_limit, options.settings, isolate=sweep.isolate
        )
    from conformance.runs.dask import Cluster  # the extra `dask`

    return Cluster(
        sweep.dask, options.implementation, sweep.time_limit, options.settings, isolate=sweep.isolate
    )


def _asked(options: Options) -> dict[str, Any]:
    """What decides the records of a run, as JSON holds it."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(options), default=str))
    return found


def _records(workers: Pool, directory: Path, queue: Batches) -> Generator[Answer, None, None]:
    """Each case and its records: those that are in ``results.jsonl``, then new ones, as they are written.

    Raises
    ------
    SweepError
        If the file does not hold them when all are written.
    """
    path = directory / "results.jsonl"
    left = yield from kept(path, queue)
    size = path.stat().st_size
    with (
        open(path, "a", encoding="utf-8", newline="\n", buffering=1) as results,
        closing(in_order(workers, left)) as judged,
    ):
        for case, records in judged:
            size += results.write("".join(record.line() + "\n" for record in records))  # ASCII
            yield case, records
    if not path.exists() or path.stat().st_size != size:
        raise SweepError(f"{path} was changed by another program while the run went on; run it again")


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
