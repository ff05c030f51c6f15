"""SiLU, ``z sigmoid(z)``, and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.operations import corner_shapes
from conformance.operations.entry import IMAGE, Array, Arrays, Entry, Outputs, Tensors, plain
from conformance.operations.sigmoid import logistic, sigmoid
from conformance.operations.tanh import gated, gated_backward

if TYPE_CHECKING:
    from conformance.cases.case import Case


def _oracle(torch: Any, case: Case, t: Tensors) -> Any:
    """Torch's silu, but for -inf and where its exp(-Z) overflows."""
    return t["Z"] * logistic(torch, t["Z"])


def times(z: Array, gate: Array) -> Array:
    """``z gate``, 0 where the gate is."""
    return np.where(gate == 0, -0.0, z * gate)


def silu_slope(z: Array) -> Array:
    """The derivative of silu."""
    s, rest = sigmoid(z), sigmoid(-z)
    return np.asarray(s + times(z, s * rest))


def _backward(case: Case, a: Arrays, slope: Callable[[Array], Array] = silu_slope) -> Outputs:
    return {"dZ": a["dA"] * slope(a["Z"])}


_CORNERS = tuple(corner_shapes.images("saturated", "nan", "subnormal"))

FORWARD = Entry(
    name="silu",
    grammar=(IMAGE,),
    arrays=("Z",),
    outputs=("A",),
    call=plain("Z", by_hand="Z"),
    oracle=_oracle,
    reference=lambda case, a: {"A": times(a["Z"], sigmoid(a["Z"]))},
    bound=lambda rules: rules.tailed(lambda f, case, a, word: rules.units.silu(f, a["Z"], word)),
    accuracies=("relative", "normal"),
    rounding=gated,
    traits=frozenset({"gate", "endless", "inexact"}),
    corners=_CORNERS,
)
BACKWARD = FORWARD.gradient(
    "silu_backward",
    upstream="dA",
    wanted={"dZ": "Z"},
    reference=_backward,
    bound=lambda rules: rules.tailed(
        lambda f, case, a, word: rules.units.silu_backward(f, a["Z"], a["dA"], word)
    ),
    accuracies=("relative", "normal"),
    rounding=gated_backward,
    traits=FORWARD.traits - {"endless"},
    corners=_CORNERS,
)
ENTRIES = (FORWARD, BACKWARD)
