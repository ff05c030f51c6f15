"""Under which condition something fails: what holds of every case that fails, and of few that do not.

A condition is a statement about the cases seen, with its counts; it is only made where enough of them passed
outside of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, starmap
from math import comb
from typing import NamedTuple

from conformance.cases.case import Case
from conformance.faults.features import EMPTY, Features, features

#: Passed cases that a condition has to leave out, and the share of failures that must hold within it.
OUTSIDE, SHARE = 4, 0.4

#: Candidates that are combined, and what one more has to leave out of what passes within the others.
_CANDIDATES, _WORTH = 32, 0.25

#: An upper bound is stated where cases that pass would lie above all failures by chance less often than this;
#: the best of some ten numbers is taken, so that it is small.
_CHANCE = 0.002

#: How far-fetched a bound on the data is: one of them in a condition is enough.
_MAGNITUDE = 1.7


#: The text of a bound, how far-fetched it is, and whether it holds.
_Bound = tuple[str, float, Callable[[Features], bool]]


class _Candidate(NamedTuple):
    text: str
    cost: float
    test: Callable[[Features], bool]
    #: Which of the passed cases it holds of, a bit for each.
    held: int
    flag: bool = False


@dataclass(frozen=True)
class Condition:
    """A condition.

    Attributes
    ----------
    text : str
        ``only with groups and from 129 input channels on``.
    failed, within, others : int
        How many cases failed, how many it holds of, and how many others passed.
    """

    text: str
    failed: int
    within: int
    others: int
    parts: tuple[_Candidate, ...] = ()

    @property
    def flags(self) -> frozenset[str]:
        """What it says of a case that is no bound on a number."""
        return frozenset(part.text for part in self.parts if part.flag)

    def holds(self, case: Case) -> bool:
        """Whether it holds of a case."""
        return all(part.test(features(case)) for part in self.parts)

    def of(self, failed: Sequence[Case], passed: Sequence[Case]) -> Condition:
        """The same with the numbers of some of the cases that it was found from."""
        within = sum(map(self.holds, passed))
        return replace(self, failed=len(failed), within=len(failed) + within, others=len(passed) - within)

    def sentence(self) -> str:
        """The condition with its counts."""
        of = f"{self.failed} of {self.within}" if self.failed < self.within else f"all {self.failed}"
        return f"{self.text} ({of} such cases fail, none of {self.others} others)"


def condition(failed: Sequence[Case], passed: Sequence[Case]) -> Condition | None:
    """The plainest condition that holds of all that failed and leaves out most of what passed.

    Parameters
    ----------
    failed, passed : sequence of Case
        Cases of one operation.
    """
    if not failed or len(passed) < OUTSIDE:
        return None
    return of_features([features(case) for case in failed], [features(case) for case in passed])


def of_features(bad: Sequence[Features], seen: Sequence[Features]) -> Condition | None:
    """The same, of what is said of the cases that failed and that passed."""
    good = [f for f in seen if f.data is None or EMPTY not in f.data]  # an empty array shows nothing
    if len(good) < OUTSIDE:
        return None
    every = (1 << len(good)) - 1
    found = [c for c in _candidates(bad, good) if c.held != every]
    found = sorted(found, key=lambda c: (c.held.bit_count(), c.cost))[:_CANDIDATES]
    chosen = _warranted(_plainest(found, every), every, len(bad))
    within = every
    for candidate in chosen:
        within &= candidate.held
    inside = within.bit_count()
    if not chosen or len(good) - inside < OUTSIDE or len(bad) < SHARE * (len(bad) + inside):
        return None
    text = _joined([c.text for c in chosen])
    return Condition(text, len(bad), len(bad) + inside, len(good) - inside, chosen)


def _plainest(found: Sequence[_Candidate], every: int) -> tuple[_Candidate, ...]:
    """One, two or three candidates: another one only where it leaves out much of what is left."""
    best: tuple[_Candidate, ...] = ()
    left = every.bit_count()
    for size in (1, 2, 3):
        pool = found if size < 3 else found[: _CANDIDATES // 2]
        if size > 1 and not left:
            break
        ranked = min(
            (
                (_together(some).bit_count(), sum(c.cost for c in some), some)
                for some in combinations(pool, size)
                if sum(c.cost >= _MAGNITUDE for c in some) < 2
            ),
            key=lambda item: item[:2],
            default=None,
        )
        if ranked is not None and ranked[0] <= left - max(1 + (size > 1), _WORTH * left):
            left, _, best = ranked
    return best


def _warranted(chosen: tuple[_Candidate, ...], every: int, bad: int) -> tuple[_Candidate, ...]:
    """Without upper bounds that a few cases suggest: the largest of some happen to pass."""
    for part in [c for c in chosen if c.text.startswith("up to")]:
        rest = tuple(c for c in chosen if c is not part)
        within = _together(rest) if rest else every
        among, above = within.bit_count(), (within & ~part.held).bit_count()
        if comb(among, above) > _CHANCE * comb(among + bad, above):
            chosen = rest
    return chosen


def _together(some: Sequence[_Candidate]) -> int:
    held = some[0].held
    for candidate in some[1:]:
        held &= candidate.held
    return held


def _candidates(bad: Sequence[Features], good: Sequence[Features]) -> Iterator[_Candidate]:
    """What holds of all that failed."""

    def made(text: str, cost: float, test: Callable[[Features], bool], flag: bool = False) -> _Candidate:
        return _Candidate(text, cost, test, sum(1 << i for i, f in enumerate(good) if test(f)), flag)

    for flag in sorted(frozenset.intersection(*(f.flags for f in bad))):
        yield made(flag, _cost(flag), partial(_flagged, flag), True)
    looked_at = [f.data for f in bad if f.data is not None]
    for flag in sorted(frozenset.intersection(*looked_at) if looked_at else ()):
        yield made(flag, _cost(flag), partial(_of_data, flag))
    for name in bad[0].numbers:
        yield from starmap(made, _bounds(name, bad, good))
    for name in bad[0].sizes:
        if all(name in f.sizes for f in bad):
            yield from starmap(made, _magnitudes(name, bad))


def _flagged(flag: str, of: Features) -> bool:
    return flag in of.flags


def _of_data(flag: str, of: Features) -> bool:
    """Whether it is so of the data; what was not looked at may be so."""
    return of.data is None or flag in of.data


def _cost(flag: str) -> float:
    """How far-fetched a flag is."""
    if "multiple" in flag or "in number" in flag:
        return 1.6
    if flag.startswith(("where a value", "where all values", "where a class")):
        return 1.4
    return 1.0 if flag.startswith("where") or "other than" not in flag else 1.1


def _bounds(name: str, bad: Sequence[Features], good: Sequence[Features]) -> Iterator[_Bound]:
    """The least and the most of a number among the failures."""
    seen = [f.numbers[name] for f in bad]
    low, high = min(seen), max(seen)
    right = max((f.numbers[name] for f in good if f.numbers[name] < low), default=None)
    cost = 1.3 if name != "elements" else 1.6
    if right is not None:
        text = f"from {low:,.0f} {name} on" + (f" ({right:,.0f} are right)" if right < low - 1 else "")
        yield text, cost, lambda f: f.numbers[name] >= low
    if any(f.numbers[name] > high for f in good):
        yield f"up to {high:,.0f} {name}", cost + 0.3, lambda f: f.numbers[name] <= high


def _magnitudes(name: str, bad: Sequence[Features]) -> Iterator[_Bound]:
    low, high = min(f.sizes[name] for f in bad), max(f.sizes[name] for f in bad)
    yield f"where {name} is {low:.3g} or more", _MAGNITUDE, lambda f: f.sizes.get(name, low) >= low
    yield f"where {name} is {high:.3g} or less", _MAGNITUDE, lambda f: f.sizes.get(name, high) <= high


def _joined(texts: Sequence[str]) -> str:
    """``only in f32, with groups and stride above 1, where h differs from w and from 129 channels on``."""
    order = ("in ", "with", "where", "from", "up to")
    parts: list[str] = []
    texts = _met(texts)
    for text in sorted(texts, key=lambda t: next(i for i, start in enumerate(order) if t.startswith(start))):
        word = text.split(" ", 1)[0]
        if parts and word in ("with", "where") and parts[-1].startswith(word):
            parts[-1] += f" and {text.removeprefix(word + ' ')}"
        else:
            parts.append(text)
    return "only " + " and ".join(parts)


def _met(texts: Sequence[str]) -> list[str]:
    """The texts, a number between two bounds that meet as that number: ``with 7 input channels``."""
    found = list(texts)
    for text in texts:
        lower = re.fullmatch(r"from (.+) on(?: \(.+\))?", text)
        if lower is not None and f"up to {lower[1]}" in found:
            found.remove(text)
            found[found.index(f"up to {lower[1]}")] = f"with {lower[1]}"
    return found
