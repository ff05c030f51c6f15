"""A run: cases generated, judged in workers, written as they come in, summed up."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict
from hashlib import blake2b
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import report
from conformance.implementations import sandbox
from conformance.implementations.dialects.reference import is_pair
from conformance.report.made import made
from conformance.report.states import Asked, most
from conformance.report.summary import problems as summary_problems
from conformance.runs import after_run
from conformance.runs.lock import writing
from conformance.runs.options import Options, Result, Sweep, SweepError
from conformance.runs.pool import Pool, in_order
from conformance.runs.queue import Met, Queue
from conformance.runs.shards import begin, kept
from conformance.runs.worker import About
from conformance.runs.workers import Answer, Workers, cores
from conformance.verdict.record import Record

if TYPE_CHECKING:
    from conformance.runs.here import Here

Observe = Callable[[list[Record]], None]
Progress = Callable[[Iterable[Answer], int], Iterable[Answer]]


def run(
    options: Options,
    directory: Path,
    progress: Progress | None = None,
    observe: Observe | None = None,
    sweep: Sweep | None = None,
    here: Here | None = None,
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
    here : Here, optional
        Judges an implementation of this process, instead of one that processes of their own load.

    Raises
    ------
    LoadError
        If the implementation cannot be used.
    SweepError
        If `directory` holds another run than the one to resume, another run is writing there, or there are
        not as many results as cases.
    """
    sweep = sweep or Sweep()
    if here is None and is_pair(options.implementation):
        from conformance.models.pair import several  # what runs of operations have no need of
        from conformance.runs import models

        if several(options.implementation):
            with writing(directory):
                about = versions(options.implementation, About("ieee", None))
                return models.run(options, directory, observe, sweep, about)
    if not sweep.hidden:
        with writing(directory):
            return _run(options, directory, progress, observe, sweep, here)
    with writing(directory), TemporaryDirectory(prefix="conformance-") as private:
        result = _run(options, Path(private), progress, observe, sweep, here)
        result.summary.update(hidden(result.summary))
        report.write_summary(result.summary, directory)
        return result


def hidden(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a summary in which there are cases, without them."""
    operations = {
        op: {output: {**figures, "worst_case": None} for output, figures in outputs.items()}
        for op, outputs in summary["operations"].items()
    }
    return {"operations": operations, "findings": []}


def _run(
    options: Options, directory: Path, progress: Progress | None, observe: Observe | None, sweep: Sweep,
    here: Here | None,
) -> Result:  # fmt: skip
    started = time.monotonic()
    count = max(1, min(sweep.workers or cores(), sweep.shard.size(options.sizes)))
    wrapped = sandbox.command() if sweep.sandbox else ()
    workers: Pool = here or _pool(options, sweep, count, wrapped)
    report.prepare()
    shard = f"{sweep.shard.index}/{sweep.shard.count}"
    judged = {"isolate": sweep.isolate, "time_limit": sweep.time_limit, "shard": shard}
    begin(directory, {**_asked(options), **judged}, sweep.resume)
    written, met = _Written(directory / "results.jsonl"), Met(observe)
    queue = Queue(options, sweep, started)
    with closing(_records(workers, written, queue)) as answers:
        for case, records in answers if progress is None else progress(answers, queue.total):
            met.add(case, records)
            if sweep.fail_fast and met.failed:
                break
        else:
            queue.check(met.cases)
    about = workers.about or About("ieee", None)
    whole = sweep.shard.count == 1  # what a part shows, the whole decides
    asked: Asked = queue.asked if whole else 0
    problems = [*queue.problems(met.failed), *summary_problems(met.summary, asked)] if whole else []
    after: dict[str, Any] = {}
    if whole:
        seconds = queue.share(time.monotonic() - started)
        held = here.find_all if here is not None else None
        spec, settings = options.implementation, options.settings
        after = after_run.work(spec, settings, met.seen, count, seconds, wrapped, held)
    doubts = list(met.summary.states.doubts(asked, after.get("slips"))) if whole else []
    about_run = {
        "implementation": options.implementation,
        "versions": versions(options.implementation, about),
        "oracle": f"PyTorch {_version('torch')} autograd in float64, oneDNN off",
        "seed": options.seed,
        "seconds": round(time.monotonic() - started, 3),
        "arithmetic": about.arithmetic,
        "dialect": about.dialect,
        **({"shape_remarks": met.remarks} if options.settings.lenient_shapes else {}),
        "options": _said(options, sweep, asked),
        "problems": [*problems, *doubts],
    }
    summary = met.summary.to_dict(listed=met.cases, asked=asked, **about_run, **after)
    result = Result(summary, problems, doubts)
    report.write(written.path, result.summary, directory, made(options.implementation))
    written.check()  # the implementation was at work until now
    return result


def _said(options: Options, sweep: Sweep, asked: Asked) -> dict[str, Any]:
    """``summary.json``'s ``options``; of a run that a clock or a failure ended the cases that it came to."""
    cut = bool(sweep.budget or sweep.fail_fast or options.only)
    return {
        "ops": list(options.operations),
        "dtypes": list(options.dtypes),
        "cases": max(1, most(asked)) if cut else options.cases,
        **({"own": len(options.own)} if options.own else {}),
        **({"budget": sweep.budget} if sweep.budget else {}),
        **options.settings.plain(),
    }


def _pool(options: Options, sweep: Sweep, count: int, wrapped: tuple[str, ...]) -> Pool:
    if sweep.dask is None:
        return Workers(
            options.implementation, count, sweep.time_limit, options.settings, isolate=sweep.isolate,
            wrapped=wrapped,
        )  # fmt: skip
    from conformance.runs.dask import Cluster  # the extra `dask`

    return Cluster(
        sweep.dask, options.implementation, sweep.time_limit, options.settings, isolate=sweep.isolate
    )


def _asked(options: Options) -> dict[str, Any]:
    """What decides the records of a run, as JSON holds it."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(options), default=str))
    return found


#: Bytes read at a time.
_PIECE = 1 << 20


class _Written:
    """``results.jsonl``, and what is known to stand in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._digest = blake2b()

    def begin(self) -> None:
        """Take what stands in it for right."""
        self._digest = self._read()

    def add(self, text: str) -> str:
        """Expect `text` behind it."""
        self._digest.update(text.encode("ascii"))
        return text

    def _read(self) -> blake2b:
        found = blake2b()
        with open(self.path, "rb") as file:
            while piece := file.read(_PIECE):
                found.update(piece)
        return found

    def check(self) -> None:
        """See that it holds what was written, and nothing else.

        Raises
        ------
        SweepError
            If it does not.
        """
        if not self.path.exists() or self._read().digest() != self._digest.digest():
            raise SweepError(
                f"{self.path} was changed by another program while the run went on; run it again"
            )


def _records(workers: Pool, written: _Written, queue: Queue) -> Generator[Answer, None, None]:
    """Each case and its records: those that are in ``results.jsonl``, then new ones, as they are written.

    Raises
    ------
    SweepError
        If the file does not hold them when all are written.
    """
    path = written.path
    left = yield from kept(path, iter(queue))
    written.begin()
    with (
        open(path, "a", encoding="utf-8", newline="\n", buffering=1) as results,
        closing(in_order(workers, left, queue.going)) as judged,
    ):
        for case, records in judged:
            results.write(written.add("".join(record.line() + "\n" for record in records)))
            yield case, records
    written.check()


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
