"""The arrays of a case: shapes from its parameters, values from its family, the same bits everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance import fills_classes
from conformance.case import Case
from conformance.families import FAMILIES
from conformance.stream import Shape, Stream
from conformance.window import pair, transposed, window_of

#: What part an argument plays; a family says how each part is filled.
ROLES: dict[str, str] = {
    "input": "x",
    "A_prev": "x",
    "a_slice_prev": "x",
    "X": "x",
    "Z": "x",
    "x": "x",
    "dz": "x",
    "W": "w",
    "b": "b",
    "gamma": "w",
    "beta": "b",
    "running_mean": "b",
    "running_var": "v",
    "AL": "al",
    "Y": "y",
}


@lru_cache(maxsize=8)  # asked for when a case is listed, and when it is drawn
def array_shapes(case: Case) -> Mapping[str, Shape]:
    """The shape of each array in ``case.operation.arrays``."""
    return {name: _shape(case, name) for name in case.operation.arrays}


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
        If there is no such family or it does not go with the case, for example NaN with padding.
    """
    family = FAMILIES.get(case.family)
    if family is None:
        raise ValueError(f"case {case}: no data family {case.family!r}; `conformance list` shows them")
    if not family.suits(case):
        raise ValueError(f"case {case}: family {family.name!r} ({family.description}) does not go with it")
    stream = Stream(str(case))
    drawn: dict[str, NDArray[Any]] = {}
    for name, shape in array_shapes(case).items():
        role = "g" if name == case.operation.upstream else ROLES[name]
        values = family.fill(role)(stream, shape, case, drawn)
        if role == "y":
            values = fills_classes.with_ignored(stream, values, case)
        dtype = np.dtype(np.int64) if role == "y" else case.numpy_dtype
        drawn[name] = values if _finished(values, dtype) else np.array(values, dtype=dtype, order="C")
        if role == "g":
            _vary(drawn[name])
    return drawn


def _finished(values: Any, dtype: np.dtype[Any]) -> bool:
    """Whether it is an array of its own, as it is to be handed over."""
    if not isinstance(values, np.ndarray) or values.dtype != dtype:
        return False
    return values.flags.owndata and values.flags.c_contiguous


def _vary(gradient: NDArray[Any]) -> None:
    """Turn one sign of a constant gradient: a softmax has none along it, whatever the kernel."""
    flat = gradient.reshape(-1)
    if flat.size > 1 and flat[0] != flat[1]:
        return
    if flat.size and (flat == flat[0]).all() and (flat.size > 1 or flat[0] == 1):
        flat[0] = -flat[0]


def _shape(case: Case, name: str) -> Shape:
    """The shape of one argument of `case`."""
    op = case.op
    if op in ("distribute_value", "create_mask_from_window"):
        return () if name == "dz" else (case["h"], case["w"])
    if op == "conv_single_step":
        return () if name == "b" else (case["f"], case["f"], case["c"])
    if name == "Y":
        return (case["m"],)
    if op.startswith("affine"):
        affine = {"A_prev": (case["m"], case["i"]), "W": (case["i"], case["o"]), "b": (1, case["o"])}
        return affine.get(name, (case["m"], case["o"]))
    if op.startswith(("softmax", "log_softmax", "cross_entropy")):
        return (case["m"], case["n"])
    if name in ("gamma", "beta", "running_mean", "running_var"):
        return (1, 1, 1, case["c"])
    if op == "global_average_pool_backward" and name == "dA":
        return (case["m"], 1, 1, case["c"])
    if op == "col2arr":
        return (case["m"], case["h"] * case["w"] * case["c"])
    if name == "doutput":
        return (case["m"], case["h"] + 2 * case["p"], case["w"] + 2 * case["p"], case["c"])
    if name == "W":
        groups = case["g"] if "g" in case.operation.option else 1
        if transposed(case):
            return (*pair(case.value("f")), case["k"] // groups, case["c"])
        return (*pair(case.value("f")), case["c"] // groups, case["k"])
    if name == "b":
        return (1, 1, 1, case["k"])
    if op == "conv_transpose_backward" and name == case.operation.upstream:
        window = window_of(case)
        return (case["m"], window.rows.n, window.columns.n, case["k"])
    if op in ("conv_backward", "pool_backward") and name == case.operation.upstream:
        return (case["m"], *window_of(case).outputs, case["k" if op == "conv_backward" else "c"])
    return (case["m"], case["h"], case["w"], case["c"])
