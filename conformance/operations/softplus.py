"""Softplus, ``log(1 + e^(beta z)) / beta``, z itself above a threshold, and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.cases.option_table import BETA, THRESHOLD
from conformance.operations import corner_shapes
from conformance.operations.call import Parameter
from conformance.operations.entry import IMAGE, Array, Arrays, Entry, Outputs, Tensors, plain
from conformance.operations.sigmoid import sigmoid

if TYPE_CHECKING:
    from conformance.cases.case import Case


def beta_of(case: Case, rounded: bool = True) -> float:
    """By what z is multiplied, rounded to the dtype it is computed in."""
    beta = float(case.value("beta"))  # type: ignore[arg-type]
    return float(case.working_dtype.type(beta)) if rounded else beta


def _above(case: Case, z: Array, beta: float) -> Array:
    return np.asarray(beta * z > float(case.value("thr")))  # type: ignore[arg-type]


def _oracle(torch: Any, case: Case, t: Tensors) -> Any:
    return torch.nn.functional.softplus(t["Z"], beta_of(case, rounded=False), float(case.value("thr")))  # type: ignore[arg-type]


def softplus(z: Array) -> Array:
    """Without overflow at either end, and without a threshold."""
    return np.asarray(np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))))


def _forward(case: Case, a: Arrays, beta: float | None = None, threshold: bool = True) -> Outputs:
    """Beta, and whether there is a threshold, are left open."""
    b = beta_of(case) if beta is None else beta
    smooth = softplus(b * a["Z"]) / b
    return {"A": np.where(threshold & _above(case, a["Z"], b), a["Z"], smooth)}


def _backward(
    case: Case, a: Arrays, beta: float | None = None, slope: Callable[[Array], Array] = sigmoid
) -> Outputs:
    b = beta_of(case) if beta is None else beta
    return {"dZ": np.where(_above(case, a["Z"], b), 1.0, slope(b * a["Z"])) * a["dA"]}


def _rounding(r: Any, q: Any) -> Any:
    """log(1 + e^z) rounds the sum, and 1 - s cancels."""
    b, g = beta_of(q.case), np.abs(q.a["dA"]) if "dA" in q.a else 1.0
    z = np.abs(np.where(np.isfinite(q.a["Z"]), q.a["Z"], 0.0))
    lost = 8 * q.unit * (g if "dA" in q.a else 1 / b) * (b * q.a["Z"] < float(q.case.value("thr")))
    return r.Rounding(0.0, 0.0, 16 * q.unit * (1 + np.minimum(b * z, 100.0) * (b != 1)), lost + 4 * q.tiny)


_OVERFLOW = "burn #5373, ANEForge #113, MLAlgorithms #30: exp overflows"

_CORNERS = (
    ("steep", "burn #5373: exp overflows from 18 on with a beta of 5", "m2h3w4c5_beta2", "magnitudes"),
    ("flat", "a beta that is no number of the dtype", "m2h3w4c5_beta0.3", "normal"),
    ("early", "PyTorch: the argument itself above the threshold", "m2h3w4c5_thr1", "normal"),
    *corner_shapes.images("saturated", "nan", "magnitudes", lanes=_OVERFLOW),
)

FORWARD = Entry(
    name="softplus",
    grammar=(IMAGE,),
    arrays=("Z",),
    outputs=("A",),
    options=(BETA, THRESHOLD),
    call=plain("Z", Parameter("beta"), Parameter("thr"), by_hand="Z"),
    oracle=_oracle,
    reference=_forward,
    bound=lambda rules: rules.tailed(
        lambda f, case, a, word: rules.exponential.softplus(f, a["Z"], beta_of(case, rounded=False), word)
    ),
    accuracies=("absolute", "relative"),
    rounding=_rounding,
    traits=frozenset({"kink", "gate", "inexact"}),
    corners=_CORNERS,
)
BACKWARD = FORWARD.gradient(
    "softplus_backward",
    upstream="dA",
    wanted={"dZ": "Z"},
    reference=_backward,
    bound=lambda rules: rules.tailed(
        lambda f, case, a, word: rules.exponential.softplus_backward(
            f, a["Z"], a["dA"], beta_of(case, rounded=False), word
        )
    ),
    accuracies=("absolute", "relative"),
    rounding=_rounding,
    corners=_CORNERS,
)
ENTRIES = (FORWARD, BACKWARD)
