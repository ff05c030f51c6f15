"""Alternation and medians: peers take turns at a row, so that what disturbs the machine disturbs all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Turn:
    """Some calls of one peer, one after the other.

    Attributes
    ----------
    seconds : float
        Of one call, the mean.
    waited : float
        For how long the threads of the peer were ready and had no processor, and for how long the hypervisor
        had one of the machine's, as a share of the turn's time: 0 where both processors ran for it. (The time
        that its threads ran is no measure of that: the kernel brings it up to date too seldom.)
    """

    seconds: float
    waited: float = 0.0


Timer = Callable[[int], Turn]


@dataclass(frozen=True)
class Plan:
    """How long a row is measured when its turn comes.

    Attributes
    ----------
    rounds : int
        Turns of each peer, at most.
    block : float
        Seconds of calls in one turn, unless one call is longer.
    budget : float
        Seconds for all turns of a row together; at least three rounds are made all the same.
    """

    rounds: int = 5
    block: float = 0.006
    budget: float = 0.6


QUICK = Plan(block=0.004, budget=0.3)
FEWEST = 3


def alternate(timers: Mapping[str, Timer], plan: Plan) -> dict[str, list[Turn]]:
    """Time the peers in turn: forwards in one round, backwards in the next; none always goes first.

    Parameters
    ----------
    timers : mapping
        By peer: given a number of repetitions, makes them.
    plan : Plan
        How many rounds, how long.

    Returns
    -------
    dict
        By peer the turns of the rounds, equally many for each.
    """
    guess = {peer: timer(1).seconds for peer, timer in timers.items()}
    repetitions = {
        peer: max(1, min(20000, round(plan.block / max(seconds, 1e-9)))) for peer, seconds in guess.items()
    }
    # A turn is its repetitions and the calls that warm the caches first.
    turn = sum(guess[peer] * (repetitions[peer] + 1) for peer in timers)
    rounds = max(FEWEST, min(plan.rounds, int(plan.budget / max(turn, 1e-9))))
    turns: dict[str, list[Turn]] = {peer: [] for peer in timers}
    for turn_number in range(rounds):
        order = list(timers) if turn_number % 2 == 0 else list(timers)[::-1]
        for peer in order:
            turns[peer].append(timers[peer](repetitions[peer]))
    return turns


def ratio(ours: list[float], theirs: list[float]) -> tuple[float, float, float]:
    """The quartiles of their time over ours, paired by round: (median, lower, upper).

    A pair is as close in time as can be, so a slow phase of the machine falls on both and cancels out.
    """
    pairs = np.asarray(theirs, dtype=np.float64) / np.asarray(ours, dtype=np.float64)
    lower, median, upper = np.percentile(pairs, (25, 50, 75))
    return float(median), float(lower), float(upper)


def geometric_mean(values: list[float]) -> float:
    """The geometric mean; NaN of nothing."""
    return float(np.exp(np.mean(np.log(values)))) if values else float("nan")
