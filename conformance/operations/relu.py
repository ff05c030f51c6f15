"""relu and its gradient: at 0 none passes, NaN does (torch's answer)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conformance.operations import corner_shapes
from conformance.operations.entry import IMAGE, Array, Arrays, Entry, Outputs, plain

if TYPE_CHECKING:
    from conformance.cases.case import Case

_FAMILIES = ("zeros", "nan", "infinity", "subnormal")


def relu(z: Array) -> Array:
    """``max(z, 0)``; NaN stays."""
    return np.where(z < 0, 0.0, z)


def backward(case: Case, a: Arrays, at_zero: float = 0.0, relu_mask: Array | None = None) -> Outputs:
    """What passes at 0, and what the sign is taken of, are left open."""
    z = a["Z"] if relu_mask is None else relu_mask
    return {"dZ": np.where(z == 0, at_zero, np.where(z < 0, 0.0, 1.0)) * a["dA"]}


FORWARD = Entry(
    name="relu",
    grammar=(IMAGE,),
    arrays=("Z",),
    outputs=("A",),
    call=plain("Z", by_hand="Z"),
    oracle=lambda torch, case, t: torch.relu(t["Z"]),
    reference=lambda case, a: {"A": relu(a["Z"])},
    traits=frozenset({"kink"}),
    corners=tuple(
        corner_shapes.images(*_FAMILIES, lanes="tensorflow #40072, mxnet #11115, NNlib.jl #509, burn #5658")
    ),
    linear={"A": (("Z", None),)},
    convention=lambda models: models.relu,
)
BACKWARD = FORWARD.gradient(
    "relu_backward",
    upstream="dA",
    wanted={"dZ": "Z"},
    reference=backward,
    corners=tuple(corner_shapes.images(*_FAMILIES, lanes="Paddle #65999, tt-metal #57455, jax #37821")),
    gradients={"Z": "dZ"},
    convention=lambda models: models.relu_backward,
)
ENTRIES = (FORWARD, BACKWARD)
