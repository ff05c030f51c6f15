"""Faults of relu and sigmoid and their derivatives, alone and inside the affine layer."""

from __future__ import annotations

import numpy as np

from conformance.cases.case import Case
from conformance.cases.dtypes import finfo
from conformance.faults.catalogue import slip
from conformance.faults.core import Array, Arrays, Base, Outputs
from conformance.operations.sigmoid import sigmoid

_RELU = {"relu_backward": "dZ", "affine_activation_backward": "dA_prev dW db"}
_SIGMOID = {"sigmoid_backward": "dZ", "affine_activation_backward": "dA_prev dW db"}


def _is(case: Case, activation: str) -> bool:
    """Whether the case's activation is the one a slip is about."""
    return case.get("activation", activation) == activation


@slip("relu-gradient-at-zero", "Where Z is exactly 0, the gradient passes.", _RELU, post=True)
def _relu_gradient_at_zero(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, at_zero=1.0) if _is(case, "relu") else {}


@slip("relu-gradient-half-at-zero", "Where Z is exactly 0, half of the gradient passes.", _RELU)
def _relu_gradient_half_at_zero(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, at_zero=0.5) if _is(case, "relu") else {}


@slip("relu-mask-from-gradient", "The mask is taken from dA > 0 instead of Z > 0.", _RELU)
def _relu_mask_from_gradient(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, relu_mask=a["dA"]) if _is(case, "relu") else {}


@slip("relu-gradient-passes-all", "relu's gradient passes whatever the sign of Z.", {"relu_backward": "dZ"})
def _relu_gradient_passes_all(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"dZ": a["dA"]}


@slip(
    "relu-gradient-inverted",
    "The gradient passes where Z is negative.",
    _RELU,
    variants=({"nan": np.nan}, {"nan": -1.0}),
)
def _relu_gradient_inverted(case: Case, a: Arrays, base: Base, nan: float) -> Outputs:
    if not _is(case, "relu"):
        return {}
    z = a["Z"] if "Z" in a else a["A_prev"] @ a["W"] + a["b"]
    return base(case, a, relu_mask=np.where(np.isnan(z), nan, -z))


@slip(
    "relu-gradient-is-the-mask",
    "The mask itself is returned, not multiplied by dA.",
    {"relu_backward": "dZ"},
)
def _relu_gradient_is_the_mask(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"dZ": (a["Z"] > 0).astype(np.float64)}


@slip("relu-gradient-times-activation", "dA is multiplied by relu(Z) instead of by its derivative.", _RELU)
def _relu_gradient_times_activation(case: Case, a: Arrays, base: Base) -> Outputs:
    if "Z" in a:
        return base(case, {**a, "dA": a["dA"] * a["Z"]})
    z = a["A_prev"] @ a["W"] + a["b"]
    return base(case, {**a, "dA": a["dA"] * z}) if _is(case, "relu") else {}


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


@slip("relu-absolute", "|Z| is returned instead of max(Z, 0).", {"relu": "A"})
def _relu_absolute(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"A": np.abs(a["Z"])}


@slip(
    "relu-capped",
    "The result is capped at 6, or at 1.",
    {"relu": "A"},
    variants=({"cap": 6.0}, {"cap": 1.0}),
)
def _relu_capped(case: Case, a: Arrays, base: Base, cap: float) -> Outputs:
    return {"A": np.minimum(base(case, a)["A"], cap)}


@slip("relu-nan-becomes-zero", "NaN becomes 0.", {"relu": "A", "relu_backward": "dZ"})
def _relu_nan_becomes_zero(case: Case, a: Arrays, base: Base) -> Outputs:
    ((name, value),) = base(case, a).items()
    return {name: np.where(np.isnan(a["Z"]), 0.0, value)}


def _with_slope(case: Case, a: Arrays, base: Base, slope: object) -> Outputs:
    return base(case, a, slope=slope) if _is(case, "sigmoid") else {}


@slip(
    "sigmoid-derivative-of-z",
    "The derivative is computed as Z*(1-Z), as if the cache held the activation.",
    _SIGMOID,
)
def _sigmoid_derivative_of_z(case: Case, a: Arrays, base: Base) -> Outputs:
    return _with_slope(case, a, base, lambda z: z * (1.0 - z))


@slip("sigmoid-applied-twice", "The derivative is taken at sigmoid(Z) instead of at Z.", _SIGMOID)
def _sigmoid_applied_twice(case: Case, a: Arrays, base: Base) -> Outputs:
    def slope(z: Array) -> Array:
        s = sigmoid(sigmoid(z))
        return s * (1.0 - s)

    return _with_slope(case, a, base, slope)


@slip("sigmoid-derivative-is-s", "dA is multiplied by s instead of by s*(1-s).", _SIGMOID)
def _sigmoid_derivative_is_s(case: Case, a: Arrays, base: Base) -> Outputs:
    return _with_slope(case, a, base, sigmoid)


@slip("sigmoid-derivative-of-tanh", "dA is multiplied by 1-s*s, the derivative of tanh.", _SIGMOID)
def _sigmoid_derivative_of_tanh(case: Case, a: Arrays, base: Base) -> Outputs:
    return _with_slope(case, a, base, lambda z: 1.0 - sigmoid(z) ** 2)


@slip(
    "sigmoid-derivative-squared",
    "dA is multiplied by s*(1-s)**2 or s**2*(1-s).",
    _SIGMOID,
    variants=({"k": 1}, {"k": 2}),
)
def _sigmoid_derivative_squared(case: Case, a: Arrays, base: Base, k: int) -> Outputs:
    return _with_slope(case, a, base, lambda z: sigmoid(z) ** (3 - k) * sigmoid(-z) ** k)


@slip("sigmoid-of-minus-z", "The sign of the exponent is wrong: 1/(1+exp(Z)).", {"sigmoid": "A"})
def _sigmoid_of_minus_z(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, {"Z": -a["Z"]})


@slip("sigmoid-is-tanh", "tanh is computed instead of the logistic function.", {"sigmoid": "A"})
def _sigmoid_is_tanh(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"A": np.tanh(a["Z"])}


@slip(
    "sigmoid-piecewise-linear",
    "A straight line, clip(0.2*Z + 0.5, 0, 1), stands for the curve.",
    {"sigmoid": "A"},
)
def _sigmoid_piecewise_linear(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"A": np.clip(0.2 * a["Z"] + 0.5, 0.0, 1.0)}


@slip(
    "sigmoid-underflows-early",
    "1/(1+exp(-Z)): exp overflows before the sigmoid underflows, so the smallest results are 0.",
    {"sigmoid": "A", "affine_activation_forward": "A", "sigmoid_backward": "dZ"},
)
def _sigmoid_underflows_early(case: Case, a: Arrays, base: Base) -> Outputs:
    smallest = 1.0 / float(finfo(case.working_dtype).max)

    def cut(s: Array) -> Array:
        return np.where(s < smallest, 0.0, s)

    if case.operation.upstream:
        return _with_slope(case, a, base, lambda z: cut(sigmoid(z)) * sigmoid(-z))
    return {"A": cut(base(case, a)["A"])} if _is(case, "sigmoid") else {}


@slip(
    "sigmoid-overflows",
    "exp(Z)/(1+exp(Z)) overflows for large Z and yields NaN.",
    {"sigmoid": "A"},
)
def _sigmoid_overflows(case: Case, a: Arrays, base: Base) -> Outputs:
    with np.errstate(all="ignore"):
        power = np.exp(a["Z"]).astype(case.working_dtype).astype(np.float64)
        return {"A": power / (1.0 + power)}


@slip(
    "sigmoid-argument-clipped",
    "Z is clipped before the exponential, so the tails are flat.",
    {"sigmoid": "A"},
    variants=tuple({"at": at} for at in (10.0, 15.0, 20.0, 30.0, 50.0, 88.0, 500.0)),
)
def _sigmoid_argument_clipped(case: Case, a: Arrays, base: Base, at: float) -> Outputs:
    return base(case, {"Z": np.clip(a["Z"], -at, at)})
