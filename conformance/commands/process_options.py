"""How a command holds the implementation: time, sandbox, a process for each case; what is kept to oneself."""

from __future__ import annotations

import argparse

from conformance.implementations import sandbox
from conformance.implementations.program import TIME_LIMIT
from conformance.runs.worker import Holding


def add(command: argparse.ArgumentParser) -> None:
    """Add the options of every command that calls an implementation."""
    command.add_argument(
        "--time-limit", type=_seconds, default=TIME_LIMIT, metavar="SECONDS",
        help=f"after which a case is taken for hung and fails (default {TIME_LIMIT:g}); a program (exec:) "
        "has nine tenths of them for each answer",
    )  # fmt: skip
    command.add_argument(
        "--sandbox", action="store_true",
        help="run the implementation under bubblewrap: it changes no file, sees no other process, no network",
    )  # fmt: skip


def add_isolate(command: argparse.ArgumentParser) -> None:
    """Add ``--isolate`` to a command that judges many cases."""
    command.add_argument(
        "--isolate", action="store_true",
        help="a process of its own for each case: what one leaves behind cannot reach the next (slower)",
    )  # fmt: skip


def add_hidden(command: argparse.ArgumentParser) -> None:
    """Add ``--hidden`` to a command whose seed nobody needs to know."""
    command.add_argument(
        "--hidden", action="store_true",
        help="keep the cases to yourself: DIR has summary.json alone, without one line of a case",
    )  # fmt: skip


def holding(asked: argparse.Namespace) -> Holding:
    """What the options say.

    Raises
    ------
    SandboxError
        If there is no sandbox.
    """
    wrapped = sandbox.command() if asked.sandbox else ()
    return Holding(asked.time_limit, getattr(asked, "isolate", False), wrapped)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r}, expected 0.1 to 86400 seconds")
    return seconds
