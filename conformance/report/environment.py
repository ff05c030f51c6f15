"""Where and how a run was made, as names and values a person can compare with another run's."""

from __future__ import annotations

from typing import Any

from conformance.operations import OPERATIONS


def environment(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """List implementation, oracle, seed, options and versions of a run, each as text."""
    pairs = [
        ("implementation", _text(summary["implementation"])),
        ("oracle", _text(summary["oracle"])),
        ("seed", _text(summary["seed"])),
    ]
    options = dict(summary["options"])
    if options.get("ops") is not None and set(options["ops"]) == set(OPERATIONS):
        options["ops"] = None
    pairs += [(name, _text(item)) for name, item in options.items()]
    if "arithmetic" in summary:
        pairs.append(("arithmetic", _text(summary["arithmetic"])))
    pairs += [(name, _text(item)) for name, item in summary["versions"].items()]
    pairs.append(("time", f"{summary['seconds']:.1f} s"))
    return pairs


def _text(item: Any) -> str:
    if item is None or item == []:
        return "all"
    if isinstance(item, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in item.items())
    if isinstance(item, list | tuple):
        return ", ".join(_text(part) for part in item)
    return str(item)
