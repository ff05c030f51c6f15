"""``conformance probe``: what an implementation does where frameworks legitimately differ, by experiment."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from conformance.commands import process_options
from conformance.commands.run_options import add_implementation
from conformance.commands.usage import AGREES, DEFAULT_IMPLEMENTATION, examples
from conformance.conventions import Settings
from conformance.diagnosis.probe import lines
from conformance.implementations.implementation import load

_EXAMPLES = examples(
    "conformance probe --impl mykernels.py",
    "conformance probe --impl jax",
)


def add_command(commands: Any) -> None:
    """Add ``probe`` to the command line."""
    parser = commands.add_parser(
        "probe", help="what it does where frameworks legitimately differ", epilog=_EXAMPLES
    )
    parser.description = (
        "Find by experiment what an implementation does where frameworks legitimately differ."
    )
    add_implementation(parser)
    process_options.add(parser)
    parser.set_defaults(action=command)


def command(asked: argparse.Namespace) -> int:
    """Run ``conformance probe``."""
    # The module's own declaration is not asked: the experiments say what it does.
    holding = process_options.holding(asked)
    implementation = load(
        asked.impl or DEFAULT_IMPLEMENTATION, time_limit=holding.time_limit, wrapped=holding.wrapped
    )
    plain = replace(implementation, settings=Settings(), differs={})
    print("\n".join(lines(plain)))
    return AGREES
