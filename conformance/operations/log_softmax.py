"""The logarithm of softmax, and its gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.operations import corner_shapes
from conformance.operations.entry import ROWS, Arrays, Entry, Outputs, largest, plain
from conformance.operations.softmax import logarithms, spread

if TYPE_CHECKING:
    from conformance.cases.case import Case


def _backward(case: Case, a: Arrays, **options: Any) -> Outputs:
    p, g = np.exp(logarithms(case, a, **options)["logp"]), a["dlogp"]
    return {"dX": g - p * g.sum(options.get("axis", 1), keepdims=True)}


def _rounding(r: Any, q: Any) -> Any:
    size = largest(q.a["dlogp"]) * q.case["n"] if "dlogp" in q.a else 1.0
    return r.Rounding(spread(q), size, 4 * q.unit, 16 * q.tiny)


_CORNERS = tuple(corner_shapes.rows("normal", "overflow", "constant", "masked"))

FORWARD = Entry(
    name="log_softmax",
    grammar=(ROWS,),
    arrays=("X",),
    outputs=("logp",),
    shapes=dict.fromkeys(("X", "dlogp"), ROWS),
    call=plain("X", by_hand="X"),
    oracle=lambda torch, case, t: torch.log_softmax(t["X"], dim=1),
    reference=logarithms,
    bound=lambda rules: rules.tailed(lambda f, case, a, word: rules.units.log_softmax(f, a["X"], word)),
    accuracies=("relative", "absolute"),
    rounding=_rounding,
    traits=frozenset({"logits", "inexact"}),
    corners=_CORNERS,
)
BACKWARD = FORWARD.gradient(
    "log_softmax_backward",
    upstream="dlogp",
    wanted={"dX": "X"},
    reference=_backward,
    bound=lambda rules: rules.tailed(
        lambda f, case, a, word: rules.units.log_softmax_backward(f, a["X"], a["dlogp"], word)
    ),
    accuracies=("relative", "absolute"),
    rounding=_rounding,
    corners=_CORNERS,
)
ENTRIES = (FORWARD, BACKWARD)
