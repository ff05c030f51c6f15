"""A run: cases generated, judged in workers, written as they come in, summed up."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from conformance import report
from conformance.implementations import sandbox
from conformance.implementations.dialects.model_pair import row_in
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
from conformance.runs.versions import installed, versions
from conformance.runs.worker import About
from conformance.runs.workers import Answer, Workers, cores
from conformance.runs.written import Written
from conformance.verdict.record import MODEL, Record

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
    options, carried_out = _chosen(options, here)
    if not sweep.hidden:
        with writing(directory):
            return carried_out(options, directory, progress, observe, sweep, here)
    with writing(directory), TemporaryDirectory(prefix="conformance-") as private:
        result = carried_out(options, Path(private), progress, observe, sweep, here)
        result.summary.update(hidden(result.summary))
        report.write_summary(result.summary, directory)
        return result


def _chosen(options: Options, here: Here | None) -> tuple[Options, Callable[..., Result]]:
    """What carries out a run: another function of a `ModelNew` beside a `Model` of several operations.

    Raises
    ------
    SweepError
        If the user's own cases are of the other kind.
    """
    if here is not None or not is_pair(options.implementation):
        return options, _run
    row = row_in(options.implementation)
    own = {text.startswith(f"{MODEL}:") for text in options.own}
    if row is not None and True in own:
        raise SweepError(f"--shapes: Model is {row}: give its shapes so, {row}: ..., not {MODEL}: ...")
    if row is None and False in own:
        raise SweepError(
            f"--shapes, --inputs: Model is of several operations: {MODEL}: 16x3x32x32 says a shape"
        )
    if row is not None:
        return replace(options, settings=replace(options.settings, model=row)), _run
    from conformance.runs import models  # what runs of operations have no need of

    return options, models.run


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
    begin(directory, options, sweep)
    written, met = Written(directory / "results.jsonl"), Met(observe)
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
        "versions": versions(options.implementation, about.version),
        "oracle": f"PyTorch {installed('torch')} autograd in float64, oneDNN off",
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


def _records(workers: Pool, written: Written, queue: Queue) -> Generator[Answer, None, None]:
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
