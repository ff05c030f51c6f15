"""The right answer in float64 NumPy, from which slips are made: the plain forms of the entries.

A slip calls `reference` with changed arrays, or with one of the options at which the plain form of the
operation leaves open what people usually get wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from conformance.cases.case import Case

Array = NDArray[Any]
Arrays = Mapping[str, Array]
Outputs = dict[str, Array]
Base = Callable[..., Outputs]


def reference(case: Case, arrays: Arrays, **options: Any) -> Outputs:
    """The outputs of a case in float64: the right ones, or with `options` the ones a slip gives."""
    return case.operation.reference(case, arrays, **options)
