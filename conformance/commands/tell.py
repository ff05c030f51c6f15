"""What a run says on a terminal: how far it is, and then a few lines."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from conformance.commands.terminal import BAD, DOUBTFUL, GOOD, paint
from conformance.report import found, states
from conformance.report.text import one_line
from conformance.runs import after_run
from conformance.runs.options import Result
from conformance.runs.workers import Answer
from conformance.verdict.form import fault


def progress(stream: Iterable[Answer], total: int) -> Iterable[Answer]:
    """A progress bar on standard error, if that is a terminal."""
    from tqdm import tqdm

    bar: Iterable[Answer] = tqdm(
        stream, total=total, unit="case", disable=not sys.stderr.isatty(), dynamic_ncols=True
    )
    return bar


def tell(result: Result, directory: Path) -> None:
    """The run in a few lines."""
    summary = result.summary
    findings = found.by_group(summary)
    passed, failed = f"{summary['passed']} passed", f"{summary['failed']} failed"
    refused = paint(f"{summary['refused']} refused", DOUBTFUL)
    print(f"{summary['implementation']} is read as dialect {summary['dialect']}")
    print(
        f"{summary['implementation']}: {summary['cases']} cases, {paint(passed, GOOD)}, "
        f"{paint(failed, BAD) if summary['failed'] else failed}, {summary['absent']} absent"
        f"{', ' + refused if summary['refused'] else ''}; "
        f"{summary['comparisons']} outputs compared in {summary['seconds']:.1f} s"
    )
    for name, outputs in summary["operations"].items():
        for output, figures in outputs.items():
            if figures["failed"]:
                ends = summary["conditions"].get(name, {})
                seen = {d: findings.get((name, output, d)) for d in figures["diagnoses"] if not fault(d)}
                why = ", ".join(
                    f"{found.label(d, seen[d])} ({count}{', ' + ends[d] if d in ends else ''})"
                    for d, count in figures["diagnoses"].items()
                    if d in seen
                )
                where = paint(f"{name}.{output}", BAD)
                print(f"  {where}: {figures['failed']} of {figures['cases']} failed: {why}")
                for diagnosis, finding in seen.items():
                    print(f"    {one_line(found.sentence(diagnosis, finding))}")
    shown = ", ".join(f"{tier} {share:.1%}" for tier, share in summary["detectability"].items())
    if shown:
        print(f"Single dropped terms seen: {shown}; blind cases: {summary['blind']}")
    if summary.get("slips", {}).get("cases"):
        print(after_run.told(summary["slips"]))
    print(f"Operations: {states.told(summary['states'])}")
    for sentence in result.faults:
        print(paint(sentence, BAD))
    for sentence in summary["remarks"]:
        print(f"Remark (not a failure): {sentence}")
    for sentence in (*result.problems, *result.doubts):
        print(paint(sentence, DOUBTFUL))
    if summary.get("shape_remarks"):
        print(f"Shape remarks (not failures): {summary['shape_remarks']} outputs with other leading ones")
    for name, count in summary.get("tails", {}).items():
        print(f"Tails remark (not a failure): {name}: {count} outputs lose digits that other kernels keep")
    report = directory / "report.html"
    print(f"Report: {report}" if report.exists() else f"Counts: {directory / 'summary.json'}")
