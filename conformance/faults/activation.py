"""Faults of relu and sigmoid and their derivatives, alone and inside the affine layer."""

from __future__ import annotations

from functools import partial

import numpy as np

from conformance.cases.case import Case
from conformance.cases.dtypes import finfo
from conformance.faults.catalogue import slip
from conformance.faults.core import Array, Arrays, Base, Outputs
from conformance.faults.rows import data, instead, is_word, option
from conformance.operations.sigmoid import sigmoid

_RELU = {"relu_backward": "dZ", "affine_activation_backward": "dA_prev dW db"}
_SIGMOID = {"sigmoid_backward": "dZ", "affine_activation_backward": "dA_prev dW db"}
_relu = partial(option, targets=_RELU, only=is_word("activation", "relu"))
_slope = partial(option, targets=_SIGMOID, only=is_word("activation", "sigmoid"))


def _z(a: Arrays) -> Array:
    """What the activation is of."""
    return a["Z"] if "Z" in a else np.asarray(a["A_prev"] @ a["W"] + a["b"])


def _near_zero(case: Case, a: Arrays, flushed: bool) -> dict[str, Array]:
    """What decides whether the gradient passes: Z, or Z with its subnormals taken for 0, as XLA does."""
    if not flushed:
        return {}
    z = _z(a)
    return {"relu_mask": np.where(np.abs(z) < float(finfo(case.numpy_dtype).tiny), 0.0, z)}


_at_zero = partial(_relu, of=_near_zero, variants=({"flushed": False}, {"flushed": True}))
_at_zero(
    "relu-gradient-at-zero",
    "Where Z is exactly 0 (or subnormal, taken for 0), the gradient passes.",
    at_zero=1.0,
    post=True,
)
_at_zero(
    "relu-gradient-half-at-zero",
    "Where Z is exactly 0 (or subnormal, taken for 0), half of the gradient passes.",
    at_zero=0.5,
)
_relu(
    "relu-mask-from-gradient",
    "The mask is taken from dA > 0 instead of Z > 0.",
    of=lambda case, a: {"relu_mask": a["dA"]},
)
instead(
    "relu-gradient-passes-all",
    "relu's gradient passes whatever the sign of Z.",
    {"relu_backward": "dZ"},
    lambda case, a: a["dA"],
)
_relu(
    "relu-gradient-inverted",
    "The gradient passes where Z is negative.",
    of=lambda case, a, nan: {"relu_mask": np.where(np.isnan(_z(a)), nan, -_z(a))},
    variants=({"nan": np.nan}, {"nan": -1.0}),
)
instead(
    "relu-gradient-is-the-mask",
    "The mask itself is returned, not multiplied by dA.",
    {"relu_backward": "dZ"},
    lambda case, a: (a["Z"] > 0).astype(np.float64),
)
data(
    "relu-gradient-times-activation",
    "dA is multiplied by relu(Z) instead of by its derivative.",
    _RELU,
    lambda case, a: {"dA": a["dA"] * _z(a)},
    is_word("activation", "relu"),
)


@slip(
    "relu-leaky",
    "A negative Z keeps a small slope.",
    {"relu": "A", "relu_backward": "dZ"},
    variants=({"leak": 0.01}, {"leak": 0.1}, {"leak": 0.2}),
)
def _relu_leaky(case: Case, a: Arrays, base: Base, leak: float) -> Outputs:
    leak = float(case.working_dtype.type(leak))
    if not case.operation.upstream:
        return {"A": np.where(a["Z"] < 0, leak * a["Z"], a["Z"])}
    return {"dZ": np.where(a["Z"] > 0, 1.0, leak) * a["dA"]}


instead("relu-absolute", "|Z| is returned instead of max(Z, 0).", {"relu": "A"},
        lambda case, a: np.abs(a["Z"]))  # fmt: skip
instead(
    "relu-capped",
    "The result is capped at 6, or at 1.",
    {"relu": "A"},
    lambda case, a, cap: np.minimum(np.maximum(a["Z"], 0.0), cap),
    variants=({"cap": 6.0}, {"cap": 1.0}),
)


@slip("relu-nan-becomes-zero", "NaN becomes 0.", {"relu": "A", "relu_backward": "dZ"})
def _relu_nan_becomes_zero(case: Case, a: Arrays, base: Base) -> Outputs:
    ((name, value),) = base(case, a).items()
    return {name: np.where(np.isnan(a["Z"]), 0.0, value)}


def _twice(z: Array) -> Array:
    s = sigmoid(sigmoid(z))
    return s * (1.0 - s)


_slope(
    "sigmoid-derivative-of-z",
    "The derivative is computed as Z*(1-Z), as if the cache held the activation.",
    slope=lambda z: z * (1.0 - z),
)
_slope("sigmoid-applied-twice", "The derivative is taken at sigmoid(Z) instead of at Z.", slope=_twice)
_slope("sigmoid-derivative-is-s", "dA is multiplied by s instead of by s*(1-s).", slope=sigmoid)
_slope(
    "sigmoid-derivative-of-tanh",
    "dA is multiplied by 1-s*s, the derivative of tanh.",
    slope=lambda z: 1.0 - sigmoid(z) ** 2,
)
_slope(
    "sigmoid-derivative-squared",
    "dA is multiplied by s*(1-s)**2 or s**2*(1-s).",
    of=lambda case, a, k: {"slope": lambda z: sigmoid(z) ** (3 - k) * sigmoid(-z) ** k},
    variants=({"k": 1}, {"k": 2}),
)
data("sigmoid-of-minus-z", "The sign of the exponent is wrong: 1/(1+exp(Z)).", {"sigmoid": "A"},
     lambda case, a: {"Z": -a["Z"]})  # fmt: skip
instead("sigmoid-is-tanh", "tanh is computed instead of the logistic function.", {"sigmoid": "A"},
        lambda case, a: np.tanh(a["Z"]))  # fmt: skip
instead(
    "sigmoid-piecewise-linear",
    "A straight line, clip(0.2*Z + 0.5, 0, 1), stands for the curve.",
    {"sigmoid": "A"},
    lambda case, a: np.clip(0.2 * a["Z"] + 0.5, 0.0, 1.0),
)


@slip(
    "sigmoid-underflows-early",
    "1/(1+exp(-Z)): exp overflows before the sigmoid underflows, so the smallest results are 0.",
    {"sigmoid": "A", "affine_activation_forward": "A", "sigmoid_backward": "dZ"},
)
def _sigmoid_underflows_early(case: Case, a: Arrays, base: Base) -> Outputs:
    smallest = 1.0 / float(finfo(case.working_dtype).max)

    def cut(s: Array) -> Array:
        return np.where(s < smallest, 0.0, s)

    if case.get("activation", "sigmoid") != "sigmoid":
        return {}
    if case.operation.upstream:
        return base(case, a, slope=lambda z: cut(sigmoid(z)) * sigmoid(-z))
    return {"A": cut(base(case, a)["A"])}


@slip(
    "sigmoid-overflows",
    "exp(Z)/(1+exp(Z)) overflows for large Z and yields NaN.",
    {"sigmoid": "A"},
)
def _sigmoid_overflows(case: Case, a: Arrays, base: Base) -> Outputs:
    with np.errstate(all="ignore"):
        power = np.exp(a["Z"]).astype(case.working_dtype).astype(np.float64)
        return {"A": power / (1.0 + power)}


data(
    "sigmoid-argument-clipped",
    "Z is clipped before the exponential, so the tails are flat.",
    {"sigmoid": "A"},
    lambda case, a, at: {"Z": np.clip(a["Z"], -at, at)},
    variants=tuple({"at": at} for at in (10.0, 15.0, 20.0, 30.0, 50.0, 88.0, 500.0)),
)
