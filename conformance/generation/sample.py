"""Which corners a run of few cases takes: one of each kind, most of them such that a dropped term shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from conformance.cases.case import Case
from conformance.cases.operation import WORDS
from conformance.generation.acceptable import EXTENTS
from conformance.generation.corners import corner_of
from conformance.generation.families import squashed
from conformance.generation.random import Stream
from conformance.operations.corner_sizes import SIZE

#: The data in whose flat tails a dropped term hardly shows, whatever the operation; those of one operation
#: stand in its entry (`Entry.dim`).
_DIM_EVERYWHERE = ("saturated", "powers", "all-ignored")

#: Data that may leave no number of which a term could be missing.
_ENDLESS = ("nan", "infinity", "endless")

#: Of so many cases and more one in `DIM` may be a dim one.
FEW, DIM = 40, 6

#: A sum of so many products takes a sigmoid into its flat tails.
_LONG = 15

#: Corners with sums so long that one term more or less may be lost in the rounding of the others.
_LARGE = ("large", f"{SIZE}outputs", f"{SIZE}terms")


def _dim(case: Case) -> bool:
    if case.family in _of_data(case):
        return True
    if any(case[name] == 0 for name in EXTENTS.intersection(case.operation.parameters) if name != "f"):
        return True  # what is empty has nothing to drop
    if squashed(case) and case["i"] >= _LONG:
        return True
    return (corner_of(case) or "").startswith(_LARGE)


def _chance(case: Case) -> int:
    return int(Stream(f"{case}:sample").raw((1,))[0])


def telling(case: Case) -> tuple[bool, int]:
    """Where a case stands among others: dim ones last, the rest in an order that decides nothing."""
    return _dim(case), _chance(case)


def _kind(case: Case) -> str:
    """What cases share of which one is taken before a second: the corner's name, or data and words."""
    words = [case.word(name) for name in case.operation.parameters if name in WORDS]
    return " ".join([case.family if case.family in _of_data(case) else corner_of(case) or str(case), *words])


def _of_data(case: Case) -> tuple[str, ...]:
    return (*_DIM_EVERYWHERE, *case.operation.dim)


def sample(cases: Sequence[Case], count: int) -> list[Case]:
    """`count` of the cases in their order, which decides nothing: of each kind one before a second.

    Dim ones are taken for want of others; but of `FEW` cases and more one in `DIM` is for them, because there
    are faults that show in them alone: in large outputs, or where all labels are ignored.
    """
    if count >= len(cases):
        return list(cases)
    bright, dim = (_by_kind([case for case in cases if _dim(case) is which]) for which in (False, True))
    kinds = len(set(map(_kind, dim)))
    kept = max(count - len(bright), min(kinds, count // DIM) if count >= FEW else 0)
    taken = bright[: count - kept]
    if count == 1 and taken and taken[0].family in _ENDLESS:
        taken = [next((case for case in bright if case.family not in _ENDLESS), taken[0])]
    chosen = {*taken, *dim[:kept]}
    return [case for case in cases if case in chosen]


def _by_kind(cases: Sequence[Case]) -> list[Case]:
    """The first of each kind by chance, then the second ones, and so on."""
    places = Counter[str]()
    ranked = list[tuple[int, int, Case]]()
    for chance, case in sorted((_chance(case), case) for case in cases):
        kind = _kind(case)
        ranked.append((places[kind], chance, case))
        places[kind] += 1
    return [case for _, _, case in sorted(ranked)]
