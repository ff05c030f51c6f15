"""How fast an implementation is: no time goes into the sizes of real networks that it is too slow for."""

from __future__ import annotations

from collections.abc import Callable

from conformance.cases.case import Case
from conformance.generation.effort import effort, size_of, smaller
from conformance.implementations import LEFT_OUT
from conformance.operations.corner_sizes import PATIENCE

#: How often a call of a sixteenth that was slow is made again: the first may compile, or meet a busy machine.
#: To count, another has to be within this share of the patience: beside its edge no two runs would agree.
AGAIN, SHARE = 2, 0.5


class Pace:
    """What the calls of one implementation have taken.

    Parameters
    ----------
    seconds : callable
        ``case -> float``: calls the implementation and says how long it took.
    """

    def __init__(self, seconds: Callable[[Case], float]) -> None:
        self._seconds = seconds
        #: Of each operation the fewest seconds that a unit of effort has taken.
        self._rates: dict[str, float] = {}

    def took(self, case: Case, seconds: float) -> None:
        """Note a call."""
        work = effort(case)
        if work and seconds:  # a call that came to nothing says nothing
            self._rates[case.op] = min(seconds / work, self._rates.get(case.op, seconds / work))

    def too_slow(self, case: Case) -> str | None:
        """Why `case` is left out; None for all but the sizes of real networks that would take too long.

        A few calls of a sixteenth decide where the calls before leave it open.
        """
        name = size_of(case)
        if name is None or self._rates.get(case.op, 1.0) * effort(case) <= PATIENCE:
            return None
        less = smaller(case)
        if less is None:
            return None
        for patience in (PATIENCE, *[PATIENCE * SHARE] * AGAIN):
            seconds = self._seconds(less)
            self.took(less, seconds)
            if seconds / max(effort(less), 1) * effort(case) <= patience:
                return None
        # No figure: two runs of the same cases write the same bytes.
        return f"{LEFT_OUT}{name} would take more than the {PATIENCE:g} s of a size"
