"""Softsign, ``z / (1 + |z|)``, and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.operations import corner_shapes
from conformance.operations.entry import IMAGE, Array, Arrays, Entry, Outputs, Tensors, plain

if TYPE_CHECKING:
    from conformance.cases.case import Case


def _oracle(torch: Any, case: Case, t: Tensors) -> Any:
    """Torch's softsign, but beyond 1 one less ``1 / (1 + |z|)``: a quotient's gradient cancels there."""
    Z, far = t["Z"], torch.abs(t["Z"]) > 1
    beyond = torch.sign(Z) * (1 - 1 / (1 + torch.abs(torch.where(far, Z, 1.0))))
    return torch.where(far, beyond, torch.nn.functional.softsign(torch.where(far, 0.0, Z)))


def softsign_slope(z: Array) -> Array:
    """The derivative of softsign."""
    return np.asarray((1 / (1 + np.abs(z))) ** 2)


def _backward(case: Case, a: Arrays, slope: Callable[[Array], Array] = softsign_slope) -> Outputs:
    """The slope is left open."""
    return {"dZ": slope(a["Z"]) * a["dA"]}


def _rounding(r: Any, q: Any) -> Any:
    # As a quotient's, the gradient is the difference of two numbers of 1 / (1 + |z|).
    lost = 8 * q.unit * np.abs(q.a["dA"]) / (1 + np.abs(q.a["Z"])) if "dA" in q.a else 0.0
    return r.Rounding(0.0, 0.0, 8 * q.unit, lost + 2 * q.tiny)


_CORNERS = tuple(corner_shapes.images("saturated", "nan", "subnormal"))

FORWARD = Entry(
    name="softsign",
    grammar=(IMAGE,),
    arrays=("Z",),
    outputs=("A",),
    call=plain("Z", by_hand="Z"),
    oracle=_oracle,
    reference=lambda case, a: {"A": a["Z"] / (1 + np.abs(a["Z"]))},
    bound=lambda rules: rules.function(lambda f, case, a, y: rules.rational.softsign(f, y["A"])),
    rounding=_rounding,
    traits=frozenset({"gate", "inexact"}),
    corners=_CORNERS,
)
BACKWARD = FORWARD.gradient(
    "softsign_backward",
    upstream="dA",
    wanted={"dZ": "Z"},
    reference=_backward,
    bound=lambda rules: rules.tailed(
        lambda f, case, a, word: rules.rational.softsign_backward(f, a["Z"], a["dA"], word)
    ),
    accuracies=("absolute", "relative"),
    rounding=_rounding,
    corners=_CORNERS,
)
ENTRIES = (FORWARD, BACKWARD)
