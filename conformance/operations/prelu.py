"""PReLU, whose slopes below 0 are learned, one for each channel or one for all; and its gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.cases.operation import WORDS
from conformance.cases.request import Made
from conformance.operations import corner_shapes
from conformance.operations.entry import IMAGE, Array, Arrays, Corner, Entry, Outputs, Tensors, largest, plain

if TYPE_CHECKING:
    from conformance.cases.case import Case


def shared(case: Case) -> bool:
    """Whether one slope is that of all channels."""
    return case.word("slopes") == "shared"


def _oracle(torch: Any, case: Case, t: Tensors) -> Any:
    made = torch.nn.functional.prelu(t["Z"].permute(0, 3, 1, 2), t["slopes"].reshape(-1))
    return made.permute(0, 2, 3, 1)


def below(a: Arrays) -> Array:
    """Where the slope counts: at 0 and at NaN too."""
    return np.asarray(~(a["Z"] > 0))


def _forward(case: Case, a: Arrays, where: Callable[[Arrays], Array] = below) -> Outputs:
    return {"A": np.where(where(a), a["slopes"] * a["Z"], a["Z"])}


def _backward(
    case: Case,
    a: Arrays,
    where: Callable[[Arrays], Array] = below,
    summed: Callable[[Arrays], Array] = below,
    term: Callable[[Arrays], Array] = lambda a: a["dA"] * a["Z"],
) -> Outputs:
    """Where the slope counts, of which terms its gradient is the sum, and what these are, are left open."""
    axes = (0, 1, 2, 3) if shared(case) else (0, 1, 2)
    return {
        "dZ": np.where(where(a), a["slopes"] * a["dA"], a["dA"]),
        "dslopes": np.where(summed(a), term(a), 0.0).sum(axes, keepdims=True),
    }


def _rounding(r: Any, q: Any) -> Any:
    if q.output != "dslopes":
        return r.Rounding(0.0, 0.0, 4 * q.unit, 2 * q.tiny)
    size = largest(q.reference(q.a, term=lambda a: np.abs(a["dA"] * a["Z"])))
    return r.Rounding(q.a["Z"].size * q.unit, size, 4 * q.unit, 16 * q.tiny)


def _corners(*families: str) -> tuple[Corner, ...]:
    lanes = "burn #5308: a tail of channels that is never written"
    return (
        *corner_shapes.images(*families, lanes=lanes, words=WORDS["slopes"]),
        ("channels-64", "a block of accumulators, whole", "m2h9w7c64_channelwise", families[0]),
        ("many-pixels", "more than one chunk of a sum", "m2h93w92c1_channelwise", families[0]),
        ("many-channels", "more than one chunk of a sum over channels", "m2h3w4c1500_shared", families[0]),
    )


FORWARD = Entry(
    name="prelu",
    grammar=(IMAGE, ("slopes",)),
    arrays=("Z", "slopes"),
    outputs=("A",),
    shapes={"slopes": lambda case: (1, 1, 1, 1 if shared(case) else case["c"])},
    call=plain("Z", "slopes", by_hand=Made("PReLU", {"Z": "Z", "slopes": "slopes"})),
    oracle=_oracle,
    reference=_forward,
    bound=lambda rules: rules.normalized(rules.units.prelu),
    rounding=_rounding,
    traits=frozenset({"kink", "inexact"}),
    corners=_corners("ties", "nan", "subnormal"),
)
BACKWARD = FORWARD.gradient(
    "prelu_backward",
    upstream="dA",
    wanted={"dZ": "Z", "dslopes": "slopes"},
    reference=_backward,
    bound=lambda rules: rules.normalized(rules.units.prelu_backward),
    rounding=_rounding,
    # Not those of `kink`: sums of the largest numbers overflow in one order, and in another they do not.
    traits=frozenset({"bent", "gate", "sums upstream", "inexact"}),
    corners=_corners("ties", "nan", "subnormal"),
)
ENTRIES = (FORWARD, BACKWARD)
