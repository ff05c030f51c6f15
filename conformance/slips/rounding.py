"""How far rounding may take a kernel's output from a slip's float64 result, and whether two results agree.

Only used to recognise a slip, never to pass or fail anything: the verdict's bounds are in
`conformance.bounds`. Here a generous limit for the whole output is enough, because a slip counts only
where it moves the result several times further than that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from conformance.case import Case
from conformance.slips.core import Array, Arrays, reference, window_of

#: How many times the rounding error a slip has to differ from the right result to be told from it.
APART = 4.0


@dataclass(frozen=True)
class Rounding:
    """Limits for one output: ``|got - wrong| <= absolute + relative * |wrong|``; both 0 if nothing rounds."""

    absolute: float
    relative: float

    def limit(self, wrong: Array, expected: Array) -> Array:
        """The limit at each element of `wrong`, wider where the slip made the whole result larger."""
        growth = max(1.0, _largest(wrong) / (_largest(expected) or np.inf))
        return self.absolute * growth + self.relative * np.abs(np.where(np.isfinite(wrong), wrong, 0.0))


def rounding(case: Case, a: Arrays, output: str, unit: float) -> Rounding:
    """The limits for one output in arithmetic of unit roundoff `unit`."""
    op = case.op
    tiny = 16 * float(np.finfo(case.numpy_dtype).smallest_subnormal)
    absolute = {name: v if name == "Y" else np.abs(v) for name, v in a.items()}
    terms = _terms(case, output)
    if op.startswith(("conv", "affine")) and not op.startswith("affine_activation"):
        return Rounding(terms * unit * _largest(reference(case, absolute)[output]) + tiny, 4 * unit)
    if op == "affine_activation_forward":
        size = _largest(reference(case, absolute, activation="NULL")["A"])
        return Rounding(terms * unit * size + tiny, 32 * unit)
    if op == "affine_activation_backward":
        size = _largest(reference(case, absolute, activation="NULL")[output])
        z = np.abs(a["A_prev"]) @ np.abs(a["W"]) + np.abs(a["b"])
        through = (case["i"] + 2) * _largest(z) if case.word("activation") == "sigmoid" else 0.0
        return Rounding((terms + 32 + through) * unit * size + tiny, 8 * unit)
    if op == "pool_forward":
        size = _largest(a["A_prev"]) if case.word("mode") == "average" else 0.0
        return Rounding(terms * unit * size + tiny * bool(size), 4 * unit * bool(size))
    if op == "pool_backward":
        size = _largest(reference(case, {**a, "dA": np.abs(a["dA"])})[output])
        return Rounding(terms * unit * size + tiny, 4 * unit)
    if op.startswith("softmax"):
        # Without the shift, exp(x) has a relative error of |x| units.
        spread = unit * 64 * (1 + min(_largest(a["X"]), 1000.0))
        size = 0.0 if op == "softmax" else _largest(a["dprobs"]) if "dprobs" in a else 1.0 / max(case["m"], 1)
        return Rounding(spread * size + tiny, spread)
    if op.startswith(("sigmoid", "cross_entropy")):
        # s*(1-s) loses what cancels in 1-s: an absolute error of one unit in the slope.
        return Rounding(4 * unit * _largest(a.get("dA", np.zeros(1))) + tiny, (32 + terms) * unit)
    return Rounding(0.0, 4 * unit if op in ("distribute_value", "relu_backward") else 0.0)


def _terms(case: Case, output: str) -> int:
    """An upper bound for the number of terms of the sum behind one element of an output."""
    op = case.op
    if op.startswith("conv"):
        if output in ("dW", "db"):
            window = window_of(case)
            return case["m"] * window.rows * window.cols + 1
        return case["f"] ** 2 * case["k" if output == "dA_prev" else "c"] + 2
    if op.startswith("pool"):
        return case["f"] ** 2 + 2
    if op.startswith("affine"):
        return case[{"dA_prev": "o", "dW": "m", "db": "m"}.get(output, "i")] + 2
    return case["m"] if op == "cross_entropy_cost" else 0


def _largest(x: Array) -> float:
    finite = np.abs(x[np.isfinite(x)])
    return float(finite.max()) if finite.size else 0.0


def agrees(case: Case, got: Array, wrong: Array, limit: Array | None) -> bool:
    """Whether `got` is the slip's result: NaN and infinities in place, the rest within `limit`.

    Without a limit equality is asked for, the slip's result rounded once to the case's dtype.
    """
    if got.shape != wrong.shape:
        return False
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
