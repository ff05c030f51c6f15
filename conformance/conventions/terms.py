"""The terms that the models of conventions are written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import Bound
from conformance.cases.case import Case
from conformance.cases.dtypes import finfo

Values = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]
Changed = dict[str, tuple[Values, Values]]
Chosen = Mapping[str, str]
Model = Callable[[Case, Arrays, Mapping[str, Values], Mapping[str, Bound], Chosen], Changed]


def unit(case: Case) -> float:
    """The unit roundoff of the case's dtype."""
    return float(finfo(case.numpy_dtype).eps) / 2


def smallest(case: Case) -> float:
    """The smallest subnormal number of the case's dtype."""
    return float(finfo(case.numpy_dtype).smallest_subnormal)


def exact(bound: Bound) -> bool:
    """Whether the tier leaves no room."""
    return bound.tier in ("exact", "equal")


def kept(value: Values, limit: Values, expected: Values, bound: Bound) -> Values:
    """`limit`, but the oracle's own bound where the convention changes nothing."""
    same = (value == expected) | (np.isnan(value) & np.isnan(expected))
    return np.where(same, bound.limit, limit)
