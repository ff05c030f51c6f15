"""Which corners a run of few cases takes: those first in which a single dropped term shows."""

from __future__ import annotations

from collections.abc import Sequence

from conformance.cases.case import Case
from conformance.generation.acceptable import EXTENTS
from conformance.generation.corners import corner_of
from conformance.generation.families import squashed
from conformance.generation.random import Stream
from conformance.operations.corner_sizes import SIZE

#: The data in whose flat tails a dropped term hardly shows, whatever the operation; those of one operation
#: stand in its entry (`Entry.dim`).
_DIM_EVERYWHERE = ("saturated", "all-ignored")

#: A sum of so many products takes a sigmoid into its flat tails.
_LONG = 15

#: Corners with sums so long that one term more or less may be lost in the rounding of the others.
_LARGE = ("large", f"{SIZE}outputs", f"{SIZE}terms")


def _dim(case: Case) -> bool:
    if case.family in _DIM_EVERYWHERE or case.family in case.operation.dim:
        return True
    if any(case[name] == 0 for name in EXTENTS.intersection(case.operation.parameters) if name != "f"):
        return True  # what is empty has nothing to drop
    if squashed(case) and case["i"] >= _LONG:
        return True
    return (corner_of(case) or "").startswith(_LARGE)


def telling(case: Case) -> tuple[bool, int]:
    """Where a case stands among others: dim ones last, the rest in an order that decides nothing."""
    return _dim(case), int(Stream(f"{case}:sample").raw((1,))[0])


def sample(cases: Sequence[Case], count: int) -> list[Case]:
    """`count` of the cases in their order, which decides nothing; dim ones only for want of others."""
    if count >= len(cases):
        return list(cases)

    chosen = set(sorted(cases, key=telling)[:count])
    return [case for case in cases if case in chosen]
