"""Which row is measured again, and when: the rows whose rounds disagree, spread over the time of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.rounds import Rounds

#: Visits of a row at most, and of one whose rounds agree: a layout of its arrays in memory must not decide.
MOST = 8
AGREED = 3

#: Passes over rows whose rounds disagree before the others are come back to.
_AHEAD = 2


def due(rounds: Rounds) -> int | None:
    """In which pass the row is measured next, the lowest first; None where it has been measured enough."""
    if rounds.settled():
        return rounds.visits + _AHEAD if rounds.visits < AGREED else None
    return rounds.visits if rounds.visits < MOST else None


def again(pooled: Mapping[str, Rounds], visit: Callable[[str, int], None], left: Callable[[], float]) -> None:
    """Come back to rows, in passes, until their rounds agree or the time is up.

    Parameters
    ----------
    pooled : mapping
        By row its rounds so far, one visit at least.
    visit : callable
        Given a row and how many are left in the pass, this one included, adds rounds to those of the row.
    left : callable
        Seconds that are left; no visit begins when none are.
    """
    while waiting := {row: number for row, rounds in pooled.items() if (number := due(rounds)) is not None}:
        first = min(waiting.values())
        of_pass = [row for row, number in waiting.items() if number == first]
        for place, row in enumerate(of_pass):
            if left() <= 0:
                return
            visit(row, len(of_pass) - place)
