"""The functions of `core` that the post does not have, with the joints at which people get them wrong.

Options: ``slope`` (a derivative), ``form`` (of gelu), ``leak`` (leaky ReLU), ``divisor`` (global pooling),
``axes``, ``less``, ``kept_less`` (what the variances are taken over, and divided by), ``epsilon``,
``statistics``, ``momentum``, ``through`` (what of the statistics the gradient goes through) (batch
normalization), ``shift`` and ``axis`` (logarithm of softmax).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case
from conformance.operations.norm import EPSILON, MOMENTUM

Array = NDArray[Any]
Arrays = Mapping[str, Array]
Outputs = dict[str, Array]

_ROOT = math.sqrt(2 / math.pi)
_erfc = np.vectorize(math.erfc, otypes=[np.float64])
_AXES = (0, 1, 2)


def logistic(z: Array) -> Array:
    """The logistic function without overflow at either end."""
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, small) / (1.0 + small)


def _times(z: Array, gate: Array) -> Array:
    """``z gate``, 0 where the gate is."""
    return np.where(gate == 0, -0.0, z * gate)


def distribution(z: Array) -> Array:
    """That of the normal distribution."""
    return np.asarray(0.5 * _erfc(-z * math.sqrt(0.5)) if z.size else z)


def inner(z: Array) -> Array:
    """Twice the argument of gelu's tanh."""
    return 2 * _ROOT * (z + 0.044715 * z**3)


def tanh_slope(z: Array) -> Array:
    """The derivative of tanh."""
    t = np.exp(-2 * np.abs(z))
    return np.asarray(4 * t / (1 + t) ** 2)


def silu_slope(z: Array) -> Array:
    """The derivative of silu."""
    s, rest = logistic(z), logistic(-z)
    return np.asarray(s + _times(z, s * rest))


def gelu_slope(z: Array, form: str) -> Array:
    """The derivative of gelu."""
    if form == "none":
        return np.asarray(distribution(z) + _times(z, _ROOT / 2 * np.exp(-z * z / 2)))
    w = inner(z)
    gate = logistic(w) * logistic(-w)
    slope = np.where(gate == 0, 0.0, 2 * _ROOT * (1 + 3 * 0.044715 * z * z))
    return np.asarray(logistic(w) + _times(z, gate * slope))


def _value(name: str) -> Callable[..., Outputs]:
    def value(case: Case, a: Arrays, form: str = "", leak: float | None = None) -> Outputs:
        z = a["Z"]
        if name == "tanh":
            return {"A": np.tanh(z)}
        if name == "silu":
            return {"A": _times(z, logistic(z))}
        if name == "gelu":
            exact = (form or case.word("approximate")) == "none"
            return {"A": _times(z, distribution(z) if exact else logistic(inner(z)))}
        return {"A": np.where(z > 0, z, _leak(case, leak) * z)}

    return value


def _leak(case: Case, leak: float | None) -> float:
    return float(case.working_dtype.type(float(str(case.value("a"))) if leak is None else leak))


def _gradient(name: str) -> Callable[..., Outputs]:
    def gradient(
        case: Case,
        a: Arrays,
        slope: Callable[[Array], Array] | None = None,
        form: str = "",
        leak: float | None = None,
    ) -> Outputs:
        z = a["Z"]
        if slope is not None:
            return {"dZ": a["dA"] * slope(z)}
        if name == "leaky_relu":
            return {"dZ": np.where(z > 0, 1.0, _leak(case, leak)) * a["dA"]}
        if name == "gelu":
            return {"dZ": a["dA"] * gelu_slope(z, form or case.word("approximate"))}
        return {"dZ": a["dA"] * (tanh_slope if name == "tanh" else silu_slope)(z)}

    return gradient


def _global_forward(case: Case, a: Arrays, divisor: float | None = None) -> Outputs:
    total = a["A_prev"].sum((1, 2), keepdims=True)
    return {"A": total / (divisor or case["h"] * case["w"])}


def _global_backward(case: Case, a: Arrays, divisor: float | None = None) -> Outputs:
    share = a["dA"] / (divisor or case["h"] * case["w"])
    return {"dA_prev": np.broadcast_to(share, a["A_prev"].shape)}


def moments(x: Array, axes: tuple[int, ...] = _AXES, less: int = 0) -> tuple[Array, Array]:
    """Mean and variance, divided by `less` fewer than there are values."""
    mean = x.mean(axes, keepdims=True)
    count = x.size / max(mean.size, 1)
    return mean, ((x - mean) ** 2).sum(axes, keepdims=True) / max(count - less, 1)


def _chosen(case: Case, a: Arrays, statistics: str, axes: tuple[int, ...], less: int) -> tuple[Array, Array]:
    if (statistics or case.word("statistics")) == "training" and a["A_prev"].size:
        return moments(a["A_prev"], axes, less)
    return a["running_mean"], a["running_var"]


def deviation(variance: Array, epsilon: str | float) -> Array:
    """``sqrt(variance + epsilon)``, or epsilon ``outside`` the root."""
    if epsilon == "outside":
        return np.sqrt(variance) + EPSILON
    return np.sqrt(variance + (EPSILON if isinstance(epsilon, str) else epsilon))


def _norm_forward(
    case: Case,
    a: Arrays,
    statistics: str = "",
    axes: tuple[int, ...] = _AXES,
    less: int = 0,
    kept_less: int = 1,
    epsilon: str | float = "inside",
    momentum: float = MOMENTUM,
) -> Outputs:
    mean, variance = _chosen(case, a, statistics, axes, less)
    A = a["gamma"] * (a["A_prev"] - mean) / deviation(variance, epsilon) + a["beta"]
    out = {"A": A, "running_mean": a["running_mean"], "running_var": a["running_var"]}
    if case.word("statistics") == "training" and a["A_prev"].size:
        new = moments(a["A_prev"], _AXES, kept_less)
        for name, value in zip(("running_mean", "running_var"), new, strict=True):
            out[name] = (1 - momentum) * a[name] + momentum * value
    return out


def _norm_backward(
    case: Case,
    a: Arrays,
    statistics: str = "",
    axes: tuple[int, ...] = _AXES,
    less: int = 0,
    epsilon: str | float = "inside",
    through: str = "mean variance",
) -> Outputs:
    x, g = a["A_prev"], a["dA"]
    mean, variance = _chosen(case, a, statistics, axes, less)
    inverse = 1 / deviation(variance, epsilon)
    normal = (x - mean) * inverse
    dbeta, dgamma = g.sum(_AXES, keepdims=True), (g * normal).sum(_AXES, keepdims=True)
    rest = np.array(g)
    if (statistics or case.word("statistics")) == "training" and x.size:
        count = x.size / max(x.shape[3], 1)
        rest = rest - (dbeta / count if "mean" in through else 0.0)
        rest = rest - (normal * dgamma / count if "variance" in through else 0.0)
    return {"dA_prev": a["gamma"] * inverse * rest, "dgamma": dgamma, "dbeta": dbeta}


def _log_softmax(case: Case, a: Arrays, shift: str = "row", axis: int = 1) -> Outputs:
    x = a["X"]
    if x.size == 0:
        return {"logp": np.zeros(x.shape)}
    top = {"row": x.max(axis, keepdims=True), "all": x.max(), "none": np.zeros(())}[shift]
    form = np.float64 if shift == "row" else case.working_dtype
    total = np.exp(x - top).astype(form).astype(np.float64).sum(axis, keepdims=True).astype(form)
    return {"logp": x - top - np.log(total.astype(np.float64))}


def _log_softmax_backward(case: Case, a: Arrays, **options: Any) -> Outputs:
    p, g = np.exp(_log_softmax(case, a, **options)["logp"]), a["dlogp"]
    return {"dX": g - p * g.sum(options.get("axis", 1), keepdims=True)}


REFERENCE: dict[str, Callable[..., Outputs]] = {
    **{name: _value(name) for name in ("tanh", "silu", "gelu", "leaky_relu")},
    **{f"{name}_backward": _gradient(name) for name in ("tanh", "silu", "gelu", "leaky_relu")},
    "global_average_pool_forward": _global_forward,
    "global_average_pool_backward": _global_backward,
    "batch_norm_forward": _norm_forward,
    "batch_norm_backward": _norm_backward,
    "log_softmax": _log_softmax,
    "log_softmax_backward": _log_softmax_backward,
}
