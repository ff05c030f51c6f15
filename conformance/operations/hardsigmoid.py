"""The hard sigmoid, ``min(max(z + 3, 0), 6) / 6``, and its gradient, 0 at both ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.operations import corner_shapes
from conformance.operations.entry import IMAGE, Array, Arrays, Entry, Outputs, Tensors, plain

if TYPE_CHECKING:
    from conformance.cases.case import Case


def _oracle(torch: Any, case: Case, t: Tensors) -> Any:
    """By its pieces: torch's own gradient multiplies by the float32 1/6, in float64 too."""
    Z = t["Z"]
    flat = torch.clamp(Z.detach() + 3, 0, 6)
    return torch.where((Z > -3) & (Z < 3), Z + 3, flat) / 6


def hardsigmoid(z: Array) -> Array:
    """Three straight lines."""
    return np.asarray(np.clip(z + 3, 0, 6) / 6)


def _slope(z: Array) -> Array:
    return np.where((z > -3) & (z < 3), 1 / 6, 0.0)


def _backward(case: Case, a: Arrays, slope: Callable[[Array], Array] = _slope) -> Outputs:
    """The slope is left open."""
    return {"dZ": slope(a["Z"]) * a["dA"]}


def rounding(r: Any, q: Any) -> Any:
    """Three roundings of numbers up to 1, or of the upstream gradient."""
    largest = np.abs(q.a["dA"]) if "dA" in q.a else 1.0
    return r.Rounding(0.0, 0.0, 4 * q.unit, 4 * q.unit * largest + 2 * q.tiny)


FORWARD = Entry(
    name="hardsigmoid",
    grammar=(IMAGE,),
    arrays=("Z",),
    outputs=("A",),
    call=plain("Z", by_hand="Z"),
    oracle=_oracle,
    reference=lambda case, a: {"A": hardsigmoid(a["Z"])},
    bound=lambda rules: rules.function(lambda f, case, a, y: rules.rational.hardsigmoid(f, a["Z"])),
    rounding=rounding,
    traits=frozenset({"kink", "inexact"}),
    corners=tuple(corner_shapes.images("small", "nan", "infinity", lanes="Paddle #44820, tt-llk #891")),
)
BACKWARD = FORWARD.gradient(
    "hardsigmoid_backward",
    upstream="dA",
    wanted={"dZ": "Z"},
    reference=_backward,
    bound=lambda rules: rules.function(lambda f, case, a, y: rules.rational.hardsigmoid_backward(f, y["dZ"])),
    rounding=rounding,
    corners=tuple(corner_shapes.images("small", "nan", "infinity", lanes="pytorch #51408, tt-metal #57374")),
)
ENTRIES = (FORWARD, BACKWARD)
