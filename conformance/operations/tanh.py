"""tanh and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.operations import corner_shapes
from conformance.operations.entry import IMAGE, Array, Arrays, Entry, Outputs, Tensors, plain
from conformance.operations.sigmoid import logistic

if TYPE_CHECKING:
    from conformance.cases.case import Case


def _oracle(torch: Any, case: Case, t: Tensors) -> Any:
    """Torch's tanh, but beyond 1 by the sigmoid: torch's gradient 1 - y^2 is 0 from 18.4 on."""
    Z, far = t["Z"], torch.abs(t["Z"]) > 1
    beyond = 1 - 2 * logistic(torch, -2 * torch.where(far, torch.abs(Z), 1.0))
    return torch.where(far, torch.sign(Z) * beyond, torch.tanh(torch.where(far, 0.0, Z)))


def tanh_slope(z: Array) -> Array:
    """The derivative of tanh."""
    t = np.exp(-2 * np.abs(z))
    return np.asarray(4 * t / (1 + t) ** 2)


def _backward(case: Case, a: Arrays, slope: Callable[[Array], Array] = tanh_slope) -> Outputs:
    return {"dZ": a["dA"] * slope(a["Z"])}


def gated(r: Any, q: Any, lost: Any = 0.0) -> Any:
    """The rounding of an activation that multiplies z by a gate, or is one, with what the gate loses."""
    z = np.abs(np.where(np.isfinite(q.a["Z"]), q.a["Z"], 0.0))
    return r.Rounding(0.0, 0.0, 16 * q.unit, lost + (4 + z) * q.tiny)


def gated_backward(r: Any, q: Any) -> Any:
    """1 + erf, 1 + tanh and 1 - tanh^2 cancel: an absolute error of a unit in the gate."""
    z = np.abs(np.where(np.isfinite(q.a["Z"]), q.a["Z"], 0.0))
    return gated(r, q, 16 * q.unit * np.abs(q.a["dA"]) * np.maximum(1.0, np.minimum(z, 20.0) ** 2))


_CORNERS = tuple(corner_shapes.images("saturated", "nan", "infinity", "subnormal"))

FORWARD = Entry(
    name="tanh",
    grammar=(IMAGE,),
    arrays=("Z",),
    outputs=("A",),
    call=plain("Z", by_hand="Z"),
    oracle=_oracle,
    reference=lambda case, a: {"A": np.tanh(a["Z"])},
    bound=lambda rules: rules.function(lambda f, case, a, y: rules.units.tanh(f, a["Z"])),
    rounding=gated,
    traits=frozenset({"sigmoid", "inexact"}),
    corners=_CORNERS,
)
BACKWARD = FORWARD.gradient(
    "tanh_backward",
    upstream="dA",
    wanted={"dZ": "Z"},
    reference=_backward,
    bound=lambda rules: rules.tailed(
        lambda f, case, a, word: rules.units.tanh_backward(f, a["Z"], a["dA"], word)
    ),
    accuracies=("absolute", "relative"),
    rounding=gated_backward,
    corners=_CORNERS,
)
ENTRIES = (FORWARD, BACKWARD)
