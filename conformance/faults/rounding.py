"""How far rounding may take a kernel's output from a slip's float64 result, and whether two results agree.

Only used to recognise a slip, never to pass or fail anything: the verdict's bounds are in
`conformance.bounds`. Here a generous limit for the whole output is enough, because a slip counts only
where it moves the result several times further than that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from conformance.cases.case import Case
from conformance.cases.dtypes import finfo
from conformance.cases.window import window_of
from conformance.faults.core import Array, Arrays, reference
from conformance.operations.norm import EPSILON

#: How many times the rounding error a slip has to differ from the right result to be told from it.
APART = 4.0


@dataclass(frozen=True)
class Rounding:
    """Limits for one output: ``|got - wrong| <= share * max(size, largest |wrong|) + relative * |wrong|``.

    Attributes
    ----------
    share : float
        The error of a sum, relative to `size`.
    size : float
        The largest sum of the absolute values of the terms.
    relative : float
        The error of what is not a sum.
    smallest : float or ndarray
        What underflow or cancellation may add.
    """

    share: float
    size: float
    relative: float
    smallest: float | Array

    def limit(self, wrong: Array) -> Array:
        """The limit at each element of `wrong`."""
        finite = np.abs(np.where(np.isfinite(wrong), wrong, 0.0))
        shared = self.share * max(self.size, largest(wrong))
        return np.asarray(shared + self.relative * finite + self.smallest)


def rounding(case: Case, a: Arrays, output: str, unit: float) -> Rounding | None:
    """The limits for one output at unit roundoff `unit`; None where each result is rounded once."""
    op = case.op
    tiny = float(finfo(case.numpy_dtype).smallest_subnormal)
    absolute = {name: v if name == "Y" else np.abs(v) for name, v in a.items()}
    sum_of = _terms(case, output) * unit
    if op == "affine_activation_forward" and case.word("activation") == "sigmoid":
        # The error of Z is at most a relative error of the sigmoid.
        size = largest(reference(case, absolute, activation="NULL")[output])
        return Rounding(0.0, 0.0, 16 * unit + sum_of * size, 4 * tiny)
    if op.startswith("affine_activation"):
        size = largest(reference(case, absolute, activation="NULL")[output])
        through = 0.0
        if op == "affine_activation_backward" and case.word("activation") == "sigmoid":
            # The error of Z is a relative error of the sigmoid's slope.
            z = absolute["A_prev"] @ absolute["W"] + absolute["b"]
            through = (case["i"] + 2) * unit * largest(z)
        return Rounding(sum_of + 32 * unit + through, size, 32 * unit, 16 * tiny)
    if op.startswith(("conv", "affine")):
        return Rounding(sum_of, largest(reference(case, absolute)[output]), 4 * unit, 16 * tiny)
    if op == "pool_forward":
        return Rounding(sum_of, largest(a["A_prev"]), 4 * unit, 16 * tiny)
    if op == "pool_backward":
        size = largest(reference(case, {**a, "dA": np.abs(a["dA"])})[output])
        return Rounding(sum_of, size, 4 * unit, 16 * tiny)
    if op in ("tanh", "silu", "gelu") or op.startswith(
        ("leaky", "tanh", "silu", "gelu", "global", "log_s", "batch")
    ):
        return _of_units(case, a, output, unit)
    if op.startswith("softmax"):
        # exp(x) has a relative error of |x| units, and x beyond the range of exp shows as an infinity.
        spread = unit * 16 * (1 + min(largest(a["X"]), float(np.log(finfo(case.working_dtype).max))))
        if op == "softmax":
            return Rounding(0.0, 0.0, spread, 16 * tiny)
        size = largest(a["dprobs"]) if "dprobs" in a else 1.0 / max(case["m"], 1)
        return Rounding(spread, size, spread, 16 * tiny)
    if op.startswith("sigmoid"):
        if op == "sigmoid":
            return Rounding(0.0, 0.0, 16 * unit, tiny)
        # Above 0, s*(1-s) loses what cancels in 1-s: an absolute error of one unit in the slope.
        lost = 4 * unit * np.where(a["Z"] > 0, absolute["dA"], 0.0)
        return Rounding(0.0, 0.0, 16 * unit, lost + 4 * tiny)
    if op.startswith("cross_entropy"):
        return Rounding(0.0, 0.0, 4 * unit + sum_of, tiny)
    if op == "distribute_value":
        return Rounding(0.0, 0.0, 2.0**-51, 0.0)  # float64 whatever the dtype of the case
    return None


def _of_units(case: Case, a: Arrays, output: str, unit: float) -> Rounding:
    """For the functions of `core_units`."""
    op, tiny = case.op, float(finfo(case.numpy_dtype).smallest_subnormal)
    if op in ("leaky_relu", "leaky_relu_backward", "global_average_pool_backward"):
        return Rounding(0.0, 0.0, 4 * unit, 2 * tiny)
    if op == "global_average_pool_forward":
        return Rounding((case["h"] * case["w"] + 2) * unit, largest(a["A_prev"]), 4 * unit, 16 * tiny)
    if op.startswith("log_softmax"):
        spread = unit * 16 * (1 + min(largest(a["X"]), float(np.log(finfo(case.working_dtype).max))))
        size = largest(a["dlogp"]) * case["n"] if "dlogp" in a else 1.0
        return Rounding(spread, size, 4 * unit, 16 * tiny)
    if op.startswith("batch_norm"):
        values = case["m"] * case["h"] * case["w"] + 8
        x = a["A_prev"]
        if case.word("statistics") == "training" and x.size:
            mean, deviation = np.abs(x.mean((0, 1, 2))), np.sqrt(x.var((0, 1, 2)) + EPSILON)
        else:
            mean, deviation = np.abs(a["running_mean"]), np.sqrt(a["running_var"] + EPSILON)
        spread = (
            values
            * unit
            * (1 + largest(mean / deviation) + largest(x) / max(float(deviation.min(initial=1)), 1e-3))
        )
        absolute = {name: np.abs(v) for name, v in a.items()} if "dA" in a else a
        return Rounding(spread, largest(reference(case, absolute)[output]), 16 * unit, 16 * tiny)
    # 1 + erf, 1 + tanh and 1 - tanh^2 cancel: an absolute error of a unit in the gate.
    z = np.abs(np.where(np.isfinite(a["Z"]), a["Z"], 0.0))
    lost = 8 * unit * (np.where(a["Z"] > -20, z, 0.0) if op == "gelu" else 0.0)
    if op.endswith("backward"):
        lost = 16 * unit * np.abs(a["dA"]) * np.maximum(1.0, np.minimum(z, 20.0) ** 2)
    return Rounding(0.0, 0.0, 16 * unit, lost + (4 + z) * tiny)


def _terms(case: Case, output: str) -> int:
    """An upper bound for the number of terms of the sum behind one element of an output."""
    op = case.op
    if op.startswith("conv"):
        if output in ("dW", "db"):
            window = window_of(case)
            pixels = math.prod(window.outputs)
            return case["m"] * max(pixels, window.rows.n * window.columns.n) + 1
        taps = case["f"] ** 2 if op == "conv_single_step" else window_of(case).size
        return taps * case["k" if output == "dA_prev" else "c"] + 2
    if op.startswith("pool"):
        return window_of(case).size + 2
    if op.startswith("affine"):
        return case[{"dA_prev": "o", "dW": "m", "db": "m"}.get(output, "i")] + 2
    return case["m"] * (case["n"] if case.value("smooth") else 1) if op == "cross_entropy_cost" else 0


def largest(x: Array) -> float:
    """The largest absolute value among the finite ones, 0 if there is none."""
    finite = np.abs(x[np.isfinite(x)])
    return float(finite.max()) if finite.size else 0.0


def agrees(case: Case, got: Array, wrong: Array, limit: Array | None) -> bool:
    """Whether `got` is the slip's result: NaN and infinities in place, the rest within `limit`.

    Without a limit equality is asked for, the slip's result rounded once to the case's dtype.
    """
    if limit is None:
        with np.errstate(over="ignore"):
            return bool(np.array_equal(got, wrong.astype(case.numpy_dtype), equal_nan=True))
    with np.errstate(over="ignore"):
        wrong = np.where(np.isinf(wrong.astype(case.numpy_dtype)), np.copysign(np.inf, wrong), wrong)
    finite = np.isfinite(wrong)
    if not np.array_equal(finite, np.isfinite(got)):
        return False
    if not np.array_equal(got[~finite], wrong[~finite], equal_nan=True):
        return False
    return bool((np.abs(got[finite] - wrong[finite]) <= limit[finite]).all())


def apart(case: Case, wrong: Array, expected: Array, limit: Array | None) -> bool:
    """Whether the slip's result is told from the right one by more than rounding."""
    return not agrees(case, expected, wrong, None if limit is None else APART * limit)


def distance(one: Array, other: Array) -> float:
    """The largest difference; infinite for other shapes and for NaN or infinities on one side only."""
    if one.shape != other.shape:
        return float("inf")
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    difference = np.where(same, 0.0, np.abs(one - other))
    return float(np.where(np.isnan(difference), np.inf, difference).max(initial=0.0))
