"""The arrays of a case: shapes from its parameters, values from its family, the same bits everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case
from conformance.generation import fills, given
from conformance.generation.families import FAMILIES
from conformance.generation.fills import Fill
from conformance.generation.random import Shape, Stream
from conformance.operations import OPERATIONS
from conformance.operations.entry import Extents

#: What part an argument plays; a family says how each part is filled.
ROLES: dict[str, str] = {
    "input": "x",
    "A_prev": "x",
    "a_slice_prev": "x",
    "X": "x",
    "T": "t",
    "Z": "x",
    "x": "x",
    "dz": "x",
    "W": "w",
    "b": "b",
    "gamma": "w",
    "slopes": "w",
    "beta": "b",
    "running_mean": "b",
    "running_var": "v",
    "AL": "al",
    "Y": "y",
}


@lru_cache(maxsize=8)  # asked for when a case is listed, and when it is drawn
def array_shapes(case: Case) -> Mapping[str, Shape]:
    """The shape of each array in ``case.operation.arrays``."""
    values: dict[str | int, Any] = dict(case.params)
    return {
        name: extents(case) if callable(extents) else tuple([values.get(n, n) for n in extents])
        for name, extents in _axes(case.op)
    }


def draw(case: Case) -> dict[str, NDArray[Any]]:
    """Draw the arrays of a case.

    Returns
    -------
    dict of str to ndarray
        By the names in ``case.operation.arrays``, C-contiguous, in the dtype of the case (``Y``: int64);
        scalars are 0-d arrays. The upstream gradient is never constant, nor a single one.

    Raises
    ------
    ValueError
        If there is no such family or it does not go with the case, for example NaN with padding; if the file
        of the case cannot be used.
    """
    family = FAMILIES.get(case.family)
    if family is None:
        raise ValueError(f"case {case}: no data family {case.family!r}; `conformance list` shows them")
    if not family.suits(case):
        raise ValueError(f"case {case}: family {family.name!r} ({family.description}) does not go with it")
    if case.file:
        return given.arrays(case, array_shapes(case))
    stream = Stream(str(case))
    drawn: dict[str, NDArray[Any]] = {}
    for (name, shape), (role, fill) in zip(
        array_shapes(case).items(), _fills(family.name, case.op), strict=True
    ):
        values = fill(stream, shape, case, drawn)
        if role == "y" and fill is not fills.all_ignored:
            values = fills.with_ignored(stream, values, case)
        dtype = np.dtype(np.int64) if role == "y" else case.numpy_dtype
        drawn[name] = values if _finished(values, dtype) else np.array(values, dtype=dtype, order="C")
        if role == "g":
            _vary(drawn[name])
    return drawn


@cache
def _fills(family: str, op: str) -> tuple[tuple[str, Fill], ...]:
    """What part each argument of `op` plays, and how the family fills it."""
    upstream = OPERATIONS[op].upstream
    roles = ["g" if name == upstream else ROLES[name] for name in OPERATIONS[op].arrays]
    return tuple((role, FAMILIES[family].fill(role)) for role in roles)


def _finished(values: Any, dtype: np.dtype[Any]) -> bool:
    """Whether it is an array of its own, as it is to be handed over."""
    if type(values) is not np.ndarray or values.dtype != dtype:
        return False
    return values.base is None and values.flags.c_contiguous


def _vary(gradient: NDArray[Any]) -> None:
    """Turn one sign of a constant gradient: a softmax has none along it, whatever the kernel."""
    flat = gradient.reshape(-1)
    if flat.size > 1 and flat[0] != flat[1]:
        return
    if flat.size and (flat == flat[0]).all() and (flat.size > 1 or flat[0] == 1):
        flat[0] = -flat[0]


@cache
def _axes(op: str) -> tuple[tuple[str, Extents], ...]:
    """The extents of each argument of `op`."""
    return tuple((name, OPERATIONS[op].axes(name)) for name in OPERATIONS[op].arrays)
