"""Clips and their gradients, 0 at both ends: the hard tanh between any two numbers, and ReLU6."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.cases.option_table import MAX_VAL, MIN_VAL
from conformance.operations import corner_shapes
from conformance.operations.call import Parameter
from conformance.operations.entry import IMAGE, Arrays, Entry, Outputs, Tensors, plain

if TYPE_CHECKING:
    from conformance.cases.case import Case


def ends(case: Case) -> tuple[float, float]:
    """Where a case is cut off."""
    if not case.operation.options:
        return 0.0, 6.0
    return float(case.value("lo")), float(case.value("hi"))  # type: ignore[arg-type]


def _oracle(torch: Any, case: Case, t: Tensors) -> Any:
    return torch.nn.functional.hardtanh(t["Z"], *ends(case))


def _forward(case: Case, a: Arrays, between: tuple[float, float] | None = None) -> Outputs:
    return {"A": np.clip(a["Z"], *(ends(case) if between is None else between))}


def _backward(
    case: Case,
    a: Arrays,
    between: tuple[float, float] | None = None,
    closed: tuple[bool, bool] = (False, False),
) -> Outputs:
    """Where it is cut off, and which of the ends belong to what passes, are left open."""
    (low, high), (at_low, at_high) = ends(case) if between is None else between, closed
    passes = (a["Z"] > low) & (a["Z"] < high) | at_low & (a["Z"] == low) | at_high & (a["Z"] == high)
    return {"dZ": np.where(passes, a["dA"], 0.0)}


_CUT = "OneFlow-Benchmark #166, tinygrad #18029: the gradient at an end"
_CORNERS = tuple(corner_shapes.images("ties", "small", "infinity", "extremes", lanes="tinygrad #18028"))
_GRADIENT = tuple(corner_shapes.images("ties", "small", "saturated", lanes=_CUT))

HARDTANH = Entry(
    name="hardtanh",
    grammar=(IMAGE,),
    arrays=("Z",),
    outputs=("A",),
    options=(MIN_VAL, MAX_VAL),
    call=plain("Z", Parameter("lo"), Parameter("hi"), by_hand="Z"),
    oracle=_oracle,
    reference=_forward,
    traits=frozenset({"kink"}),
    corners=(("ends", _CUT, "m2h3w4c5_lo-2_hi6", "small"), *_CORNERS),
)
RELU6 = Entry(
    name="relu6",
    grammar=(IMAGE,),
    arrays=("Z",),
    outputs=("A",),
    call=plain("Z", by_hand="Z"),
    oracle=_oracle,
    reference=_forward,
    traits=HARDTANH.traits,
    corners=_CORNERS,
)


def _gradient(forward: Entry, *corners: tuple[str, str, str, str]) -> Entry:
    return forward.gradient(
        f"{forward.name}_backward",
        upstream="dA",
        wanted={"dZ": "Z"},
        reference=_backward,
        traits=frozenset({"bent"}),
        corners=(*corners, *_GRADIENT),
    )


ENTRIES = (
    RELU6,
    _gradient(RELU6),
    HARDTANH,
    _gradient(HARDTANH, ("ends", _CUT, "m2h3w4c5_lo-2_hi6", "small")),
)
