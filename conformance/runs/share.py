"""What a worker is handed, and when the kill of a worker is held against a case.

A process that somebody else may have killed is no evidence against the case it was at: the case is judged
alone first. If that ends well, all that the process had been handed is judged again, because diagnoses depend
on the cases before; what was answered already stands.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from conformance.cases.case import Case

#: How often a case, or the loading of the implementation, is tried of which the process is killed each time;
#: alone it is tried once less, as it was killed in company first.
KILLS = 4

Numbered = tuple[int, Case]


@dataclass(eq=False)
class Share:
    """Cases that a worker is handed.

    Attributes
    ----------
    cases : list of Numbered
    at : int
        The first that the worker has not answered.
    told : int
        How many were answered, by a worker that was killed then.
    kills : Counter
        How often workers were killed at each.
    trial_of : Share or None
        The share whose case this is, alone, at which a worker was killed.
    """

    cases: list[Numbered]
    at: int = 0
    told: int = 0
    kills: Counter[int] = field(default_factory=Counter)
    trial_of: Share | None = None

    def doubtful(self) -> bool:
        """Count a kill; whether the case is to be judged alone, once more, before it is held against it."""
        self.kills[self.at] += 1
        return self.kills[self.at] < (KILLS if self.trial_of is None else KILLS - 1)

    def trial(self) -> Share:
        """The case that the worker was at, alone."""
        return Share([self.cases[self.at]], trial_of=self) if self.trial_of is None else self
