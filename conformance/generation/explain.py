"""Which rules explain what a module refuses: they admit all that it answers and nothing that it does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from conformance.cases.case import Case
from conformance.cases.dtypes import KNOWN
from conformance.cases.operation import WORDS
from conformance.generation.rules import FIXED, NAMES, Rule, dtype, equal, least, most, multiple
from conformance.operations.entry import Entry

#: How many rules together explain at most, and how many candidates are combined.
_TOGETHER, _CANDIDATES = 3, 40

#: So many refusals a rule has to explain that chance finds among the numbers of any cases.
_SUPPORT = 3

#: Such a rule costs more than this; it is looked for in answers to so many shapes at least.
_FARFETCHED, _ANSWERED = 1.3, 8

_MULTIPLES = (32, 16, 8, 4, 2)


def explanation(answered: Sequence[Case], refused: Sequence[Case]) -> tuple[Rule, ...]:
    """The fewest and plainest rules that tell the cases apart; empty if there are none.

    Parameters
    ----------
    answered, refused : sequence of Case
        Cases of one operation.
    """
    if not answered or not refused:
        return ()
    many = len({case.params for case in answered}) >= _ANSWERED
    likely = (rule for rule in _candidates(answered) if many or rule.cost <= _FARFETCHED)
    candidates = [rule for rule in likely if all(map(rule.admits, answered))]
    ruled = [(rule, _outside(rule, refused)) for rule in candidates]
    useful = sorted(((rule, out) for rule, out in ruled if out), key=lambda pair: pair[0].cost)[:_CANDIDATES]
    every = (1 << len(refused)) - 1
    for size in range(1, _TOGETHER + 1):
        fitting = [chosen for chosen in combinations(useful, size) if _explains(chosen, every)]
        if fitting:
            best = min(fitting, key=lambda chosen: sum(rule.cost for rule, _ in chosen))
            return tuple(rule for rule, _ in best)
    return ()


def _outside(rule: Rule, cases: Sequence[Case]) -> int:
    """Which of the cases a rule does not admit, a bit for each."""
    return sum(1 << i for i, case in enumerate(cases) if not rule.admits(case))


def _explains(chosen: Sequence[tuple[Rule, int]], every: int) -> bool:
    """Whether no case is left over, and no rule idle or there by chance."""
    union = 0
    for _, out in chosen:
        union |= out
    if union != every:
        return False
    for rule, out in chosen:
        others = 0
        for other, more in chosen:
            others |= 0 if other is rule else more
        alone = (out & ~others).bit_count()
        if alone < (_SUPPORT if rule.cost > _FARFETCHED else 1):
            return False
    return True


def _candidates(answered: Sequence[Case]) -> Iterator[Rule]:
    """What may be said of all cases that are answered."""
    entry = answered[0].operation
    yield from (rule for rule in FIXED if rule.applies(entry))
    yield from (dtype(name) for name in KNOWN)
    for name in entry.parameters:
        found = {case.value(name) for case in answered}
        numbers = [value for value in found if isinstance(value, int)]
        if len(found) == 1 and (name in WORDS or numbers):
            yield equal(name, *found)
        if len(numbers) == len(found):
            yield from _of_numbers(name, numbers)
    yield from _of_options(entry)


def _of_numbers(name: str, numbers: Sequence[int]) -> Iterator[Rule]:
    if min(numbers) > 0:
        yield least(name, min(numbers))
    yield most(name, max(numbers))
    if name == "f" and all(n % 2 for n in numbers):
        yield multiple(name, 2, 1)
    for of in _MULTIPLES:
        if name in NAMES and name not in "sp" and not any(n % of for n in numbers):
            yield multiple(name, of)
            return


def _of_options(entry: Entry) -> Iterator[Rule]:
    """Each option left at its default."""
    for name, option in entry.trailing.items():
        if option.default is not None:
            yield equal(name, option.default)
