"""All rounds of a row, whenever they were made, and whether they agree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.measure import FEWEST, Turn, ratio

#: Quartiles of the ratio that lie further apart than by this factor are wide.
WIDE = 1.15

#: A round in which one of the peers waited for a processor for more than this share of its time is left out.
WAITED = 0.05


@dataclass
class Rounds:
    """The rounds of a row in all its visits.

    Attributes
    ----------
    turns : dict
        By peer its turn in every round; the peers had them one after the other.
    visits : int
        How often the row was come back to: each time its arrays stood elsewhere in memory.
    theirs : str
        The peer whose time is divided by that of ``"cnnref"``.
    """

    turns: dict[str, list[Turn]] = field(default_factory=dict)
    visits: int = 0
    theirs: str = "pytorch"

    def add(self, turns: dict[str, list[Turn]]) -> None:
        """The rounds of one more visit."""
        for peer, more in turns.items():
            self.turns.setdefault(peer, []).extend(more)
        self.visits += 1

    def waited(self) -> list[float]:
        """Of each round the longer wait of its peers."""
        return [max(turn.waited for turn in of_round) for of_round in zip(*self.turns.values(), strict=True)]

    def left_out(self) -> list[bool]:
        """Which rounds do not count: those in which either peer waited, whatever their times say.

        Where that leaves fewer rounds than a visit makes, the machine was not free: all count.
        """
        disturbed = [waited > WAITED for waited in self.waited()]
        return disturbed if self.free() else [False] * len(disturbed)

    def free(self) -> bool:
        """Whether no peer waited in at least as many rounds as a visit makes."""
        return sum(waited <= WAITED for waited in self.waited()) >= FEWEST

    def seconds(self, peer: str) -> list[float]:
        """The times of a peer in the rounds that count."""
        pairs = zip(self.turns[peer], self.left_out(), strict=True)
        return [turn.seconds for turn, out in pairs if not out]

    def ratio(self) -> tuple[float, float, float]:
        """Their time over ours: (median, lower quartile, upper quartile)."""
        return ratio(self.seconds("cnnref"), self.seconds(self.theirs))

    def settled(self) -> bool:
        """Whether the quartiles of the ratio, on a free machine, are close and on one side of 1.0."""
        _, lower, upper = self.ratio()
        return self.free() and upper <= WIDE * lower and not lower <= 1 <= upper

    def record(self) -> dict[str, Any]:
        """The numbers, as they stand in bench.json."""
        median, lower, upper = self.ratio()
        return {
            "seconds": {peer: float(np.median(self.seconds(peer))) for peer in self.turns},
            "ratio": {"median": median, "lower": lower, "upper": upper},
            "times": {peer: [turn.seconds for turn in turns] for peer, turns in self.turns.items()},
            "waited": self.waited(),
            "left_out": sum(self.left_out()),
            "visits": self.visits,
        }
