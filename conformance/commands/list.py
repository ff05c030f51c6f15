"""``conformance list``: what the suite knows, in one screen, or a part of it in full."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from conformance.cases.option_table import PARAMETERS
from conformance.commands.usage import AGREES, UsageError, examples
from conformance.conventions import CONVENTIONS
from conformance.faults.diagnose import catalogue
from conformance.faults.state import STATE
from conformance.generation.corners import CORNERS
from conformance.generation.families import FAMILIES
from conformance.implementations import adapters
from conformance.operations import OPERATIONS

_EXAMPLES = examples(
    "conformance list                     one screen",
    "conformance list faults 'conv-*'     the faults by name, or some",
    "conformance list faults NaN          what has it in its name or text",
    "conformance list all | less          everything, as into a pipe",
)

#: A thing that is listed: its name, and its lines.
_Item = tuple[str, list[str]]


def add_command(commands: Any) -> None:
    """Add ``list`` to the command line."""
    listed = commands.add_parser(
        "list", help="operations, families, corner cases, adapters, faults", epilog=_EXAMPLES
    )
    listed.description = (
        "List operations and their parameters, data families, corner cases, adapters and known faults: on a "
        "terminal a summary, of a topic all of it, into a pipe everything. `conformance explain NAME` says "
        "more of one."
    )
    listed.add_argument(
        "topic", metavar="TOPIC", nargs="?", choices=["all", *_TOPICS], help=", ".join(_TOPICS)
    )
    listed.add_argument(
        "pattern", metavar="PATTERN", nargs="?",
        help="a part of a name or of what is said of it, or a shell pattern of whole names",
    )  # fmt: skip
    listed.set_defaults(action=command)


def command(asked: argparse.Namespace) -> int:
    """Run ``conformance list``."""
    if asked.topic in _TOPICS:
        print(topic(asked.topic, asked.pattern), end="")
    elif asked.topic is None and sys.stdout.isatty():
        print(summary(shutil.get_terminal_size().columns), end="")
    elif asked.pattern is not None:
        raise UsageError(f"PATTERN: of one topic, expected one of {', '.join(_TOPICS)} before it, got all")
    else:
        print(text(), end="")
    return AGREES


def text() -> str:
    """Operations, parameters, families, corner cases, adapters, conventions, deviations known by name."""
    parts = ("operations", "parameters", "families", "corners", "adapters", "conventions", "faults", "state")
    return "\n".join(_section(part) for part in parts)


def topic(name: str, pattern: str | None = None) -> str:
    """One topic, or what of it `pattern` fits.

    Raises
    ------
    UsageError
        If it fits nothing.
    """
    parts = [part for part in _PARTS if part == name or (name, part) == ("faults", "state")]
    if pattern is None:
        return "\n".join(_section(part) for part in parts)
    found = [item for part in parts for item in _PARTS[part][1]() if _fits(pattern, item)]
    if not found:
        raise UsageError(f"PATTERN: none of the {name} fits {pattern!r}; conformance list {name} has all")
    return "".join(f"{line}\n" for _, lines in found for line in lines)


def summary(columns: int = 80) -> str:
    """What there is, on one screen."""
    forward = [name for name, operation in OPERATIONS.items() if not operation.forward]
    heads: dict[str, Iterable[str]] = {
        "operations": forward, "families": FAMILIES, "conventions": CONVENTIONS, "adapters": adapters(),
    }  # fmt: skip
    found, width = [], max(40, columns - 1)
    for part, names in heads.items():
        found.append(_said(part) + (", and their gradients" if names is forward else ""))
        found += textwrap.wrap(
            ", ".join(names), width, initial_indent="  ", subsequent_indent="  ",
            break_on_hyphens=False,
        )  # fmt: skip
    found += textwrap.wrap(", ".join(map(_said, ("corners", "faults", "state"))), width)
    found.append(f"All: conformance list {'|'.join(_TOPICS)} [PATTERN]")
    found.append("More of one: conformance explain NAME")
    return "".join(f"{line}\n" for line in found)


def _fits(pattern: str, item: _Item) -> bool:
    name, lines = item
    if set(pattern) & set("*?["):
        return fnmatchcase(name, pattern)
    begun = rf"\b{re.escape(pattern)}"  # "turned" is in no "returned"
    return pattern in name or bool(re.search(begun, "\n".join(lines), re.IGNORECASE))


def _section(part: str) -> str:
    return "".join(
        f"{line}\n" for line in (_heading(part), *(x for _, lines in _PARTS[part][1]() for x in lines))
    )


def _heading(part: str) -> str:
    return _PARTS[part][0].format(sum(1 for _ in _PARTS[part][1]()))


def _said(part: str) -> str:
    """Its heading without what the lines below it have."""
    return re.split(":|, exp", _heading(part))[0]


def _operations() -> Iterator[_Item]:
    for operation in OPERATIONS.values():
        form = ", ".join(name for group in operation.grammar for name in group)
        yield operation.name, [f"  {operation.name}({form}): {', '.join(operation.outputs)}"]


def _parameters() -> Iterator[_Item]:
    for letter, meaning in PARAMETERS.items():
        yield letter, [f"  {letter:<12}{meaning}"]


def _families() -> Iterator[_Item]:
    for family in FAMILIES.values():
        yield family.name, [f"  {family.name:<16}{family.kind}: {family.description}"]


def _corners() -> Iterator[_Item]:
    sources = {(corner.op, corner.name): corner.source for corner in CORNERS}
    for (op, name), source in sources.items():
        yield f"{op}: {name}", [f"  {op}: {name}" + (f" ({source})" if source else "")]


def _adapters() -> Iterator[_Item]:
    for name in adapters():
        yield name, [f"  {name}"]


def _conventions() -> Iterator[_Item]:
    for convention in CONVENTIONS.values():
        values = [f"    {value:<14}{meaning}" for value, meaning in convention.values.items()]
        yield convention.name, [f"  {convention.name}: {convention.text}", *values]


def _named(sentences: Iterable[tuple[str, str]]) -> Iterator[_Item]:
    for name, sentence in sentences:
        yield name, [f"  {name:<35} {sentence}"]


#: What is listed: the heading, and what stands under it. The order is that of the whole list.
_PARTS: dict[str, tuple[str, Callable[[], Iterator[_Item]]]] = {
    "operations": ("Operations ({}): outputs", _operations),
    "parameters": ("Parameters of a case", _parameters),
    "families": ("Data families ({}): tier", _families),
    # Of each operation; one has several shapes or data.
    "corners": (f"Corner cases ({len(CORNERS)}): source", _corners),
    "adapters": ("Adapters (--impl)", _adapters),
    "conventions": ("Conventions ({}), expected value first (--convention NAME=VALUE)", _conventions),
    "faults": (
        "Deviations known by name ({})",
        lambda: _named((slip.id, slip.text) for slip in catalogue()),
    ),
    "state": ("Faults that one call cannot show ({})", lambda: _named(sorted(STATE.items()))),
}

#: What may be asked for by itself.
_TOPICS = ("faults", "corners", "families", "operations", "conventions")
