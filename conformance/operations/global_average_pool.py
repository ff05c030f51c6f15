"""The mean of each channel of an image, and its gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.operations import corner_shapes, corner_sizes
from conformance.operations.entry import IMAGE, Arrays, Entry, Outputs, largest, plain

if TYPE_CHECKING:
    from conformance.cases.case import Case


def _pixels(case: Case) -> int:
    return case["h"] * case["w"]


def _forward(case: Case, a: Arrays, divisor: float | None = None) -> Outputs:
    total = a["A_prev"].sum((1, 2), keepdims=True)
    return {"A": total / (divisor or _pixels(case))}


def _backward(case: Case, a: Arrays, divisor: float | None = None) -> Outputs:
    share = a["dA"] / (divisor or _pixels(case))
    return {"dA_prev": np.broadcast_to(share, a["A_prev"].shape)}


def _rounding(r: Any, q: Any) -> Any:
    share = (_pixels(q.case) + 2) * q.unit
    return r.Rounding(share, largest(q.a["A_prev"]), 4 * q.unit, 16 * q.tiny)


_CORNERS = (*corner_shapes.images("small", sizes=()), *corner_sizes.ended(corner_sizes.MEANS, "small"))

FORWARD = Entry(
    name="global_average_pool_forward",
    grammar=(IMAGE,),
    arrays=("A_prev",),
    outputs=("A",),
    call=plain("A_prev", by_hand="A_prev"),
    oracle=lambda torch, case, t: t["A_prev"].mean((1, 2), keepdim=True),
    reference=_forward,
    bound=lambda rules: rules.global_average,
    rounding=_rounding,
    traits=frozenset({"global", "mean"}),
    corners=_CORNERS,
    longest=_pixels,
    divisors=lambda case: {_pixels(case)},
)
BACKWARD = FORWARD.gradient(
    "global_average_pool_backward",
    upstream="dA",
    wanted={"dA_prev": "A_prev"},
    shapes={"dA": ("m", 1, 1, "c")},
    reference=_backward,
    bound=lambda rules: rules.function(lambda f, case, a, y: rules.norm.shares(f, y["dA_prev"])),
    rounding=lambda r, q: r.Rounding(0.0, 0.0, 4 * q.unit, 2 * q.tiny),
    traits=frozenset({"global"}),
    corners=_CORNERS,
    longest=lambda case: 1,
)
ENTRIES = (FORWARD, BACKWARD)
