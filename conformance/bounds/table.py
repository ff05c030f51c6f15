"""Which bound goes with which operation and output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import rules
from conformance.bounds.arithmetic import IEEE, Arithmetic, Bound, Limit
from conformance.cases.case import Case
from conformance.operations import OPERATIONS

_RULES: dict[str, rules.Rule] = {
    name: entry.bound(rules) for name, entry in OPERATIONS.items() if entry.bound is not None
}


def bounds(
    case: Case,
    arrays: Mapping[str, NDArray[Any]],
    expected: Mapping[str, Limit],
    arithmetic: Arithmetic = IEEE,
) -> dict[str, Bound]:
    """The bound of each output of a case.

    Parameters
    ----------
    case : Case
        The operation, its parameters, the dtype and the family.
    arrays : mapping of str to ndarray
        What the implementation was given.
    expected : mapping of str to ndarray
        The oracle's outputs for them.
    arithmetic : Arithmetic, optional
        The class of arithmetic that the implementation declares.

    Returns
    -------
    dict of str to Bound
        By the names in ``case.operation.outputs``.
    """
    rule = _RULES.get(case.op)
    if rule is None:
        return {name: rules.equal(value) for name, value in expected.items()}
    with np.errstate(all="ignore"):  # NaN and infinities in, NaN and infinities out
        return rule(case, arrays, expected, arithmetic)
