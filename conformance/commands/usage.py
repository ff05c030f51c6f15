"""What all commands have in common: exit statuses, errors in one line, help that keeps its examples."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import NoReturn

AGREES, DISAGREES, UNUSABLE, INTERRUPTED = 0, 1, 2, 130

DEFAULT_IMPLEMENTATION = "cnnref"
DEFAULT_DIRECTORY = "conformance-report"


class UsageError(ValueError):
    """The command could not run as asked; the message is one line and says what to do."""


class Parser(argparse.ArgumentParser):
    """Errors in one line; argparse would print the usage first."""

    def error(self, message: str) -> NoReturn:
        """Say what was wrong, and what was probably meant, and end with status 2."""
        self.exit(UNUSABLE, f"{self.prog}: {message}{self._meant(message)}; see {self.prog} --help\n")

    def _meant(self, message: str) -> str:
        """The choice or the option that is written nearly like what was not understood."""
        if choice := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message):
            given, known = choice[1], re.findall(r"'([^']*)'", choice[2])
        elif option := re.match(r"unrecognized arguments: (--[\w-]+)", message):
            given, known = option[1], [*_options(self)]
        else:
            return ""
        close = get_close_matches(given, known, 1)
        return f"; did you mean {close[0]}?" if close else ""


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The long options of a command line and of its commands."""
    for action in parser._actions:
        yield from (name for name in action.option_strings if name.startswith("--"))
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _options(command)


class Help(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the examples."""


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\n  ".join(("examples:", *lines))


def split(items: list[str] | None) -> list[str]:
    """``["a,b", "c"]`` as ``["a", "b", "c"]``."""
    return [part for item in items or () for part in item.split(",") if part]
