"""Where and how a run was made, as names and values a person can compare with another run's."""

from __future__ import annotations

from typing import Any

from conformance.bounds.arithmetic import accuracies_in
from conformance.operations import OPERATIONS


def environment(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """List implementation, oracle, seed, options and versions of a run, each as text."""
    pairs = [
        ("implementation", _text(summary["implementation"])),
        ("dialect", _text(summary.get("dialect", "contract"))),
        ("oracle", _text(summary["oracle"])),
        ("seed", _text(summary["seed"])),
    ]
    options = dict(summary["options"])
    if options.get("ops") is not None and set(options["ops"]) == set(OPERATIONS):
        options["ops"] = None
    pairs += [(name, _text(item)) for name, item in options.items()]
    if "arithmetic" in summary:
        pairs.append(("arithmetic", _text(summary["arithmetic"])))
        pairs += _tails(summary)
    pairs += [(name, _text(item)) for name, item in summary["versions"].items()]
    pairs.append(("time", f"{summary['seconds']:.1f} s"))
    return pairs


def _tails(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Which accuracy the tails of each operation were held to; how many outputs lack a stricter one."""
    declared, found = accuracies_in(summary["arithmetic"]), []
    for name in summary["operations"]:
        if name in OPERATIONS and (known := OPERATIONS[name].accuracies):
            lacking = summary.get("tails", {}).get(name)
            more = f" ({lacking} outputs fall short of a stricter one)" if lacking else ""
            found.append(f"{name} {declared.get(name, known[0])}{more}")
    return [("tails", ", ".join(found))] if found else []


def _text(item: Any) -> str:
    if item is None or item == []:
        return "all"
    if isinstance(item, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in item.items())
    if isinstance(item, list | tuple):
        return ", ".join(_text(part) for part in item)
    return str(item)
