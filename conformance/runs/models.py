"""A run of a `ModelNew` beside a `Model` of several operations: compared, a weaker word than agrees."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from conformance import report
from conformance.diagnosis.findings import bare
from conformance.implementations import sandbox
from conformance.models.pair import judged, prepared
from conformance.report.made import made
from conformance.report.states import COMPARED, DISAGREES, ENOUGH, TOO_LITTLE
from conformance.report.summary import Output
from conformance.runs.after_run import Seen
from conformance.runs.options import Options, Result, Sweep, SweepError
from conformance.verdict.record import MODEL, Record, case_status
from conformance.verdict.schema import SCHEMA

#: Cases of a run that is not asked for fewer: six shapes in four families.
CASES = 24

_WEAKER = (
    "ModelNew is compared with Model in float64: a Model that is wrong itself is not seen, and the limits "
    "are measured on Model and no bound."
)
_GRAPHLESS = "What ModelNew answers has no graph: its gradients were not compared."


def run(
    options: Options,
    directory: Path,
    observe: Callable[[list[Record]], None] | None,
    sweep: Sweep,
    versions: Mapping[str, str],
) -> Result:
    """Compare and write what `runs.run.run` writes.

    Raises
    ------
    LoadError
        If `Model` or `ModelNew` cannot be built, or it cannot be told which parameter is which.
    SweepError
        If the run is asked for what only runs of operations have.
    """
    _check(options, sweep)
    started, spec = time.monotonic(), options.implementation
    directory.mkdir(parents=True, exist_ok=True)
    cases = prepared(spec, min(options.cases, CASES), options.seed)
    wrapped = sandbox.command() if sweep.sandbox else ()
    found, graphs, path = list[list[Record]](), list[bool](), directory / "results.jsonl"
    with open(path, "w", encoding="utf-8", newline="\n") as results:
        for _, records, graph in judged(spec, cases, sweep.time_limit, wrapped):
            results.write("".join(record.line() + "\n" for record in records))
            found.append(records)
            graphs.append(graph)
            if observe is not None:
                observe(records)
            if sweep.fail_fast and case_status(records) == "failed":
                break
    summary = _summary(options, found, all(graphs))
    summary["versions"], summary["seconds"] = dict(versions), round(time.monotonic() - started, 3)
    result = Result(summary, [], list(_doubts(summary)))
    summary["problems"] = list(result.doubts)
    report.write(path, summary, directory, made(spec))
    return result


def _check(options: Options, sweep: Sweep) -> None:
    asked = {
        "--resume": sweep.resume, "--shard": sweep.shard.count > 1, "--dask": sweep.dask,
        "--hidden": sweep.hidden, "--shapes and --inputs": options.own, "--budget": sweep.budget,
    }  # fmt: skip
    for name, value in asked.items():
        if value:
            raise SweepError(f"{name}: not of a ModelNew beside a Model of several operations; leave it out")


def _summary(options: Options, found: list[list[Record]], graph: bool) -> dict[str, Any]:
    """``summary.json``, of which only operations have coverage, detectability and known faults."""
    outputs, every, seen = dict[str, Output](), [record for records in found for record in records], Seen()
    for record in every:
        outputs.setdefault(record.output, Output()).add(record)
    for records in found:
        seen.add(records)
    statuses = [case_status(records) for records in found]
    compared = sum(record.tier is not None for record in every)
    state = DISAGREES if "failed" in statuses else COMPARED if compared >= ENOUGH else TOO_LITTLE
    cases = {name: statuses.count(name) for name in ("passed", "failed", "absent", "refused")}
    answered = sum(any(record.tier for record in records) for records in found)
    return {
        "schema": SCHEMA,
        "implementation": options.implementation,
        "versions": {},
        "oracle": "Model of the file in float64, in a process of its own",
        "seed": options.seed,
        "cases": len(found),
        **cases,
        "comparisons": compared,
        "states": {MODEL: {"state": state, "compared": answered, "refused": 0, "rule": None}},
        "conditions": {},
        "faults": [],
        "remarks": [_WEAKER, *([] if graph else [_GRAPHLESS])],
        "findings": [bare(record).to_dict() for record in seen.failures],
        "seconds": 0.0,
        "arithmetic": "ieee",
        "dialect": "torch-modules",
        "options": {"ops": [MODEL], "dtypes": sorted({r.dtype for r in every}), "cases": len(found),
                    **options.settings.plain()},
        "tails": {},
        "detectability": {},
        "blind": 0,
        "coverage": {},
        "operations": {MODEL: {name: figures.to_dict() for name, figures in outputs.items()}},
    }  # fmt: skip


def _doubts(summary: Mapping[str, Any]) -> Iterator[str]:
    if summary["states"][MODEL]["state"] == TOO_LITTLE:
        yield f"{MODEL}: too little: outputs compared: {summary['comparisons']}; expected {ENOUGH}."
