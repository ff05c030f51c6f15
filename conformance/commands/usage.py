"""What all commands have in common: exit statuses, errors in one line, help that keeps its examples."""

from __future__ import annotations

import argparse
from typing import NoReturn

AGREES, DISAGREES, UNUSABLE, INTERRUPTED = 0, 1, 2, 130

DEFAULT_IMPLEMENTATION = "cnnref"
DEFAULT_DIRECTORY = "conformance-report"


class UsageError(ValueError):
    """The command could not run as asked; the message is one line and says what to do."""


class Parser(argparse.ArgumentParser):
    """Errors in one line; argparse would print the usage first."""

    def error(self, message: str) -> NoReturn:
        """Say what was wrong and end with status 2."""
        self.exit(UNUSABLE, f"{self.prog}: {message}; see {self.prog} --help\n")


class Help(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the examples."""


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\n  ".join(("examples:", *lines))


def split(items: list[str] | None) -> list[str]:
    """``["a,b", "c"]`` as ``["a", "b", "c"]``."""
    return [part for item in items or () for part in item.split(",") if part]
