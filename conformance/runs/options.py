"""What a run is asked for, and what it came to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from conformance.cases.case import Case
from conformance.cases.dtypes import DTYPES
from conformance.conventions import Settings
from conformance.generation.generate import generate
from conformance.implementations.program import TIME_LIMIT
from conformance.operations import OPERATIONS
from conformance.operations.entry import Entry

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

    def of(self, groups: int, cases: int, between: Between) -> Iterator[list[tuple[int, Case]]]:
        """The batches of this shard of `groups` operations and dtypes with `cases` each.

        ``between(start, stop)`` are the cases of the run with those numbers.
        """
        each = -(-cases // BATCH)
        for number in range(self.index - 1, groups * each, self.count):
            group, part = divmod(number, each)
            start = group * cases + part * BATCH
            stop = min(start + BATCH, (group + 1) * cases)
            yield list(enumerate(between(start, stop), start))

    def size(self, groups: int, cases: int) -> int:
        """How many cases that is."""
        each = -(-cases // BATCH)
        mine = range(self.index - 1, groups * each, self.count)
        short = range(each - 1, groups * each, each)  # the last batch of each group
        missing = sum(number in mine for number in short) if cases % BATCH else 0
        return len(mine) * BATCH - missing * (BATCH - cases % BATCH)


@dataclass(frozen=True)
class Options:
    """What a run was asked for.

    ``operations`` are names of the contract, ``dtypes`` ``"f32"`` and ``"f64"``, ``cases`` the number
    for each operation and dtype, ``settings`` how strictly the implementation is read.
    """

    implementation: str = "cnnref"
    operations: tuple[str, ...] = tuple(OPERATIONS)
    dtypes: tuple[str, ...] = tuple(DTYPES)
    cases: int = 200
    seed: int = 0
    settings: Settings = field(default_factory=Settings)

    @property
    def groups(self) -> int:
        """How many times `cases` there are."""
        return len(self.operations) * len(self.dtypes)

    def generate(self, start: int = 0, stop: int | None = None) -> Iterator[Case]:
        """The cases of the run, in the order of the records, or those of some numbers."""
        chosen: list[Entry] = [OPERATIONS[name] for name in self.operations]
        return generate(chosen, self.dtypes, self.cases, self.seed, start, stop)


@dataclass(frozen=True)
class Sweep:
    """How a run is carried out; no record of a right answer depends on it.

    ``workers`` is the number of processes (0: one for each processor), ``resume`` keeps the records that
    are there, ``shard`` is the part of the run to do, ``isolate`` gives each case a process of its own,
    ``time_limit`` is how many seconds a case may take, ``dask`` the address of a scheduler whose workers
    judge instead of processes here, ``sandbox`` has the implementation run in bubblewrap, ``hidden`` keeps
    the cases out of what is written.
    """

    workers: int = 0
    resume: bool = False
    shard: Shard = field(default_factory=Shard)
    isolate: bool = False
    time_limit: float = TIME_LIMIT
    dask: str | None = None
    sandbox: bool = False
    hidden: bool = False


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
