"""The cross-entropies of `core`, with smoothed and ignored labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case

Array = NDArray[Any]
Arrays = Mapping[str, Array]
Outputs = dict[str, Array]
#: ``(case, arrays) -> (m, n)``: what each row is held against, 0 throughout in a row that does not count.
Target = Callable[[Case, Arrays], Array]


def smoothing(case: Case) -> float:
    """The part of each target that all classes share."""
    return float(case.value("smooth"))  # type: ignore[arg-type]


def kept(case: Case, a: Arrays) -> Array:
    """Which rows count: those whose label is not the ignored one."""
    ignored = case.value("ignore")
    return np.ones(len(a["Y"]), bool) if ignored == "none" else np.asarray(a["Y"] != ignored)


def onehot(case: Case, a: Arrays) -> Array:
    """One at the label of each row that counts, 0 elsewhere."""
    counted = kept(case, a)
    out = np.zeros((case["m"], case["n"]))
    out[np.flatnonzero(counted), a["Y"][counted]] = 1.0
    return out


def target(case: Case, a: Arrays) -> Array:
    """The smoothed labels of the rows that count."""
    e = smoothing(case)
    return (1 - e) * onehot(case, a) + e / max(case["n"], 1) * kept(case, a)[:, None]


def count(case: Case, a: Arrays) -> int:
    """How many rows count."""
    return int(kept(case, a).sum())


def _weighted(weights: Array, values: Array) -> Array:
    """Products, 0 where a weight is."""
    return np.where(weights != 0, weights * np.where(weights != 0, values, 0.0), 0.0)


def cost(
    case: Case, a: Arrays, epsilon: float = 0.0, aim: Target = target, divisor: int | None = None
) -> Outputs:
    """cross_entropy_cost."""
    # Next to 1 it matters that the sum is rounded to the dtype.
    p = (a["AL"] + epsilon).astype(case.numpy_dtype).astype(np.float64)
    by = count(case, a) if divisor is None else divisor
    return {"loss": np.asarray(-_weighted(aim(case, a), np.log(p)).sum() / np.float64(by or np.nan))}


def backward(
    case: Case, a: Arrays, epsilon: float = 0.0, aim: Target = target, divisor: int | None = None
) -> Outputs:
    """cross_entropy_backward."""
    t, by = aim(case, a), max(count(case, a) if divisor is None else divisor, 1)
    # Divided once: 1/AL alone may overflow.
    return {"dAL": np.where(t != 0, -t / ((a["AL"] + epsilon) * by), 0.0)}


def of_logits(
    case: Case, a: Arrays, probabilities: Array, aim: Target = target, divisor: int | None = None
) -> Outputs:
    """softmax_cross_entropy_backward, from the probabilities."""
    t, by = aim(case, a), max(count(case, a) if divisor is None else divisor, 1)
    counted = (t != 0).any(1)[:, None] if t.size else np.zeros((len(t), 1), bool)
    return {"dX": np.where(counted, probabilities - t, 0.0) / by}
