"""``conformance run`` and ``conformance merge``: judge, write the report, tell it in a few lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from conformance.commands import run_options, sweep_options
from conformance.commands.terminal import BAD, DOUBTFUL, GOOD, paint
from conformance.commands.usage import AGREES, DISAGREES, examples
from conformance.runs import after_run as aftermath
from conformance.runs import run as runner
from conformance.runs.workers import Answer, settle

_EXAMPLES = examples(
    "conformance run                                          cnnref, everything",
    "conformance run --impl mykernels.py --ops 'conv_*' --dtype f32",
    "conformance run --impl mypackage.kernels --cases 1000 --seed 7 --out report",
    "conformance run --impl exec:./kernels --lenient-shapes --convention pool-ties=last",
    "conformance run --impl mykernels.py --cases 5000 --resume   goes on where it was stopped",
)


def add_command(commands: Any) -> None:
    """Add ``run`` to the command line."""
    run = commands.add_parser(
        "run", help="compare every output and gradient, write the report", epilog=_EXAMPLES
    )
    run.description = "Generate cases, compare every output and gradient with the oracle, write the report."
    run_options.add(run)
    sweep_options.add(run)
    run.set_defaults(action=command)


def command(asked: argparse.Namespace) -> int:
    """Run ``conformance run``."""
    settle()
    result = runner.run(run_options.options(asked), asked.out, progress, sweep=sweep_options.sweep(asked))
    tell(result, asked.out)
    return AGREES if result.agrees else DISAGREES


def progress(stream: Iterable[Answer], total: int) -> Iterable[Answer]:
    """A progress bar on standard error, if that is a terminal."""
    from tqdm import tqdm

    bar: Iterable[Answer] = tqdm(
        stream, total=total, unit="case", disable=not sys.stderr.isatty(), dynamic_ncols=True
    )
    return bar


def tell(result: runner.Result, directory: Path) -> None:
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
        print(aftermath.told(summary["slips"]))
    for sentence in result.problems:
        print(paint(sentence, DOUBTFUL))
    if summary.get("shape_remarks"):
        print(f"Shape remarks (not failures): {summary['shape_remarks']} outputs with other leading ones")
    print(f"Report: {directory / 'report.html'}")
