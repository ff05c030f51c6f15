"""Bounds of the affine layer followed by an activation: the two bounds composed.

Write ``delta`` for the bound of Z = A W + b. The activation is evaluated at a point that far from the
true one, and so is its derivative.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import functions, sums
from conformance.bounds.arithmetic import FORMATS, U64, Arithmetic, Limit
from conformance.bounds.sums import Terms
from conformance.cases.case import Case
from conformance.oracle.torch_oracle import evaluate

Arrays = Mapping[str, NDArray[Any]]

#: Past this the interval round Z is so wide that the activation may take any value in it.
_WIDE = 30.0


def affine_case(case: Case, op: str) -> Case:
    """The case of the affine layer alone."""
    return Case(op, case.dtype, case.params[:-1], case.family, case.seed, case.file)


def _growth(delta: Limit) -> Limit:
    """``exp(delta)``: how much y, 1 - y and y (1 - y) can change, relatively, over a distance delta."""
    return np.exp(np.minimum(np.nan_to_num(delta, nan=_WIDE), _WIDE))


def sigmoid_of(case: Case, Z: Limit, delta: Limit, accuracy: str) -> Limit:
    """``delta sup y (1 - y) + sigmoid's bound``, both taken at the worst point within delta of Z.

    The derivative ``y (1 - y)`` is largest at the point nearest to zero. The bound of `sigmoid` is a
    sum of products of y and 1 - y, each of which changes by a factor of at most exp(delta).
    """
    nearest = functions.logistic(-np.maximum(np.abs(Z) - delta, 0))  # 1 - y of the negative side is exact
    form = FORMATS[case.dtype]
    own = functions.both(case, lambda form: functions.sigmoid(form, Z, "relative"))
    limit = delta * nearest * (1 - nearest) + np.minimum(own * _growth(delta), form.exp * 2)
    return limit + functions.lost(form, Z, _growth(delta)) if accuracy == "normal" else limit


def upstream_error(case: Case, arrays: Arrays, Z: Limit, delta: Limit, accuracy: str) -> Limit:
    """How far dZ may be off before it enters the affine gradients.

    relu: the sign of Z is uncertain where ``|Z| <= delta``, by all of dA; nothing is rounded elsewhere.
    sigmoid: `functions.sigmoid_backward` at the worst point, plus ``|dA| y (1 - y) (exp(delta) - 1)``
    because ``|d log(y (1 - y)) / dz| = |1 - 2 y| <= 1``. NULL: nothing.
    """
    size = np.abs(np.asarray(arrays["dA"], np.float64))
    activation = case.word("activation")
    if activation == "NULL":
        return np.zeros_like(size)
    if activation == "relu":
        return np.where((np.abs(Z) <= delta) & (delta > 0), size, 0.0)
    form, y, growth = FORMATS[case.dtype], functions.logistic(Z), _growth(delta)
    tails = "relative" if accuracy == "relative" else "absolute"
    own = functions.both(case, lambda form: functions.sigmoid_backward(form, Z, arrays["dA"], tails))
    error = size * y * functions.logistic(-Z) * (growth - 1) + own * growth
    return error + size * functions.lost(form, Z, growth) if accuracy == "normal" else error


def forward(case: Case, arrays: Arrays, arithmetic: Arithmetic, squares: bool) -> tuple[Limit, Terms]:
    """The true Z in float64 and the terms of its sums."""
    plain = affine_case(case, "affine_forward")
    Z = evaluate(plain, arrays)["Z"]
    given = sums.coarse(arrays, arithmetic)
    return Z, sums.ingredients(plain, given, ("A_prev", "W", "b"), squares)["Z"]


def true_upstream(case: Case, dA: NDArray[Any], Z: Limit) -> Limit:
    """The true dZ in float64."""
    g = np.asarray(dA, np.float64)
    activation = case.word("activation")
    if activation == "NULL":
        return g
    if activation == "relu":
        return np.where(Z <= 0, 0.0, g)
    return g * functions.logistic(Z) * functions.logistic(-Z)


def propagated(case: Case, arrays: Arrays, error: Limit, arithmetic: Arithmetic) -> dict[str, Limit]:
    """What an error of dZ adds to each gradient: ``error |W|^T``, ``|A|^T error`` and its sum.

    The factor allows for the roundings of the sums that the error itself goes through.
    """
    if not error.any():
        return dict.fromkeys(case.operation.outputs, np.zeros(()))
    data = {name: np.abs(np.asarray(arrays[name], np.float64)) for name in ("A_prev", "W", "b")}
    moved = evaluate(affine_case(case, "affine_backward"), {**data, "dZ": error})
    form = FORMATS[case.dtype]
    factor = 1 + (max(case["m"], case["o"]) + 1) * (form.u + U64 + 3 * arithmetic.roundoff)
    return {name: value * factor for name, value in moved.items()}
