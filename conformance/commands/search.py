"""``conformance search``: the largest errors of several implementations, and their ranking."""

from __future__ import annotations

import argparse
from typing import Any

from conformance.cases.dtypes import DTYPES, KNOWN
from conformance.commands import process_options
from conformance.commands.usage import AGREES, DEFAULT_IMPLEMENTATION, DISAGREES, UsageError, examples, split
from conformance.operations import select
from conformance.runs.search import climb, exchange, table

_EXAMPLES = examples(
    "conformance search --impl mykernels.py --ops conv_forward --seconds 60",
    "conformance search --impl cnnref numpy_loops       ranked by their worst error",
)


def add_command(commands: Any) -> None:
    """Add ``search`` to the command line."""
    parser = commands.add_parser(
        "search", help="look for the largest error, rank implementations by it", epilog=_EXAMPLES
    )
    parser.description = (
        "Climb over shapes and data for the largest error as a share of its bound, and rank the "
        "implementations: right ones first, then by accuracy."
    )
    many: dict[str, Any] = {"action": "extend", "nargs": "+"}
    parser.add_argument("--impl", **many, metavar="M", help="one implementation or more (default cnnref)")
    parser.add_argument("--ops", **many, metavar="OP", help="operations or shell patterns (default all)")
    parser.add_argument("--dtype", choices=[*KNOWN], action="append", help="default f32 and f64")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each implementation (default 20)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seeds the climb (default 0)")
    process_options.add(parser)
    parser.set_defaults(action=command)


def command(asked: argparse.Namespace) -> int:
    """Run ``conformance search``; 1 if an implementation is wrong somewhere, or nothing was compared."""
    try:
        operations = select(split(asked.ops))
    except ValueError as error:
        raise UsageError(f"--ops: {error}") from error
    if not 0 <= asked.seed < 10**9:
        raise UsageError(f"--seed: {asked.seed}, expected 0 to 999999999")
    if not asked.seconds > 0:
        raise UsageError(f"--seconds: {asked.seconds:g}, expected more than 0")
    holding = process_options.holding(asked)
    found = [
        climb(spec, operations, asked.dtype or list(DTYPES), asked.seconds, asked.seed, holding)
        for spec in asked.impl or [DEFAULT_IMPLEMENTATION]
    ]
    exchange(found, holding)
    print("\n".join(table(found)))
    for one in found:
        if not one.failed and not one.worst:
            print(f"{one.spec}: nothing was compared")
    return DISAGREES if any(one.failed or not one.worst for one in found) else AGREES
