"""What a run says on a terminal: how far it is, and then a few lines."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from conformance.commands.terminal import BAD, DOUBTFUL, GOOD, paint
from conformance.runs import after_run
from conformance.runs.options import Result
from conformance.runs.workers import Answer


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
    passed, failed = f"{summary['passed']} passed", f"{summary['failed']} failed"
    print(
        f"{summary['implementation']}: {summary['cases']} cases, {paint(passed, GOOD)}, "
        f"{paint(failed, BAD) if summary['failed'] else failed}, {summary['absent']} absent; "
        f"{summary['comparisons']} outputs compared in {summary['seconds']:.1f} s"
    )
    for name, outputs in summary["operations"].items():
        for output, figures in outputs.items():
            if figures["failed"]:
                why = ", ".join(f"{d} ({count})" for d, count in figures["diagnoses"].items())
                where = paint(f"{name}.{output}", BAD)
                print(f"  {where}: {figures['failed']} of {figures['cases']} failed: {why}")
    shown = ", ".join(f"{tier} {share:.1%}" for tier, share in summary["detectability"].items())
    if shown:
        print(f"Single dropped terms seen: {shown}; blind cases: {summary['blind']}")
    if summary.get("slips") and summary["comparisons"]:
        print(after_run.told(summary["slips"]))
    for sentence in result.problems:
        print(paint(sentence, DOUBTFUL))
    if summary.get("shape_remarks"):
        print(f"Shape remarks (not failures): {summary['shape_remarks']} outputs with other leading ones")
    report = directory / "report.html"
    print(f"Report: {report}" if report.exists() else f"Counts: {directory / 'summary.json'}")
