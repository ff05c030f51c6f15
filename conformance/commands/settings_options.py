"""How a command reads an implementation: conventions, shapes, dialect, device."""

from __future__ import annotations

import argparse
from typing import Any

from conformance.conventions import Settings, parse
from conformance.implementations.dialects import DIALECTS


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
    command.add_argument(
        "--dialect", metavar="NAME", choices=tuple(DIALECTS),
        help="how the module is written, where it does not say so and is not recognised: "
        f"{', '.join(DIALECTS)} (docs/dialects.md)",
    )  # fmt: skip
    command.add_argument(
        "--device",
        metavar="DEVICE",
        help="where the tensors of its dialect are: cuda, mps, xpu (default cpu)",
    )
    command.add_argument(
        "--stress", action="store_true",
        help="call a thousand times where else three, by several callers, with one thread and many, compiled",
    )  # fmt: skip


def settings(asked: argparse.Namespace) -> Settings:
    """What was asked for.

    Raises
    ------
    ConventionError
        If there is no such convention or value.
    """
    return Settings(parse(asked.convention), asked.lenient_shapes, asked.dialect, asked.device, asked.stress)
