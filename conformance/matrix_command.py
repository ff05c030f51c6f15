"""``conformance matrix``: the options of the command."""

from __future__ import annotations

import argparse
from typing import Any


def add_command(commands: Any) -> None:
    """Add ``matrix`` to the command line."""


def command(asked: argparse.Namespace) -> int:
    """Run it."""
    return 0
