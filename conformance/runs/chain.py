"""A batch of a run, and the further cases that are asked because some of it were not answered.

A case that a module refuses, or that has an option it does not declare, shows nothing. So others like it are
asked, inside of what is answered, until as many are compared as were asked for. What that is, is learnt from
the answers to the batch: rules that explain the refusals are tried a few cases at a time, until one holds.

Further cases follow from the batch and its records alone. Whoever has these knows what comes behind them: a
run that is taken up again, a shard, a merge.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from conformance.cases.case import Case
from conformance.generation.acceptable import EXTENTS
from conformance.generation.explain import explanation
from conformance.generation.inside import alike, plain
from conformance.generation.random import Stream
from conformance.generation.rules import FIXED, Rule, equal, multiple, parse_all
from conformance.implementations import ALONE, LACKING, UNDECLARED
from conformance.operations import OPERATIONS
from conformance.verdict.record import Record

#: Rounds of further cases, and the cases of one in which a rule is tried.
ROUNDS, TRIAL = 16, 6

#: Cases with which it is tried whether anything is answered at all.
PROBES = 48


class Chain:
    """The cases of a batch, in order, with the further ones behind them.

    Parameters
    ----------
    batch : sequence of Case, optional
        Cases of one operation and dtype.
    """

    def __init__(self, batch: Sequence[Case] = ()) -> None:
        self.cases = list(batch)
        self._asked = list(range(len(batch)))  # the places of those that are not further ones
        self._records: dict[int, tuple[str, str]] = {}
        self._rounds = self._probed = self._drawn = 0
        self._rules: tuple[Rule, ...] = ()

    def grow(self, case: Case) -> int:
        """Ask one more case, though others have been judged; returns its place."""
        self._asked.append(len(self.cases))
        self.cases.append(case)
        self._rounds = 0
        return self._asked[-1]

    def tell(self, place: int, records: Sequence[Record]) -> None:
        """What came of the case at that place."""
        status, reason = records[0].status, records[0].reason
        # A signature without a place for the padding says as much as a refusal of it.
        self._records[place] = "refused" if reason.startswith(LACKING) else status, reason

    @property
    def complete(self) -> bool:
        """Whether all cases so far are judged."""
        return len(self._records) == len(self.cases)

    def plan(self) -> list[Case]:
        """The next further cases, which are then among the `cases`; none if the chain has come to its end."""
        left = self._unanswered()
        missing = len(self._asked) - sum(
            status in ("passed", "failed") for status, _ in self._records.values()
        )
        if not left or missing < 1 or self._rounds == ROUNDS:
            return []
        self._rounds += 1
        more = self._declared(left, missing) or self._learnt(left, missing)
        self.cases += more
        return more

    def _unanswered(self) -> list[Case]:
        """The cases that others are to stand for: of a function that there is, in a dtype that it takes."""
        return [self.cases[place] for place in self._asked if self._open(place) and not self._file(place)]

    def _file(self, place: int) -> bool:
        """Whether the data of a case were brought: no other stands for it."""
        return bool(self.cases[place].file)

    def _open(self, place: int) -> bool:
        status, reason = self._records[place]
        return (
            status == "refused"
            or (status == "absent" and _rest(reason).startswith("no option "))
            or (status == "absent" and reason.endswith(ALONE))
        )

    def _declared(self, left: list[Case], missing: int) -> list[Case]:
        """Cases inside of what the module declares, if all that was not answered is outside of that."""
        answers = self._records.values()
        if any(status == "refused" for status, _ in answers):
            return []
        texts = {_rest(reason) for status, reason in answers if status == "absent" and reason.endswith(ALONE)}
        rules = tuple(rule for text in sorted(texts) for rule in parse_all(text.removesuffix(ALONE)))
        return self._like(left, rules, missing)

    def _learnt(self, left: list[Case], missing: int) -> list[Case]:
        """Cases inside of what seems to be answered, or if hardly anything is, plain ones of each kind."""
        answered = self._with("passed", "failed")
        rules = explanation(answered, self._with("refused"))
        if rules:
            more = self._like(left, rules, missing if self._tries(rules) else min(missing, TRIAL))
            if more:
                return more
        if len(answered) < TRIAL and self._probed < PROBES:
            return self._probes(left, min(missing, 2 * TRIAL))
        # Whatever the reason is: what was answered once is answered with other data.
        return self._like(answered, (), missing, others=False) if answered else []

    def _tries(self, rules: tuple[Rule, ...]) -> bool:
        """Whether these rules have been tried before, and are still what explains the refusals."""
        same = rules == self._rules
        self._rules = rules
        return same

    def _with(self, *statuses: str) -> list[Case]:
        return [
            case
            for place, case in enumerate(self.cases)
            if self._records[place][0] in statuses and not case.file
        ]

    def _probes(self, left: list[Case], count: int) -> list[Case]:
        """Cases that are simple in one way, in two, and in all: one of them may be answered."""
        entry = OPERATIONS[self.cases[0].op]
        simple = [rule for rule in FIXED if rule.applies(entry)]
        ones = [equal(name, n) for name, n in (("s", 1), ("p", 0), ("m", 1)) if name in entry.parameters]
        rounded = [multiple(name, 32) for name in "ckion" if name in entry.parameters]
        single = (*simple, *ones, *rounded)
        every = [rule for rule in (*simple, *ones) if rule.name not in ("apart", "same")]
        apart = [rule for rule in (*simple, *ones) if rule.name not in ("stride=1", "same")]
        all_ways = (every, apart, [*every, *rounded])
        others = [*([rule] for rule in single), *combinations(single, 2)]
        found: list[Case] = []
        for _ in range(count):
            turn, other = divmod(self._probed, 2)
            ways: Sequence[Sequence[Rule]] = others if other else all_ways
            found += self._like(left, tuple(ways[turn % len(ways)]), 1)
            self._probed += 1
        return found

    def _like(
        self, bases: Sequence[Case], rules: tuple[Rule, ...], count: int, others: bool = True
    ) -> list[Case]:
        """Up to `count` cases like the given ones that the rules admit."""
        names = [name for name in OPERATIONS[self.cases[0].op].parameters if name in EXTENTS]
        values = {
            name: sorted({self.cases[place][name] for place in self._asked}) for name in names if name != "f"
        }
        known, found = set(map(str, self.cases)), []
        for _ in range(2 * count):
            base = bases[self._drawn % len(bases)]
            stream = Stream(f"{self.cases[0]}:further:{self._drawn}")
            self._drawn += 1
            case = alike(
                plain(base) if base.beyond and self._undeclared(base) else base,
                rules,
                stream,
                values if others else {},
            )
            if case is not None and str(case) not in known:
                known.add(str(case))
                found.append(case)
            if len(found) == count:
                break
        return found

    def _undeclared(self, case: Case) -> bool:
        """Whether a case has options that the module was seen not to declare."""
        keys = {
            _rest(reason).removeprefix("no option ")
            for status, reason in self._records.values()
            if status == "absent"
        }
        return not keys.isdisjoint(case.beyond)


def _rest(reason: str) -> str:
    """What a module does not declare, by the reason of an absent case."""
    return reason.removeprefix(UNDECLARED)
