"""What the names in the records stand for: data families and corner cases, with their sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from conformance.generation.corners import CORNERS
from conformance.generation.families import FAMILIES
from conformance.report.digest import Digest

#: From the one that decides a row with several operations to the one that does not matter.
_ORDER = ("failed", "not run", "passed", "refused", "absent")


@dataclass
class CornerRow:
    """One corner case as the report lists it: where it was seen, and its result by operation."""

    name: str
    source: str
    results: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """The result that matters most; "not run" where an operation that ran has no record of it."""
        return min(self.results.values(), key=_ORDER.index)

    @property
    def operations(self) -> Sequence[str]:
        """The operations with that result."""
        return [op for op, status in self.results.items() if status == self.status]


def family_description(name: str) -> str:
    """Say what a data family holds; empty for a name that is not in the catalogue."""
    return FAMILIES[name].description if name in FAMILIES else ""


def corner_rows(digest: Digest) -> list[CornerRow]:
    """List the corner cases of the operations that ran with their results, failed ones first."""
    ran = {op for op, _ in digest.cells}
    known = {(corner.op, corner.name) for corner in CORNERS}
    rows: dict[tuple[str, str], CornerRow] = {}
    for corner in CORNERS:
        if corner.op in ran:
            row = rows.setdefault((corner.name, corner.source), CornerRow(corner.name, corner.source))
            seen = digest.corners.get((corner.op, corner.name))
            row.results[corner.op] = seen.status if seen else "not run"
    for (op, name), seen in digest.corners.items():
        if (op, name) not in known:
            rows.setdefault((name, ""), CornerRow(name, "")).results[op] = seen.status
    return sorted(rows.values(), key=lambda row: _ORDER.index(row.status))
