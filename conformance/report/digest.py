"""One pass over ``results.jsonl``: what the report needs of it, in memory that does not grow with it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.operations import OPERATIONS
from conformance.report.text import clean
from conformance.verdict import schema
from conformance.verdict.document import SchemaError
from conformance.verdict.record import Record

#: The tiers in the order of the tables; an exception leaves nothing for a tier to judge.
NO_RESULT = "no result"
TIERS = (*schema.TIERS, NO_RESULT)

#: Below this share of single dropped terms a case could not have shown enough.
SHARP = 0.95

#: Failures shown in full for each operation, output and diagnosis; the others are counted.
EXAMPLES = 3

#: Groups of failures that keep examples; a diagnosis that differs every time cannot fill the memory.
GROUPS = 200

#: Statuses in the order in which one of them decides what is said of several.
_WORST_FIRST = ("failed", "passed", "refused", "absent")

_STEPS = 4  # bins for each doubling of an error: a median within 20 %


def rows(path: Path) -> Iterator[Record]:
    """Yield the records of a ``results.jsonl``, unprintable characters replaced.

    Raises
    ------
    SchemaError
        If a line is no record; the message names the file, the line and the field.
    """
    with open(path, "rb") as stream:
        for number, line in enumerate(iter(lambda: stream.readline(schema.LONGEST_LINE), b""), 1):
            try:
                record = schema.record(line, to_the_byte=False)
            except SchemaError as error:
                raise SchemaError(f"{path}, line {number}: {error}") from error
            # A line is ASCII: what is not printable is escaped in it.
            yield _cleaned(record) if b"\\" in line or b"\x7f" in line else record


def _cleaned(record: Record) -> Record:
    texts = {name: clean(getattr(record, name)) for name in Record.__slots__}
    return record.but(**texts)


def number(item: Any) -> float | None:
    """Read a number of a record; non-finite ones are written as text. NaN counts as infinite."""
    if item is None:
        return None
    read = float(item)
    return math.inf if math.isnan(read) else read


@dataclass
class Spread:
    """The distribution of one error: how many, the median, the worst and its case."""

    count: int = 0
    worst: float = -math.inf
    worst_case: str = ""
    bins: Counter[float] = field(default_factory=Counter)

    def add(self, item: float, case: str) -> None:
        """Count the error of a case."""
        self.count += 1
        if item > self.worst:
            self.worst, self.worst_case = item, case
        exact = item <= 0 or math.isinf(item)
        self.bins[item if exact else 2.0 ** min(round(math.log2(item) * _STEPS) / _STEPS, 1023.0)] += 1

    @property
    def median(self) -> float:
        """The median, as exact as its bin."""
        seen = 0
        for item in sorted(self.bins):
            seen += self.bins[item]
            if 2 * seen >= self.count:
                return min(item, self.worst)
        raise ValueError("the median of no errors")


@dataclass
class Cell:
    """One output of one operation."""

    op: str
    output: str
    counts: Counter[str] = field(default_factory=Counter)
    ulp: dict[str, Spread] = field(default_factory=dict)
    share: dict[str, Spread] = field(default_factory=dict)
    failed_dtypes: Counter[str] = field(default_factory=Counter)
    diagnoses: Counter[str] = field(default_factory=Counter)

    @property
    def status(self) -> str:
        """The status that matters most: one failure fails the output."""
        return next((s for s in _WORST_FIRST if self.counts[s]), "absent")


@dataclass
class Group:
    """The failures of one output that share a diagnosis."""

    op: str
    output: str
    diagnosis: str
    count: int = 0
    dtypes: Counter[str] = field(default_factory=Counter)
    families: Counter[str] = field(default_factory=Counter)
    examples: list[Record] = field(default_factory=list)


@dataclass
class Family:
    """What was compared on one data family."""

    cases: int = 0
    tiers: Counter[str] = field(default_factory=Counter)
    failed: int = 0


@dataclass
class Power:
    """The detectability of one tier's comparisons."""

    count: int = 0
    total: float = 0.0
    lowest: float = math.inf
    blunt: int = 0


@dataclass
class Corner:
    """The result of one named corner case of one operation, over dtypes and outputs."""

    counts: Counter[str] = field(default_factory=Counter)

    @property
    def status(self) -> str:
        """The status that matters most."""
        return next(s for s in _WORST_FIRST if self.counts[s])


@dataclass
class Digest:
    """Everything the report says of the records."""

    cases: int = 0
    records: int = 0
    compared: int = 0
    dtypes: list[str] = field(default_factory=list)
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)
    groups: dict[tuple[str, str, str], Group] = field(default_factory=dict)
    families: dict[str, Family] = field(default_factory=dict)
    power: dict[str, Power] = field(default_factory=dict)
    corners: dict[tuple[str, str], Corner] = field(default_factory=dict)

    def add(self, row: Record, new_case: bool) -> None:
        """Count a record; `new_case` says whether it is the first of its case."""
        self.records += 1
        self.cases += new_case
        # What is absent, or raised, has no tier: there was nothing to compare.
        self.compared += row.tier is not None
        if row.dtype not in self.dtypes:
            self.dtypes.append(row.dtype)
        self._add_cell(row)
        self._add_coverage(row, new_case)
        if row.corner:
            corner = self.corners.setdefault((row.op, row.corner), Corner())
            corner.counts[row.status] += 1
        if row.status == "failed":
            self._add_failure(row)

    def _add_cell(self, row: Record) -> None:
        key = row.op, row.output
        cell = self.cells.setdefault(key, Cell(*key))
        cell.counts[row.status] += 1
        for errors, name in ((cell.ulp, "max_error_ulp"), (cell.share, "max_bound_fraction")):
            item = number(getattr(row, name))
            if item is not None:
                errors.setdefault(row.dtype, Spread()).add(item, row.case)
        if row.status == "failed":
            cell.failed_dtypes[row.dtype] += 1
            cell.diagnoses[row.diagnosis or "unexplained"] += 1

    def _add_coverage(self, row: Record, new_case: bool) -> None:
        family = self.families.setdefault(row.family, Family())
        family.cases += new_case
        if row.status in ("absent", "refused"):
            return
        tier = row.tier or NO_RESULT
        family.tiers[tier] += 1
        family.failed += row.status == "failed"
        seen = number(row.detectability)
        if seen is not None:
            power = self.power.setdefault(tier, Power())
            power.count += 1
            power.total += seen
            power.lowest = min(power.lowest, seen)
            power.blunt += seen < SHARP

    def _add_failure(self, row: Record) -> None:
        diagnosis = row.diagnosis or "unexplained"
        key = row.op, row.output, diagnosis
        if key not in self.groups and len(self.groups) >= GROUPS:
            key = row.op, row.output, "other diagnoses"
        group = self.groups.setdefault(key, Group(*key))
        group.count += 1
        group.dtypes[row.dtype] += 1
        group.families[row.family] += 1
        if len(group.examples) < EXAMPLES:
            group.examples.append(row)


def digest(path: Path) -> Digest:
    """Read a ``results.jsonl`` line by line; operations come out in the contract's order.

    Raises
    ------
    ValueError
        If a line is no record.
    """
    result = Digest()
    previous = None
    for row in rows(path):
        # The outputs of a case stand together in the file, so a new name is a new case.
        result.add(row, row.case != previous)
        previous = row.case
    order = {key: position for position, key in enumerate(_contract())}
    result.cells = {k: result.cells[k] for k in sorted(result.cells, key=lambda k: order.get(k, len(order)))}
    result.groups = {
        k: result.groups[k]
        for k in sorted(result.groups, key=lambda k: (order.get(k[:2], len(order)), -result.groups[k].count))
    }
    result.families = dict(sorted(result.families.items()))
    result.power = {tier: result.power[tier] for tier in TIERS if tier in result.power}
    result.dtypes.sort()
    return result


def _contract() -> Iterator[tuple[str, str]]:
    for operation in OPERATIONS.values():
        for output in operation.outputs:
            yield operation.name, output
