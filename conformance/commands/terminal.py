"""Colour and width of a terminal (never elsewhere, never under ``NO_COLOR``) and completion in the shell."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable
from typing import TextIO

from conformance.cases.dtypes import KNOWN
from conformance.conventions import CONVENTIONS
from conformance.implementations import adapters
from conformance.operations import OPERATIONS

GOOD, BAD, DOUBTFUL = "green", "red", "yellow"


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """`text` in a colour where `stream` (standard output) shows colours."""
    try:
        from termcolor import colored
    except ModuleNotFoundError:  # an install without the extra: no reason to stop
        return text
    # termcolor looks at the environment and at standard output; the other stream must be a terminal too.
    plain = stream is not None and not stream.isatty()
    return colored(text, colour, attrs=["bold"], no_color=True if plain else None)


def wrapped(text: str, indent: str) -> list[str]:
    """`text` in lines as wide as the terminal, all but the first behind `indent`; elsewhere one line."""
    if not sys.stdout.isatty():
        return [text]
    columns = shutil.get_terminal_size().columns
    return textwrap.wrap(
        text, max(40, columns), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def refusal(command: str, message: str) -> str:
    """An error, for standard error."""
    return f"{paint(f'{command}:', BAD, sys.stderr)} {message}"


def _conventions() -> list[str]:
    return [
        f"{convention.name}={value}" for convention in CONVENTIONS.values() for value in convention.values
    ]


#: What the shell offers for an option, whichever command has it.
_WORDS: dict[str, Callable[[], Iterable[str]]] = {
    "impl": lambda: ["cnnref", "cnnref.blog", *adapters()],
    "ops": lambda: OPERATIONS,
    "dtype": lambda: KNOWN,
    "convention": _conventions,
}


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell, if it is the shell that asks; the process then ends here."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    import argcomplete
    from argcomplete.completers import DirectoriesCompleter, FilesCompleter

    for command in _commands(parser):
        for action in command._actions:
            if action.dest in _WORDS:
                words = _WORDS[action.dest]
                files = FilesCompleter((".py",)) if action.dest == "impl" else None
                action.completer = _offer(words, files)  # type: ignore[attr-defined]
            elif action.dest in ("out", "shards"):
                action.completer = DirectoriesCompleter()  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser)


def _commands(parser: argparse.ArgumentParser) -> Iterable[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def _offer(
    words: Callable[[], Iterable[str]], files: Callable[..., Iterable[str]] | None
) -> Callable[..., list[str]]:
    def completer(prefix: str = "", **context: object) -> list[str]:
        found = [word for word in words() if word.startswith(prefix)]
        return found + (list(files(prefix, **context)) if files else [])

    return completer
