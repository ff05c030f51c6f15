"""What the right answer is under each convention, by operation, and how far off rounding may be.

Every function is called as ``model(case, arrays, expected, limits, chosen)`` with the oracle's answer,
its bounds and the value of each convention, and returns for the outputs that a convention may change
their values and error limits.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from conformance.bounds import Bound
from conformance.cases.case import Case
from conformance.cases.dtypes import finfo
from conformance.conventions.pooling import mask as mask
from conformance.conventions.pooling import pool_backward as pool_backward
from conformance.conventions.pooling import pool_forward as pool_forward
from conformance.conventions.terms import Arrays, Changed, Chosen, Model, Values, exact, kept, smallest, unit
from conformance.operations import OPERATIONS

# Relu and the affine layer


def relu(
    case: Case, arrays: Arrays, expected: Mapping[str, Values], limits: Mapping[str, Bound], chosen: Chosen
) -> Changed:
    """Relu and, behind an affine layer, relu of what is NaN there; else the oracle's values."""
    if case.get("activation", "relu") != "relu":
        return {}
    values = expected["A"]
    value = np.where(np.isnan(values), float(chosen["relu-nan"]), values)
    return {"A": (value, kept(value, np.zeros_like(value), values, limits["A"]))}


def relu_backward(
    case: Case, arrays: Arrays, expected: Mapping[str, Values], limits: Mapping[str, Bound], chosen: Chosen
) -> Changed:
    """The gradient of relu where Z is 0, and where it is NaN."""
    Z, dA = arrays["Z"].astype(np.float64), arrays["dA"].astype(np.float64)
    dZ = np.where(Z == 0, dA * float(chosen["relu-zero"]), expected["dZ"])
    dZ = np.where(np.isnan(Z), dA * float(chosen["relu-nan-gradient"]), dZ)
    return {"dZ": (dZ, np.where(Z == 0, smallest(case), 0.0))}


def affine_gradient(
    case: Case, arrays: Arrays, expected: Mapping[str, Values], limits: Mapping[str, Bound], chosen: Chosen
) -> Changed:
    """Means for sums, and relu's gradient at 0 and NaN, through the affine layer."""
    found: Changed = {name: (expected[name], np.asarray(limits[name].limit)) for name in expected}
    if case.get("activation", "NULL") == "relu":
        A, W, b, dA = (arrays[name].astype(np.float64) for name in ("A_prev", "W", "b", "dA"))
        Z = A @ W + b
        dZ = np.where(Z == 0, dA * float(chosen["relu-zero"]), 0.0)
        if chosen["relu-nan-gradient"] != "1":
            dZ = np.where(np.isnan(Z), dA * (float(chosen["relu-nan-gradient"]) - 1), dZ)
        size, u = np.abs(dZ), unit(case)
        # What comes on top of the oracle's answer, each with its own sum's bound.
        more = {
            "dA_prev": (dZ @ W.T, size @ np.abs(W).T, case["o"]),
            "dW": (A.T @ dZ, np.abs(A).T @ size, case["m"]),
            "db": (dZ.sum(0, keepdims=True), size.sum(0, keepdims=True), case["m"]),
        }
        for name, (extra, total, terms) in more.items():
            limit = 0.0 if exact(limits[name]) else (terms + 1) * u * (total + np.abs(expected[name]))
            found[name] = (expected[name] + extra, np.asarray(found[name][1] + limit))
    if chosen["affine-gradient"] == "mean":
        for name in ("dW", "db"):
            value, limit = found[name][0] / max(1, case["m"]), found[name][1] / max(1, case["m"])
            # The mean over no sample is anything: 0, or 0 / 0.
            known = np.inf if case["m"] == 0 else 0.0
            found[name] = (value, limit + known + 2 * unit(case) * np.abs(value) + smallest(case))
    return found


# Softmax and the loss


def _less_the_label(X: Values, arrays: Arrays) -> Values:
    """Of the gradient of a loss exp(x) / inf is zero, which leaves the label's share."""
    shares = np.zeros_like(X)
    shares[np.arange(len(X)), arrays["Y"].reshape(-1)] = -1 / len(X)
    return shares


def _unshifted(
    case: Case,
    arrays: Arrays,
    expected: Mapping[str, Values],
    limits: Mapping[str, Bound],
    chosen: Chosen,
    beside: Callable[[Values, Arrays], Values],
) -> Changed:
    """Without the shift: NaN where exp overflows or every exp of a row is zero, and what is beside."""
    (name,) = expected
    value, limit = expected[name], np.broadcast_to(limits[name].limit, expected[name].shape)
    X = arrays["X"].astype(np.float64)
    if chosen["softmax-shift"] == "none" and X.size:
        info = finfo(case.numpy_dtype)
        largest = X.max(1, keepdims=True)
        top, bottom = float(np.log(float(info.max))), float(np.log(float(info.smallest_subnormal)))
        lost = np.where(top < X, np.nan, beside(X, arrays))
        oracle = value
        value = np.where(largest > top, lost, np.where(largest < bottom, np.nan, value))
        # Near the ends of the range it depends on the rounding of exp; elsewhere exp underflows by w.
        width = float(np.log(X.shape[1])) + 1
        unknown = (np.abs(largest - top) < width) | (np.abs(largest - bottom) < width)
        unknown = unknown | (np.abs(X - top) < 1)
        underflow = X.shape[1] * smallest(case) / np.exp(np.clip(largest, bottom, top))
        scale = np.abs(arrays["dprobs"]).max(1, keepdims=True) if "dprobs" in arrays else 1.0
        limit = np.where(unknown, np.inf, 4 * (limit + underflow * scale))
        value = np.where(unknown, oracle, value)
    return _reduced(case, {name: (value, limit)}, chosen)


#: exp(x) / inf is zero where x itself does not overflow; the gradient sums NaN over its row.
softmax: Model = partial(_unshifted, beside=lambda X, arrays: np.zeros_like(X))
softmax_backward: Model = partial(_unshifted, beside=lambda X, arrays: np.full_like(X, np.nan))
softmax_cross_entropy_backward: Model = partial(_unshifted, beside=_less_the_label)


def _reduced(case: Case, found: Changed, chosen: Chosen) -> Changed:
    """The same for the sum of the losses instead of their mean."""
    if "sum" not in (chosen.get("loss-reduction"), chosen.get("loss-gradient")):
        return found
    m = case["m"]
    return {
        name: (
            value * m if m else np.zeros_like(value),
            # The sum over no sample is 0, or what the mean was.
            limit * m + 2 * unit(case) * np.abs(value) * m + smallest(case) if m else limit + np.inf,
        )
        for name, (value, limit) in found.items()
    }


def loss(
    case: Case, arrays: Arrays, expected: Mapping[str, Values], limits: Mapping[str, Bound], chosen: Chosen
) -> Changed:
    """The sum of the losses for their mean."""
    (name,) = expected
    limit = np.broadcast_to(limits[name].limit, expected[name].shape)
    return _reduced(case, {name: (expected[name], limit)}, chosen)


MODELS: dict[str, Model] = {
    name: entry.convention(sys.modules[__name__])
    for name, entry in OPERATIONS.items()
    if entry.convention is not None
}
