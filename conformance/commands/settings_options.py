"""``--convention`` and ``--lenient-shapes``: how strictly a command reads an implementation."""

from __future__ import annotations

import argparse
from typing import Any

from conformance.conventions import Settings, parse


def add(command: argparse.ArgumentParser) -> None:
    """Add the options to a command."""
    many: dict[str, Any] = {"action": "extend", "nargs": "+", "default": []}
    command.add_argument(
        "--convention", **many, metavar="NAME=VALUE",
        help="a choice that is not a failure, such as pool-ties=last (`conformance list` shows them)",
    )  # fmt: skip
    command.add_argument(
        "--lenient-shapes", action="store_true",
        help="an output with other leading ones, such as a flat db, is a remark and not a failure",
    )  # fmt: skip


def settings(asked: argparse.Namespace) -> Settings:
    """What was asked for.

    Raises
    ------
    ConventionError
        If there is no such convention or value.
    """
    return Settings(parse(asked.convention), asked.lenient_shapes)
