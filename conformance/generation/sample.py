"""Which corners a run of few cases takes: those first in which a single dropped term shows."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from conformance.cases.case import Case
from conformance.generation.corners import corner_of
from conformance.generation.family import squashed
from conformance.generation.random import Stream

#: The data in whose flat tails, or among whose zeros and smallest numbers, a dropped term hardly shows, by
#: operation; a family of which that is true everywhere stands in `_DIM_EVERYWHERE`.
_DIM = MappingProxyType(
    {
        "leaky_relu": "subnormal",  # its slope leaves a few units, or none
        "batch_norm_backward": "flat",  # each normalized value is zero, and so is dgamma
        "cross_entropy_backward": "tiny",  # one gradient of the column may be all of it
    }
)
_DIM_EVERYWHERE = ("saturated",)

#: A sum of so many products takes a sigmoid into its flat tails.
_LONG = 15


def _dim(case: Case) -> bool:
    if case.family in _DIM_EVERYWHERE or _DIM.get(case.op) == case.family:
        return True
    if squashed(case) and case["i"] >= _LONG:
        return True
    return (corner_of(case) or "").startswith("large")


def sample(cases: Sequence[Case], count: int) -> list[Case]:
    """`count` of the cases in their order, which decides nothing; dim ones only for want of others."""
    if count >= len(cases):
        return list(cases)

    def place(case: Case) -> tuple[bool, int]:
        return _dim(case), int(Stream(f"{case}:sample").raw((1,))[0])

    chosen = set(sorted(cases, key=place)[:count])
    return [case for case in cases if case in chosen]
