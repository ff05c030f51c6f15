"""The order of a run that a clock ends: every operation in turn, its most telling cases first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from conformance.cases.case import Case
from conformance.generation.corners import corner_of, corners
from conformance.generation.sample import telling
from conformance.runs.options import BATCH, Options
from conformance.runs.share import Numbered

#: Cases of an operation and dtype in the first round, which is never cut short; each round has twice as many.
FIRST = 4


def in_turn(options: Options, going: Callable[[], bool]) -> Iterator[list[Numbered]]:
    """The batches of a run: a few cases of every operation and dtype, then more, for as long as it goes on.

    The user's own cases come first, then the corners in which most would show, then the drawn cases.
    """
    starts = [sum(options.sizes[:number]) for number in range(len(options.parts))]
    orders = [_order(options, number, start) for number, start in enumerate(starts)]
    take = FIRST
    while orders:
        for order in list(orders):
            if take > FIRST and not going():
                return
            batch = list(islice(order, take))
            if batch:
                yield batch
            else:
                orders.remove(order)
        take = min(2 * take, BATCH)


def _order(options: Options, number: int, start: int) -> Iterator[Numbered]:
    """The cases of one operation and dtype, the most telling first."""
    part = options.parts[number]
    known = len(part.own) + min(part.drawn, len(corners(part.op)))
    first = list(enumerate(options.generate(start, start + known), start))
    yield from sorted(first, key=lambda numbered: _rank(numbered[0] - start < len(part.own), numbered[1]))
    end = start + part.size
    for begin in range(start + known, end, BATCH):
        stop = min(begin + BATCH, end)
        yield from enumerate(options.generate(begin, stop), begin)


def _rank(own: bool, case: Case) -> tuple[bool, bool, tuple[bool, int]]:
    """The user's own first, then corners, each by how much would show."""
    return not own, not own and corner_of(case) is None, telling(case)
