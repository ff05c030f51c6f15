"""``conformance repro``: one case from its name."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from conformance.cases.case import Case
from conformance.commands import process_options, run_options, settings_options
from conformance.commands.usage import DEFAULT_IMPLEMENTATION, UsageError, examples
from conformance.generation import feasible
from conformance.generation.arrays import draw
from conformance.verdict.record import MODEL

_EXAMPLES = examples(
    "conformance repro 'conv_forward:f32:m2h9w7c3_f3k4_s2p1:normal:17' --impl mykernels.py",
    "conformance repro 'relu_backward:f32:m2h3w4c5:ties:0' --impl mykernels.py --script failure.py",
)


def add_command(commands: Any) -> None:
    """Add ``repro`` to the command line."""
    repro = commands.add_parser("repro", help="run one case and show where it differs", epilog=_EXAMPLES)
    repro.description = "Run one case from its one-line name and show both arrays where they differ."
    repro.add_argument("case", metavar="CASE", help="the case, as results.jsonl and the report write it")
    run_options.add_implementation(repro)
    settings_options.add(repro)
    process_options.add(repro)
    repro.add_argument(
        "--script", type=Path, metavar="FILE",
        help="write a stand-alone NumPy script that shows the failure without this package",
    )  # fmt: skip
    repro.set_defaults(action=command)


def command(asked: argparse.Namespace) -> int:
    """Run ``conformance repro``."""
    if asked.case.startswith(f"{MODEL}:"):
        from conformance.commands import repro_model

        if asked.script is not None:
            raise UsageError(f"--script: not of a case of {MODEL}")
        try:
            return repro_model.show(
                asked.case, asked.impl or DEFAULT_IMPLEMENTATION, process_options.holding(asked)
            )
        except ValueError as error:
            raise UsageError(str(error)) from error
    try:
        case = Case.parse(asked.case)
        feasible.check(case)
        draw(case)  # refuses a family that does not go with the parameters
    except ValueError as error:
        raise UsageError(str(error)) from error
    from conformance.commands import repro  # imports torch, which the other commands leave to their workers

    spec = asked.impl or DEFAULT_IMPLEMENTATION
    if asked.script is not None and spec.startswith("exec:"):
        raise UsageError(f"--script: {spec} is a program; a script can only call Python")
    settings, holding = settings_options.settings(asked), process_options.holding(asked)
    return repro.show(case, spec, settings, asked.script, holding)
