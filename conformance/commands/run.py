"""``conformance run``: judge, write the report, tell it in a few lines."""

from __future__ import annotations

import argparse
from typing import Any

from conformance.commands import errors, output_options, process_options, run_options, sweep_options
from conformance.commands.usage import AGREES, DISAGREES, UsageError, examples
from conformance.implementations import guard
from conformance.runs.run import run
from conformance.runs.worker import settle

_EXAMPLES = examples(
    "conformance run                                          cnnref, everything",
    "conformance run --impl mykernels.py --ops 'conv_*' --dtype f32",
    "conformance run --impl mypackage.kernels --cases 1000 --seed 7 --out report",
    "conformance run --impl exec:./kernels --lenient-shapes --convention pool-ties=last",
    "conformance run --impl mykernels.py --cases 5000 --resume   goes on where it was stopped",
    "conformance run --impl mykernels.py --shapes network.txt --only-shapes",
    "conformance run --impl mykernels.py --budget 30s --fail-fast --quiet",
)


def add_command(commands: Any) -> None:
    """Add ``run`` to the command line."""
    parser = commands.add_parser(
        "run", help="compare every output and gradient, write the report", epilog=_EXAMPLES
    )
    parser.description = (
        "Generate cases, compare every output and gradient with the oracle, write the report."
    )
    run_options.add(parser)
    sweep_options.add(parser)
    output_options.add(parser)
    parser.add_argument(
        "--errors", action="store_true",
        help="tell what it does with invalid input, too: refuses by name, refuses, answers, crashes",
    )  # fmt: skip
    parser.set_defaults(action=command)


def command(asked: argparse.Namespace) -> int:
    """Run ``conformance run``."""
    settle()
    guard.unreadable()  # the cases of the run
    sweep = sweep_options.sweep(asked)
    if asked.errors and (asked.quiet or asked.format != "text"):
        raise UsageError("--errors: prints a table; not with --quiet or --format")
    options = run_options.options(asked)
    result = run(options, asked.out, output_options.shown(asked), sweep=sweep)
    if output_options.told(result, asked):
        run_options.tell_seed(asked)
    if asked.errors:
        errors.tell(options, asked.out, process_options.holding(asked))
    return AGREES if result.agrees else DISAGREES
