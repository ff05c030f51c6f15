"""What a run is asked for, and what it came to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from conformance.cases.case import Case
from conformance.cases.dtypes import DTYPES
from conformance.conventions import Settings
from conformance.generation.generate import generate
from conformance.implementations.program import TIME_LIMIT
from conformance.operations import OPERATIONS
from conformance.report.states import Group
from conformance.runs.share import Numbered

#: Cases handed out at a time, all of one operation and dtype. Diagnoses start anew with each batch, so
#: that they do not depend on which worker got which batch.
BATCH = 50

Between = Callable[[int, int], Iterable[Case]]


class SweepError(ValueError):
    """Records that do not belong to the run asked for, or are damaged; the message says where."""


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 1) of `count`."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``i/n``.

        Raises
        ------
        ValueError
            If it is not of that form with 1 <= i <= n.
        """
        index, slash, count = text.partition("/")
        if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count) <= 10**6):
            raise ValueError(f"{text!r} is not a shard; expected i/n with 1 <= i <= n, 2/8 say")
        return cls(int(index), int(count))

    def of(self, sizes: Sequence[int], between: Between) -> Iterator[list[Numbered]]:
        """The batches of this shard of groups of so many cases, each of one operation and dtype.

        ``between(start, stop)`` are the cases of the run with those numbers.
        """
        start = 0
        for size, parts in zip(sizes, self._parts(sizes), strict=True):
            for part in parts:
                begin, stop = start + part * BATCH, start + min((part + 1) * BATCH, size)
                yield list(enumerate(between(begin, stop), begin))
            start += size

    def size(self, sizes: Sequence[int]) -> int:
        """How many cases that is."""
        total = 0
        for size, parts in zip(sizes, self._parts(sizes), strict=True):
            total += len(parts) * BATCH
            if (size - 1) // BATCH in parts:  # the last batch is short
                total -= -size % BATCH
        return total

    def _parts(self, sizes: Sequence[int]) -> Iterator[range]:
        """Of each group the numbers of the batches that are this shard's."""
        first = 0
        for size in sizes:
            each = -(-size // BATCH)
            yield range((self.index - 1 - first) % self.count, each, self.count)
            first += each


class Part(NamedTuple):
    """The cases of one operation in one dtype: those of the user, then so many of the suite's."""

    op: str
    dtype: str
    own: tuple[Case, ...]
    drawn: int

    @property
    def size(self) -> int:
        """How many they are."""
        return len(self.own) + self.drawn


@dataclass(frozen=True)
class Options:
    """What a run was asked for.

    ``operations`` are names of the contract, ``dtypes`` ``"f32"`` and ``"f64"``, ``cases`` the number
    for each operation and dtype, ``settings`` how strictly the implementation is read. ``own`` are cases of
    the user's beside those, with `only` instead of them; ``digest`` tells the files that they name.
    """

    implementation: str = "cnnref"
    operations: tuple[str, ...] = tuple(OPERATIONS)
    dtypes: tuple[str, ...] = tuple(DTYPES)
    cases: int = 200
    seed: int = 0
    settings: Settings = field(default_factory=Settings)
    own: tuple[str, ...] = ()
    only: bool = False
    digest: str = ""

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The groups of the run, in the order of the records."""
        own: dict[tuple[str, str], list[Case]] = {}
        for case in map(Case.parse, self.own):
            own.setdefault((case.op, case.dtype), []).append(case)
        drawn = 0 if self.only else self.cases
        parts = (
            Part(op, dtype, tuple(own.get((op, dtype), ())), drawn)
            for op in self.operations
            for dtype in self.dtypes
        )
        return tuple(part for part in parts if part.size)

    @property
    def sizes(self) -> list[int]:
        """How many cases each group has."""
        return [part.size for part in self.parts]

    @property
    def asked(self) -> dict[Group, int]:
        """The same by operation and dtype."""
        return {(part.op, part.dtype): part.size for part in self.parts}

    def generate(self, start: int = 0, stop: int | None = None) -> Iterator[Case]:
        """The cases of the run, in the order of the records, or those of some numbers."""
        first = 0
        for part in self.parts:
            end = part.size if stop is None else min(stop - first, part.size)
            begin, own = max(start - first, 0), len(part.own)
            if begin < end:
                yield from part.own[begin:end]
                if end > own:
                    drawn = [OPERATIONS[part.op]], [part.dtype], part.drawn, self.seed
                    yield from generate(*drawn, max(begin - own, 0), end - own)
            first += part.size


@dataclass(frozen=True)
class Sweep:
    """How a run is carried out; no record of a right answer depends on it.

    ``workers`` is the number of processes (0: one for each processor), ``resume`` keeps the records that
    are there, ``shard`` is the part of the run to do, ``isolate`` gives each case a process of its own,
    ``time_limit`` is how many seconds a case may take, ``dask`` the address of a scheduler whose workers
    judge instead of processes here, ``sandbox`` has the implementation run in bubblewrap, ``hidden`` keeps
    the cases out of what is written. ``budget`` is how many seconds may go into the cases (0: as many as they
    take), with ``fail_fast`` the first failure ends the run.
    """

    workers: int = 0
    resume: bool = False
    shard: Shard = field(default_factory=Shard)
    isolate: bool = False
    time_limit: float = TIME_LIMIT
    dask: str | None = None
    sandbox: bool = False
    hidden: bool = False
    budget: float = 0.0
    fail_fast: bool = False


@dataclass
class Result:
    """What a run came to: ``summary.json`` as a dict, and why it proves nothing if it does not.

    ``problems`` are those of the run, ``doubts`` those of operations of which too little was compared,
    ``faults`` those of the form in which the module answers.
    """

    summary: dict[str, Any]
    problems: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """The faults of form, in a sentence each."""
        return [str(found["sentence"]) for found in self.summary["faults"]]

    @property
    def agrees(self) -> bool:
        """Whether nothing failed in a run that could have shown it."""
        return not (self.summary["failed"] or self.problems or self.doubts or self.faults)
