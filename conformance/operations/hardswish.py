"""The hard swish, ``z hardsigmoid(z)``, and its gradient: at -3 that to the left, at 3 that to the right."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.operations import corner_shapes
from conformance.operations.entry import IMAGE, Array, Arrays, Entry, Outputs, plain
from conformance.operations.hardsigmoid import hardsigmoid
from conformance.operations.silu import times

if TYPE_CHECKING:
    from conformance.cases.case import Case


def hardswish_slope(z: Array) -> Array:
    """The derivative of the hard swish."""
    return np.where(z <= -3, 0.0, np.where(z < 3, z / 3 + 0.5, np.where(z >= 3, 1.0, z)))


def _backward(case: Case, a: Arrays, slope: Callable[[Array], Array] = hardswish_slope) -> Outputs:
    """The slope is left open."""
    return {"dZ": slope(a["Z"]) * a["dA"]}


def _rounding(r: Any, q: Any) -> Any:
    # z/6 + 1/2 cancels at -3, z/3 + 1/2 at -3/2.
    near = 8 * q.unit * (np.abs(q.a["dA"]) if "dA" in q.a else np.minimum(np.abs(q.a["Z"]), 4) ** 2)
    return r.Rounding(0.0, 0.0, 8 * q.unit, near + 4 * q.tiny)


_ENDS = "pytorch #136345, #147801, attorch #16, tt-metal #55291, tinygrad #18029: the gradient at -3 and 3"

FORWARD = Entry(
    name="hardswish",
    grammar=(IMAGE,),
    arrays=("Z",),
    outputs=("A",),
    call=plain("Z", by_hand="Z"),
    oracle=lambda torch, case, t: torch.nn.functional.hardswish(t["Z"]),
    reference=lambda case, a: {"A": times(a["Z"], hardsigmoid(a["Z"]))},
    bound=lambda rules: rules.function(lambda f, case, a, y: rules.rational.hardswish(f, a["Z"], y["A"])),
    rounding=_rounding,
    traits=frozenset({"gate", "endless", "bent", "inexact"}),
    corners=tuple(corner_shapes.images("small", "nan", "saturated", lanes="tinygrad #18028")),
)
BACKWARD = FORWARD.gradient(
    "hardswish_backward",
    upstream="dA",
    wanted={"dZ": "Z"},
    reference=_backward,
    bound=lambda rules: rules.function(
        lambda f, case, a, y: rules.rational.hardswish_backward(f, a["Z"], a["dA"], y["dZ"])
    ),
    rounding=_rounding,
    traits=frozenset({"bent", "inexact"}),
    corners=tuple(corner_shapes.images("small", "ties", "saturated", lanes=_ENDS)),
)
ENTRIES = (FORWARD, BACKWARD)
