"""The logistic function and its gradient; its tails keep their relative accuracy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.operations import corner_shapes
from conformance.operations.entry import IMAGE, Array, Arrays, Entry, Outputs, plain

if TYPE_CHECKING:
    from conformance.cases.case import Case

_FAMILIES = ("saturated", "nan", "infinity", "subnormal")


def logistic(torch: Any, Z: Any) -> Any:
    """Torch's sigmoid below 0, and above one less that of -Z.

    Torch's gradient is y (1 - y), which is 0 from 36.7 on, where y is 1. Where a branch is not taken, its
    argument is 0: its gradient must stay finite.
    """
    above = 1 - _below(torch, torch.where(Z > 0, -Z, 0.0))
    return torch.where(Z > 0, above, _below(torch, torch.where(Z > 0, 0.0, Z)))


def _below(torch: Any, Z: Any) -> Any:
    """Torch's sigmoid, but below -40 exp(Z), which is the same number but for a factor 1 + exp(-40).

    Torch computes 1 / (1 + exp(-Z)), so that below -709.8, where exp(-Z) overflows, it answers 0 for
    numbers that float64 has.
    """
    return torch.where(Z < -40, torch.exp(torch.clamp(Z, max=-40)), torch.sigmoid(Z))


def sigmoid(z: Array) -> Array:
    """The logistic function without overflow at either end."""
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, small) / (1.0 + small)


def slope(z: Array) -> Array:
    """The derivative of `sigmoid`, symmetric and never lost to cancellation."""
    small = np.exp(-np.abs(z))
    return small / (1.0 + small) ** 2


def backward(case: Case, a: Arrays, slope: Callable[[Array], Array] = slope) -> Outputs:
    """The slope is left open."""
    return {"dZ": a["dA"] * slope(a["Z"])}


def _lost(r: Any, q: Any) -> Any:
    # Above 0, s*(1-s) loses what cancels in 1-s: an absolute error of one unit in the slope.
    lost = 4 * q.unit * np.where(q.a["Z"] > 0, np.abs(q.a["dA"]), 0.0)
    return r.Rounding(0.0, 0.0, 16 * q.unit, lost + 4 * q.tiny)


FORWARD = Entry(
    name="sigmoid",
    grammar=(IMAGE,),
    arrays=("Z",),
    outputs=("A",),
    call=plain("Z", by_hand="Z"),
    oracle=lambda torch, case, t: logistic(torch, t["Z"]),
    reference=lambda case, a: {"A": sigmoid(a["Z"])},
    bound=lambda rules: rules.tailed(lambda f, case, a, word: rules.functions.sigmoid(f, a["Z"], word)),
    accuracies=("relative", "normal"),
    rounding=lambda r, q: r.Rounding(0.0, 0.0, 16 * q.unit, q.tiny),
    traits=frozenset({"sigmoid", "inexact"}),
    corners=tuple(corner_shapes.images(*_FAMILIES, lanes="tt-metal #51543, Vc #273, dotnet/runtime #107838")),
)
BACKWARD = FORWARD.gradient(
    "sigmoid_backward",
    upstream="dA",
    wanted={"dZ": "Z"},
    reference=backward,
    bound=lambda rules: rules.tailed(
        lambda f, case, a, word: rules.functions.sigmoid_backward(f, a["Z"], a["dA"], word)
    ),
    accuracies=("absolute", "relative", "normal"),
    rounding=_lost,
    corners=tuple(corner_shapes.images(*_FAMILIES, lanes="tt-metal #51543, Vc #273")),
)
ENTRIES = (FORWARD, BACKWARD)
