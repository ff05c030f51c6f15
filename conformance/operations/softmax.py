"""softmax over the rows of a matrix, shifted by the maximum of each, and its gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.cases.dtypes import finfo
from conformance.operations import corner_shapes
from conformance.operations.affine import SAMPLES
from conformance.operations.entry import ROWS, Arrays, Entry, Outputs, largest, plain

if TYPE_CHECKING:
    from conformance.cases.case import Case


def forward(case: Case, a: Arrays, shift: str = "row", axis: int = 1) -> Outputs:
    """What is subtracted before exp, and over which axis the sum runs, are left open."""
    x = a["X"]
    if x.size == 0:
        return {"probs": np.zeros(x.shape)}
    top = {"row": x.max(axis, keepdims=True), "all": x.max(), "none": np.zeros(())}[shift]
    # Overflow has to happen where it happens for the case's dtype, not where it happens in float64.
    form = np.float64 if shift == "row" else case.working_dtype
    powers = np.exp(x - top).astype(form).astype(np.float64)
    total = powers.sum(axis, keepdims=True).astype(form).astype(np.float64)
    return {"probs": powers / total}


def logarithms(case: Case, a: Arrays, shift: str = "row", axis: int = 1) -> Outputs:
    """The logarithms of the probabilities of rows of logits."""
    x = a["X"]
    if x.size == 0:
        return {"logp": np.zeros(x.shape)}
    top = {"row": x.max(axis, keepdims=True), "all": x.max(), "none": np.zeros(())}[shift]
    form = np.float64 if shift == "row" else case.working_dtype
    total = np.exp(x - top).astype(form).astype(np.float64).sum(axis, keepdims=True).astype(form)
    return {"logp": x - top - np.log(total.astype(np.float64))}


def _backward(case: Case, a: Arrays, **options: Any) -> Outputs:
    p = forward(case, a, **options)["probs"]
    axis = options.get("axis", 1)
    return {"dX": p * (a["dprobs"] - (p * a["dprobs"]).sum(axis, keepdims=True))}


def spread(q: Any) -> float:
    """exp(x) has a relative error of |x| units, and x beyond the range of exp shows as an infinity."""
    reach = float(np.log(finfo(q.case.working_dtype).max))
    return float(q.unit * 16 * (1 + min(largest(q.a["X"]), reach)))


def _rounding_backward(r: Any, q: Any) -> Any:
    return r.Rounding(spread(q), largest(q.a["dprobs"]), spread(q), 16 * q.tiny)


_CORNERS = tuple(corner_shapes.rows("normal", "overflow", "constant", "masked"))

FORWARD = Entry(
    name="softmax",
    grammar=(ROWS,),
    arrays=("X",),
    outputs=("probs",),
    shapes=dict.fromkeys(("X", "dprobs"), ROWS),
    call=plain("X", by_hand="X"),
    oracle=lambda torch, case, t: torch.softmax(t["X"], dim=1),
    reference=forward,
    bound=lambda rules: rules.tailed(lambda f, case, a, word: rules.functions.softmax(f, a["X"], word)),
    accuracies=("relative", "absolute"),
    rounding=lambda r, q: r.Rounding(0.0, 0.0, spread(q), 16 * q.tiny),
    traits=frozenset({"logits", "inexact"}),
    corners=_CORNERS,
    pools={"m": SAMPLES},
    convention=lambda models: models.softmax,
)
BACKWARD = FORWARD.gradient(
    "softmax_backward",
    upstream="dprobs",
    wanted={"dX": "X"},
    reference=_backward,
    bound=lambda rules: rules.tailed(
        lambda f, case, a, word: rules.functions.softmax_backward(f, a["X"], a["dprobs"], word)
    ),
    accuracies=("relative", "absolute"),
    rounding=_rounding_backward,
    corners=_CORNERS,
    convention=lambda models: models.softmax_backward,
)
ENTRIES = (FORWARD, BACKWARD)
