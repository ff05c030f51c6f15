"""GELU, ``z Phi(z)``, in its exact and its tanh form, and its gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.cases.operation import WORDS
from conformance.operations import corner_shapes
from conformance.operations.call import Parameter
from conformance.operations.entry import IMAGE, Array, Arrays, Entry, Outputs, Tensors, plain
from conformance.operations.sigmoid import logistic, sigmoid
from conformance.operations.silu import times
from conformance.operations.tanh import gated, gated_backward

if TYPE_CHECKING:
    from conformance.cases.case import Case

_ROOT = math.sqrt(2 / math.pi)
#: The coefficient of the cube in the tanh form.
CUBE = 0.044715
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _oracle(torch: Any, case: Case, t: Tensors) -> Any:
    """Torch's gelu; for "none" by erfc below 0, where 1 + erf cancels.

    Where a branch is not taken its argument is held within its range: its gradient must stay finite.
    """
    Z = t["Z"]
    if case.word("approximate") == "tanh":
        inner = 2 * (2 / torch.pi) ** 0.5 * (Z + CUBE * Z**3)
        return Z * logistic(torch, inner)
    below = torch.special.erfc(-torch.clamp(Z, max=0) * 0.5**0.5)
    above = 1 + torch.special.erf(torch.clamp(Z, min=0) * 0.5**0.5)
    return Z * 0.5 * torch.where(Z < 0, below, above)


def distribution(z: Array) -> Array:
    """That of the normal distribution."""
    return np.asarray(0.5 * _erfc(-z * math.sqrt(0.5)) if z.size else z)


def _inner(z: Array, cube: float) -> Array:
    """Twice the argument of the tanh."""
    return 2 * _ROOT * (z + cube * z**3)


def gelu_slope(z: Array, form: str, cube: float = CUBE) -> Array:
    """The derivative of gelu."""
    if form == "none":
        return np.asarray(distribution(z) + times(z, _ROOT / 2 * np.exp(-z * z / 2)))
    w = _inner(z, cube)
    gate = sigmoid(w) * sigmoid(-w)
    slope = np.where(gate == 0, 0.0, 2 * _ROOT * (1 + 3 * cube * z * z))
    return np.asarray(sigmoid(w) + times(z, gate * slope))


def _forward(case: Case, a: Arrays, form: str = "", cube: float = CUBE) -> Outputs:
    z = a["Z"]
    exact = (form or case.word("approximate")) == "none"
    return {"A": times(z, distribution(z) if exact else sigmoid(_inner(z, cube)))}


def _backward(
    case: Case,
    a: Arrays,
    slope: Callable[[Array], Array] | None = None,
    form: str = "",
    cube: float = CUBE,
) -> Outputs:
    z = a["Z"]
    found = gelu_slope(z, form or case.word("approximate"), cube) if slope is None else slope(z)
    return {"dZ": a["dA"] * found}


def _rounding(r: Any, q: Any) -> Any:
    z = np.abs(np.where(np.isfinite(q.a["Z"]), q.a["Z"], 0.0))
    return gated(r, q, 8 * q.unit * np.where(q.a["Z"] > -20, z, 0.0))


def _form(case: Case) -> str:
    return case.word("approximate")


_CORNERS = (
    *(
        ("power-overflows", "AiDotNet.Tensors #355", f"m2h3w5c7_{word}", "powers")
        for word in WORDS["approximate"]
    ),
    *corner_shapes.images("saturated", "nan", "subnormal", words=WORDS["approximate"]),
)

FORWARD = Entry(
    name="gelu",
    grammar=(IMAGE, ("approximate",)),
    arrays=("Z",),
    outputs=("A",),
    call=plain("Z", Parameter("approximate"), by_hand="Z"),
    oracle=_oracle,
    reference=_forward,
    bound=lambda rules: rules.tailed(lambda f, case, a, word: rules.units.gelu(f, a["Z"], _form(case), word)),
    accuracies=("absolute", "relative"),
    rounding=_rounding,
    traits=frozenset({"gate", "inexact"}),
    corners=_CORNERS,
)
BACKWARD = FORWARD.gradient(
    "gelu_backward",
    upstream="dA",
    wanted={"dZ": "Z"},
    reference=_backward,
    bound=lambda rules: rules.tailed(
        lambda f, case, a, word: rules.units.gelu_backward(f, a["Z"], a["dA"], _form(case), word)
    ),
    accuracies=("absolute", "relative"),
    rounding=gated_backward,
    corners=_CORNERS,
)
ENTRIES = (FORWARD, BACKWARD)
