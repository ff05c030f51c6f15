"""A run of a `ModelNew` beside a `Model` of several operations: compared, a weaker word than agrees."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from conformance import report
from conformance.diagnosis.findings import Finding, bare
from conformance.implementations import sandbox
from conformance.models.findings import find_all
from conformance.models.judge import judged
from conformance.models.line import Line, lines
from conformance.models.pair import Pair
from conformance.report.made import made
from conformance.report.states import COMPARED, DISAGREES, ENOUGH, TOO_LITTLE
from conformance.report.summary import Output
from conformance.runs.after_run import Seen
from conformance.runs.options import Options, Result, Sweep, SweepError
from conformance.runs.shards import begin, read_record
from conformance.runs.versions import versions
from conformance.runs.written import Written
from conformance.verdict.record import MODEL, Record, case_status
from conformance.verdict.schema import SCHEMA

#: Cases of a run that is not asked for fewer: six shapes in four families.
CASES = 24

#: The records of a case.
Records = list[Record]

_WEAKER = (
    "ModelNew is compared with Model in float64: a Model that is wrong itself is not seen, and the limits "
    "are measured on Model and no bound."
)
_GRAPHLESS = "What ModelNew answers has no graph: its gradients were not compared."


def run(
    options: Options,
    directory: Path,
    progress: Callable[[Iterable[Any], int], Iterable[Any]] | None,
    observe: Callable[[Records], None] | None,
    sweep: Sweep,
    here: None = None,
) -> Result:
    """Compare and write what `runs.run.run` writes.

    Raises
    ------
    LoadError
        If `Model` or `ModelNew` cannot be built or called so, or it cannot be told which parameter is which.
    SweepError
        If the run is asked for what only runs of operations have, or the directory holds another one.
    """
    if sweep.dask:
        raise SweepError("--dask: not of a ModelNew beside a Model of several operations; leave it out")
    started, spec, shard = time.monotonic(), options.implementation, sweep.shard
    drawn = 0 if options.only else min(options.cases, CASES)
    options = replace(options, operations=(MODEL,), cases=max(drawn, 1))
    begin(directory, options, sweep)
    wrapped = sandbox.command() if sweep.sandbox else ()
    with Pair.of(spec, sweep.time_limit, wrapped, options.settings.device) as pair:
        reference, written = pair.reference, Written(directory / "results.jsonl")
        every = list(lines(reference.dtype, reference.variants, drawn, options.seed, options.own))
        begun, mine, found = time.monotonic(), every[shard.index - 1 :: shard.count], list[Records]()
        answers = _records(pair, written, mine, sweep)
        for _, records in answers if progress is None else progress(answers, len(mine)):
            found.append(records)
            if observe is not None:
                observe(records)
            if sweep.fail_fast and case_status(records) == "failed":
                break
            if sweep.budget and time.monotonic() - begun > sweep.budget:
                break
        written.check()
        failures = _seen(found).failures
        findings = [bare(record) for record in failures]
        if shard.count == 1:
            findings = find_all(pair, failures, [r for records in found for r in records])
    result = _result(options, found, findings, len(found) if sweep.budget or sweep.fail_fast else drawn)
    if shard.count > 1:  # what a part shows, the whole decides
        result.summary["problems"] = result.doubts = []
    result.summary["seconds"] = round(time.monotonic() - started, 3)
    report.write(written.path, result.summary, directory, made(spec))
    written.check()
    return result


def _records(
    pair: Pair, written: Written, mine: Sequence[Line], sweep: Sweep
) -> Iterator[tuple[Line, Records]]:
    """The cases with their records: those that are there, then new ones, as they are written."""
    there = _kept(written.path, mine)
    yield from zip(mine, there, strict=False)
    written.begin()
    with open(written.path, "a", encoding="utf-8", newline="\n", buffering=1) as results:
        for line in mine[len(there) :]:
            records = judged(pair.candidate, pair.reference.prepared(line))
            results.write(written.add("".join(record.line() + "\n" for record in records)))
            yield line, records
            if sweep.isolate:
                pair.candidate.renew()


def _kept(path: Path, mine: Sequence[Line]) -> list[Records]:
    """The whole cases that an interrupted run has left, the last, which may be torn, aside."""
    path.touch()
    found, ends, end = list[Records](), [0], 0
    with open(path, "r+b") as file:
        for case, records in groupby(_readable(file), lambda record: record.case):
            if len(found) == len(mine) or case != str(mine[len(found)]):
                break
            found.append(list(records))
            end += sum(len(record.line()) + 1 for record in found[-1])
            ends.append(end)
        file.truncate(ends[max(len(found) - 1, 0)])
    return found[:-1]


def _readable(file: Iterable[bytes]) -> Iterator[Record]:
    for line in file:
        try:
            yield read_record(line)
        except SweepError:
            return


def merged(directories: Sequence[Path], asked: Mapping[str, Any], results: Path) -> Result:
    """The shards of a run put together; `results` is where their records go.

    Raises
    ------
    SweepError
        If a case is missing, damaged or one too many.
    """
    names = {"cases": asked["cases"], "seed": asked["seed"], "only": asked["only"]}
    options = Options(asked["implementation"], (MODEL,), own=tuple(asked["own"]), **names)
    drawn = 0 if options.only else options.cases
    expected = list(lines("", [()], drawn, options.seed, options.own))
    parts = [_of_shard(directory / "results.jsonl") for directory in directories]
    for number, part in enumerate(parts):
        mine = expected[number :: len(parts)]
        wrong = [i for i, (a, b) in enumerate(zip(part, mine, strict=False)) if not _is(a[0].case, b)]
        if wrong or len(part) != len(mine):
            at = wrong[0] if wrong else min(len(part), len(mine))
            path = directories[number] / "results.jsonl"
            raise SweepError(f"{path}: case {at + 1} of the shard, of {len(mine)}, is not the one asked for")
    found = [parts[number % len(parts)][number // len(parts)] for number in range(len(expected))]
    with open(results, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(record.line() + "\n" for records in found for record in records)
    findings = [bare(record) for record in _seen(found).failures]
    return _result(options, found, findings, drawn)


def _is(text: str, line: Line) -> bool:
    """Whether a case is one of a run, of whose shapes those that are drawn are not known."""
    case = Line.parse(text)
    return (case.family, case.seed) == (line.family, line.seed) and line.shapes in ((), case.shapes)


def _of_shard(path: Path) -> list[Records]:
    with open(path, "rb") as file:
        return [list(records) for _, records in groupby(map(read_record, file), lambda record: record.case)]


def _seen(found: Iterable[Records]) -> Seen:
    seen = Seen()
    for records in found:
        seen.add(records)
    return seen


def _result(options: Options, found: list[Records], findings: Sequence[Finding], count: int) -> Result:
    """What a run came to; a part of one decides nothing."""
    every = [record for records in found for record in records]
    outputs = dict[str, Output]()
    for record in every:
        outputs.setdefault(record.output, Output()).add(record)
    statuses = [case_status(records) for records in found]
    compared = sum(record.tier is not None for record in every)
    answered = sum(any(record.tier for record in records) for records in found)
    enough = every and (compared == len(every) or (compared >= ENOUGH and "refused" not in statuses))
    state = DISAGREES if "failed" in statuses else COMPARED if enough else TOO_LITTLE
    doubts = (
        [f"{MODEL}: too little: {compared} of {len(every)} outputs compared"] if state == TOO_LITTLE else []
    )
    graph = all(r[0].tier is None or any(x.output.startswith("d(") for x in r) for r in found)
    summary = {
        "schema": SCHEMA,
        "implementation": options.implementation,
        "versions": versions(options.implementation, None),
        "oracle": "Model of the file in float64, in a process of its own",
        "seed": options.seed,
        "cases": len(found),
        **{name: statuses.count(name) for name in ("passed", "failed", "absent", "refused")},
        "comparisons": compared,
        "states": {
            MODEL: {
                "state": state, "compared": answered, "refused": statuses.count("refused"), "rule": None,
            }
        },
        "conditions": {},
        "faults": [],
        "remarks": [_WEAKER, *([] if graph else [_GRAPHLESS])],
        "problems": doubts,
        "findings": [finding.to_dict() for finding in findings],
        "seconds": 0.0,
        "arithmetic": "ieee",
        "dialect": "torch-modules",
        "options": {
            "ops": [MODEL], "dtypes": sorted({r.dtype for r in every}), "cases": count,
            **({"own": len(options.own)} if options.own else {}), **options.settings.plain(),
        },
        "tails": {},
        "detectability": {},
        "blind": 0,
        "coverage": {},
        "operations": {MODEL: {name: figures.to_dict() for name, figures in outputs.items()}},
    }  # fmt: skip
    return Result(summary, [], doubts)
