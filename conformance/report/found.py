"""What was found out about failures, by the group of failures it stands for."""

from __future__ import annotations

from typing import Any

Finding = dict[str, Any]


def by_group(summary: dict[str, Any]) -> dict[tuple[str, str, str], Finding]:
    """The findings of a run by operation, output and diagnosis: each is of the group's first failure."""
    return {
        (found["case"].partition(":")[0], found["output"], found["diagnosis"]): found
        for found in summary.get("findings", ())
    }
