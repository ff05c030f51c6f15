"""Mish, ``z tanh(log(1 + e^z))``, and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.operations import corner_shapes
from conformance.operations.entry import IMAGE, Array, Arrays, Entry, Outputs, Tensors, plain
from conformance.operations.sigmoid import sigmoid
from conformance.operations.silu import times
from conformance.operations.softplus import softplus

if TYPE_CHECKING:
    from conformance.cases.case import Case


def _oracle(torch: Any, case: Case, t: Tensors) -> Any:
    """The gate as a quotient of exponentials, which loses no digits at either end.

    Torch's own gradient takes 1 - tanh^2, which cancels where the gate is near 1.
    """
    Z = t["Z"]
    e = torch.exp(-torch.abs(Z))
    q = e * (e + 2)
    return Z * torch.where(Z > 0, 1 - 2 * e * e / (1 + 2 * e + 2 * e * e), q / (q + 2))


def gate(z: Array) -> Array:
    """What z is multiplied by."""
    return np.asarray(np.tanh(softplus(z)))


def mish_slope(z: Array) -> Array:
    """The derivative of mish."""
    t = np.exp(-np.abs(z))
    # 1 - tanh^2 of softplus is 4 (1 + n)^2 / (1 + (1 + n)^2)^2, n = e^z; above 0 both by t = e^-z.
    top = 1 + t
    square = np.where(z < 0, 2 * top / (1 + top**2), 2 * t * top / (t**2 + top**2)) ** 2
    return np.asarray(gate(z) + times(z, sigmoid(z) * square))


def _backward(case: Case, a: Arrays, slope: Callable[[Array], Array] = mish_slope) -> Outputs:
    """The slope is left open."""
    return {"dZ": slope(a["Z"]) * a["dA"]}


def _rounding(r: Any, q: Any) -> Any:
    """log(1 + e^z) and 1 - tanh^2 cancel: an absolute error of some units of the gate."""
    z = np.abs(np.where(np.isfinite(q.a["Z"]), q.a["Z"], 0.0))
    g = np.abs(q.a["dA"]) * (1 + np.minimum(z, 40.0)) if "dA" in q.a else np.where(q.a["Z"] > -40, z, 0.0)
    return r.Rounding(0.0, 0.0, 32 * q.unit, 16 * q.unit * g + (4 + z) * q.tiny)


_TAIL = "darknet #5452: digits lost from -20 to -2"
_CORNERS = tuple(corner_shapes.images("saturated", "nan", "subnormal", "magnitudes", lanes=_TAIL))

FORWARD = Entry(
    name="mish",
    grammar=(IMAGE,),
    arrays=("Z",),
    outputs=("A",),
    call=plain("Z", by_hand="Z"),
    oracle=_oracle,
    reference=lambda case, a: {"A": times(a["Z"], gate(a["Z"]))},
    bound=lambda rules: rules.tailed(lambda f, case, a, word: rules.exponential.mish(f, a["Z"], word)),
    accuracies=("absolute", "relative"),
    rounding=_rounding,
    traits=frozenset({"gate", "endless", "inexact"}),
    corners=_CORNERS,
)
BACKWARD = FORWARD.gradient(
    "mish_backward",
    upstream="dA",
    wanted={"dZ": "Z"},
    reference=_backward,
    bound=lambda rules: rules.tailed(
        lambda f, case, a, word: rules.exponential.mish_backward(f, a["Z"], a["dA"], word)
    ),
    accuracies=("absolute", "relative"),
    rounding=_rounding,
    traits=FORWARD.traits - {"endless"},
    corners=_CORNERS,
)
ENTRIES = (FORWARD, BACKWARD)
