"""Which options a run exercised, which pairs of them, and what it did not reach."""

from __future__ import annotations

from collections import Counter
from typing import Any

from conformance.cases.case import Case
from conformance.cases.operation import Level
from conformance.cases.option_table import PARAMETERS
from conformance.generation import covering
from conformance.operations import OPERATIONS

Counts = Counter[str]


class Coverage:
    """Counts the kinds of options, and the pairs of them, in the cases of a run.

    Only a case that was compared, passed or failed, exercises anything.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, dict[Level, Counts]] = {}
        self._pairs: dict[str, dict[covering.Pair, Counts]] = {}

    def add(self, case: Case, status: str) -> None:
        """Count one case."""
        op = case.op
        if not case.operation.options:
            return
        kinds, pairs = self._kinds.setdefault(op, {}), self._pairs.setdefault(op, {})
        levels = list(case.levels.items())
        for place, level in enumerate(levels):
            kinds.setdefault(level, Counter())[status] += 1
            for other in levels[:place]:
                pairs.setdefault((other, level), Counter())[status] += 1

    def to_dict(self) -> dict[str, Any]:
        """``summary.json``'s ``coverage``: for each operation with options, its kinds and its pairs."""
        return {op: self._operation(op) for op in OPERATIONS if op in self._kinds}

    def _operation(self, op: str) -> dict[str, Any]:
        operation, kinds, pairs = OPERATIONS[op], self._kinds[op], self._pairs[op]
        meanings = {name: option.text for name, option in operation.option.items()}
        possible = covering.pairs(op)
        return {
            "options": {
                name: {
                    "meaning": meanings.get(name, PARAMETERS.get(name, name)),
                    "kinds": {kind: _counts(kinds.get((name, kind), Counter())) for kind in levels},
                }
                for name, levels in operation.factors.items()
            },
            "pairs": {_name(pair): _counts(pairs.get(pair, Counter())) for pair in possible},
            "missing": [_name(pair) for pair in possible if not _compared(pairs.get(pair, Counter()))],
        }


def _counts(found: Counts) -> dict[str, int]:
    return {"compared": _compared(found), "failed": found["failed"], "absent": found["absent"]}


def _compared(found: Counts) -> int:
    return found["passed"] + found["failed"]


def _name(pair: covering.Pair) -> str:
    return " ".join(f"{name}={kind}" for name, kind in pair)


def with_undeclared(operation: dict[str, Any]) -> dict[str, Any]:
    """An operation's coverage with what the implementation does not declare told from what was not reached.

    A kind is not declared if cases with it, or with others of its option that were never compared either,
    came back absent; a pair if one of its kinds is not.
    """
    options: dict[str, Any] = {}
    undeclared: set[str] = set()
    for name, option in operation["options"].items():
        left = {kind for kind, counts in option["kinds"].items() if not counts["compared"]}
        gone = left if any(option["kinds"][kind]["absent"] for kind in left) else set()
        undeclared |= {f"{name}={kind}" for kind in gone}
        kinds = {kind: {**counts, "undeclared": kind in gone} for kind, counts in option["kinds"].items()}
        options[name] = {**option, "kinds": kinds}
    pairs = {
        name: {**counts, "undeclared": not counts["compared"] and not undeclared.isdisjoint(name.split(" "))}
        for name, counts in operation["pairs"].items()
    }
    missing = [name for name in operation["missing"] if not pairs[name]["undeclared"]]
    grey = sum(counts["undeclared"] for counts in pairs.values())
    compared = any(counts["compared"] for option in options.values() for counts in option["kinds"].values())
    return {
        "options": options, "pairs": pairs, "missing": missing, "undeclared": grey,
        "wanted": len(pairs) - grey, "declared": compared,
    }  # fmt: skip


def matrix(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the table of pairs: the pairs of each kind with those of the options before it.

    A cell is the pair's counts, or None where the two do not go together or are of one option.
    """
    levels = [(name, kind) for name, option in operation["options"].items() for kind in option["kinds"]]
    return [
        {
            "name": name,
            "kind": kind,
            "cells": [
                operation["pairs"].get(_name((other, (name, kind)))) if other[0] != name else None
                for other in levels[:place]
            ],
            "rest": len(levels) - place - 1,
        }
        for place, (name, kind) in enumerate(levels)
    ]
