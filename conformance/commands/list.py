"""``conformance list``: what the suite knows."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from conformance.cases.option_table import PARAMETERS
from conformance.commands.usage import AGREES, examples
from conformance.conventions import CONVENTIONS
from conformance.faults.diagnose import catalogue
from conformance.faults.state import STATE
from conformance.generation.corners import CORNERS
from conformance.generation.families import FAMILIES
from conformance.implementations import adapters
from conformance.operations import OPERATIONS

_EXAMPLES = examples(
    "conformance list",
    "conformance list | grep -A 30 Deviations",
)


def add_command(commands: Any) -> None:
    """Add ``list`` to the command line."""
    listed = commands.add_parser(
        "list", help="operations, families, corner cases, adapters, deviations", epilog=_EXAMPLES
    )
    listed.description = (
        "List operations and their parameters, data families, corner cases, adapters and known deviations."
    )
    listed.set_defaults(action=command)


def command(asked: argparse.Namespace) -> int:
    """Run ``conformance list``."""
    print(text(), end="")
    return AGREES


def text() -> str:
    """Operations, parameters, families, corner cases, adapters, deviations known by name."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield f"Operations ({len(OPERATIONS)}): outputs"
    for operation in OPERATIONS.values():
        yield f"  {operation.name}({_form(operation.grammar)}): {', '.join(operation.outputs)}"
    yield "\nParameters of a case"
    for letter, meaning in PARAMETERS.items():
        yield f"  {letter:<12}{meaning}"
    yield f"\nData families ({len(FAMILIES)}): tier"
    for family in FAMILIES.values():
        yield f"  {family.name:<16}{family.kind}: {family.description}"
    yield f"\nCorner cases ({len(CORNERS)}): source"
    sources = {(corner.op, corner.name): corner.source for corner in CORNERS}
    for (op, name), source in sources.items():
        yield f"  {op}: {name}" + (f" ({source})" if source else "")
    yield "\nAdapters (--impl)"
    for name in adapters():
        yield f"  {name}"
    yield f"\nConventions ({len(CONVENTIONS)}), expected value first (--convention NAME=VALUE)"
    for convention in CONVENTIONS.values():
        yield f"  {convention.name}: {convention.text}"
        for value, meaning in convention.values.items():
            yield f"    {value:<14}{meaning}"
    deviations = catalogue()
    yield f"\nDeviations known by name ({len(deviations)})"
    for slip in deviations:
        yield f"  {slip.id:<36}{slip.text}"
    yield f"\nFaults that one call cannot show ({len(STATE)})"
    for name, sentence in sorted(STATE.items()):
        yield f"  {name:<36}{sentence}"


def _form(grammar: tuple[tuple[str, ...], ...]) -> str:
    return ", ".join(name for group in grammar for name in group)
