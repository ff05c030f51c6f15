"""Leaky ReLU, which keeps a slope below 0, and its gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conformance.cases.option_table import NEGATIVE_SLOPE
from conformance.operations import corner_shapes
from conformance.operations.call import Parameter
from conformance.operations.entry import IMAGE, Arrays, Entry, Outputs, plain

if TYPE_CHECKING:
    from conformance.cases.case import Case


def _slope(case: Case) -> float:
    return float(case.value("a"))  # type: ignore[arg-type]


def _leak(case: Case, leak: float | None) -> float:
    return float(case.working_dtype.type(_slope(case) if leak is None else leak))


def _forward(case: Case, a: Arrays, leak: float | None = None) -> Outputs:
    z = a["Z"]
    return {"A": np.where(z > 0, z, _leak(case, leak) * z)}


def _backward(case: Case, a: Arrays, leak: float | None = None) -> Outputs:
    return {"dZ": np.where(a["Z"] > 0, 1.0, _leak(case, leak)) * a["dA"]}


_CORNERS = (
    *corner_shapes.images("saturated", "nan", "subnormal"),
    ("steep", "max(Z, slope Z) is another function where the slope is above 1", "m2h3w5c7_a1.5", "normal"),
    ("slope-below-zero", "a mask taken of the output has another sign", "m2h3w5c7_a-0.1", "normal"),
)

FORWARD = Entry(
    name="leaky_relu",
    grammar=(IMAGE,),
    arrays=("Z",),
    outputs=("A",),
    options=(NEGATIVE_SLOPE,),
    call=plain("Z", Parameter("a"), by_hand="Z"),
    oracle=lambda torch, case, t: torch.nn.functional.leaky_relu(t["Z"], _slope(case)),
    reference=_forward,
    bound=lambda rules: rules.function(lambda f, case, a, y: rules.units.leaky_relu(f, y["A"])),
    rounding=lambda r, q: r.Rounding(0.0, 0.0, 4 * q.unit, 2 * q.tiny),
    traits=frozenset({"gate", "endless", "inexact"}),
    corners=_CORNERS,
    dim=("subnormal",),  # its slope leaves a few units, or none
)
BACKWARD = FORWARD.gradient(
    "leaky_relu_backward",
    upstream="dA",
    wanted={"dZ": "Z"},
    reference=_backward,
    bound=lambda rules: rules.function(lambda f, case, a, y: rules.units.leaky_relu_backward(f, y["dZ"])),
    rounding=FORWARD.rounding,
    corners=_CORNERS,
)
ENTRIES = (FORWARD, BACKWARD)
