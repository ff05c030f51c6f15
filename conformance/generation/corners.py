"""The corner cases: shapes and data that broke real kernels, each with its name and where it was seen.

They run first in every run, whatever the seed. They stand in the entries of the operations.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from conformance.cases.case import Case
from conformance.cases.options import Value
from conformance.operations import OPERATIONS


@dataclass(frozen=True)
class Corner:
    """A corner case.

    Attributes
    ----------
    name, source : str
        What it is called and where it was seen.
    op, params, family : str
        The operation, its parameters as a case writes them, the data family.
    """

    name: str
    source: str
    op: str
    params: str
    family: str

    def case(self, dtype: str, seed: int = 0) -> Case:
        """The case of this corner in `dtype`, its data seeded by `seed`."""
        return Case(self.op, dtype, _parsed(self.op, self.params), self.family, seed)


@cache
def _parsed(op: str, params: str) -> tuple[tuple[str, Value], ...]:
    return Case.parse(f"{op}:f32:{params}:normal:0").params


@cache
def corners(op: str) -> tuple[Corner, ...]:
    """The corner cases of an operation."""
    found = tuple(
        Corner(name, source, op, params, family) for name, source, params, family in OPERATIONS[op].corners
    )
    if len(set(found)) != len({(corner.params, corner.family) for corner in found}):
        raise AssertionError(f"two corners of {op} are the same case")
    return found


def corner_of(case: Case) -> str | None:
    """The name of the corner that `case` is, in any dtype and with any seed."""
    return _names().get((case.op, case.params, case.family))


@cache
def _names() -> dict[tuple[object, ...], str]:
    cases = ((corner.case("f32"), corner.name) for corner in CORNERS)
    return {(case.op, case.params, case.family): name for case, name in cases}


#: Every corner case.
CORNERS: tuple[Corner, ...] = tuple(corner for op in OPERATIONS for corner in corners(op))
