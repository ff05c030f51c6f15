"""The mappings of hyperparameters that were handed over: the caller's own, which a call may not change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What is said of a call that has changed them.
CHANGED = "hparameters changed"

#: Stands before the function that was called first and the argument of it that it has changed.
EARLIER = "changed before: "


class Handed:
    """The mappings that a caller has handed over, as they were and as they are."""

    def __init__(self) -> None:
        self._pairs: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def mapping(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A mapping to hand over."""
        own = dict(values)
        self._pairs.append((dict(own), own))
        return own

    def notes(self) -> tuple[str, ...]:
        """Whether one of them has been changed."""
        return (CHANGED,) if any(before != own for before, own in self._pairs) else ()

    def alter(self) -> None:
        """Change every number and word of them, as a caller may who uses them for another layer."""
        for before, own in self._pairs:
            for key, value in own.items():
                if isinstance(value, bool):
                    own[key] = not value
                elif isinstance(value, (int, float)):
                    own[key] = value + 3
                elif isinstance(value, tuple):
                    own[key] = 3
            before.clear()
            before.update(own)
