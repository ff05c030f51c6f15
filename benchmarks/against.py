"""Two builds of cnnref on the same rows, in turn: what a change of the kernels did to their speed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import table
from benchmarks.measure import Plan, alternate, geometric_mean
from benchmarks.rounds import Rounds
from benchmarks.row import Row
from benchmarks.worker import Worker

#: A row that takes this much longer, in its first visits and in those that repeat them, is slower.
SLOWER = 1.03

#: How often a row that looks slower is come back to.
REPEATS = 3

_OTHER = "other"


@dataclass
class Compared:
    """A row: this tree's time over the other one's, in the first visit and in its repeats."""

    row: Row
    visits: list[float] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def factor(self) -> float:
        """The median of the visits."""
        return sorted(self.visits)[len(self.visits) // 2]

    def visit(self, workers: dict[str, Worker], plan: Plan) -> None:
        """Some rounds, on arrays that stand elsewhere than before."""
        for worker in workers.values():
            worker.prepare(self.row, len(self.visits))
        rounds = Rounds(theirs=_OTHER)
        rounds.add(alternate({peer: worker.turn for peer, worker in workers.items()}, plan))
        self.visits.append(1 / rounds.ratio()[0])
        self.seconds = {
            peer: sorted(times)[len(times) // 2] for peer in workers if (times := rounds.seconds(peer))
        }

    def slower(self) -> bool:
        """Whether no visit says otherwise."""
        return min(self.visits) > SLOWER


def compare(wanted: list[Row], tree: Path, minutes: float) -> int:
    """Print by group this tree's times over those of another, and each row that is slower.

    Parameters
    ----------
    wanted : list of Row
        What is measured.
    tree : Path
        A checkout of the project that is built.
    minutes : float
        Time for all rows together; each is visited once, and those that look slower again.

    Returns
    -------
    int
        1 if a group's geometric mean is more than 1 % slower, or a row is slower in every visit.
    """
    began, pools = time.perf_counter(), dict[int, dict[str, Worker]]()
    plan = Plan(rounds=9, budget=0.6 * 60 * minutes / max(len(wanted), 1))
    compared = [Compared(row) for row in wanted]
    try:
        for one in compared:
            one.visit(_workers(pools, one.row.threads, tree), plan)
        for _ in range(REPEATS):
            for one in filter(Compared.slower, compared):
                one.visit(_workers(pools, one.row.threads, tree), plan)
        versions = {peer: worker.version for workers in pools.values() for peer, worker in workers.items()}
    finally:
        for workers in pools.values():
            for worker in workers.values():
                worker.close()
    print(f"{len(wanted)} rows in {time.perf_counter() - began:.0f} s, {versions}")
    return max([*_groups(compared), *_rows(compared)], default=0)


def _workers(pools: dict[int, dict[str, Worker]], threads: int, tree: Path) -> dict[str, Worker]:
    if threads not in pools:
        pools[threads] = {"cnnref": Worker("cnnref", threads), _OTHER: Worker("cnnref", threads, tree=tree)}
    return pools[threads]


def _groups(compared: list[Compared]) -> Iterator[int]:
    """By group the geometric mean of this tree's time over the other's; whether it is too slow."""
    print("this tree's time / the other's, geometric means:")
    for group in dict.fromkeys(one.row.group for one in compared):
        factors = [one.factor for one in compared if one.row.group == group]
        mean = geometric_mean(factors)
        print(f"  {group:24} {mean:6.3f}  ({len(factors)} rows, {min(factors):.2f} to {max(factors):.2f})")
        yield int(mean > 1.01)


def _rows(compared: list[Compared]) -> Iterator[int]:
    slower = sorted(filter(Compared.slower, compared), key=lambda one: -one.factor)
    print(f"rows slower by more than {SLOWER - 1:.0%} in each of {REPEATS + 1} visits: {len(slower)}")
    for one in slower:
        took = " ".join(f"{table.duration(seconds):>8}" for seconds in one.seconds.values())
        print(f"  {one.row.name:60} {one.row.shape:32} {took}  " + " ".join(f"{x:.2f}" for x in one.visits))
        yield 1
    sys.stdout.flush()
