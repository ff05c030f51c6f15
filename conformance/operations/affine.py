"""The affine layer and its gradients, summed over the samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.cases.operation import Group
from conformance.cases.request import Made
from conformance.operations import corner_shapes as shapes
from conformance.operations import corner_sizes as sizes
from conformance.operations.conv import LAYER, PRODUCTS
from conformance.operations.entry import Arrays, Corner, Entry, Outputs, Tensors, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.cases.case import Case

GRAMMAR: Group = ("m", "i", "o")
CACHE_BY_HAND = Made("Affine", {"A_prev": "A_prev", "W": "W", "b": "b"})
SAMPLES = (1, 2, 3, 4, 5, 6, 7, 10, 19, 34)


def affine(torch: Any, case: Case, t: Tensors) -> Any:
    """The oracle's layer."""
    return torch.addmm(t["b"], t["A_prev"], t["W"])


def forward(case: Case, a: Arrays, bias_times: float = 1.0) -> Outputs:
    """The layer in NumPy; how often the bias is added is left open."""
    return {"Z": a["A_prev"] @ a["W"] + bias_times * a["b"]}


def backward(case: Case, a: Arrays) -> Outputs:
    """Its gradients in NumPy."""
    return {
        "dA_prev": a["dZ"] @ a["W"].T,
        "dW": a["A_prev"].T @ a["dZ"],
        "db": a["dZ"].sum(0, keepdims=True),
    }


def terms(case: Case, output: str) -> int:
    """The terms of the sum behind an element of an output, at most."""
    return case[{"dA_prev": "o", "dW": "m", "db": "m"}.get(output, "i")] + 2


def corners(exact: str, word: str = "", plain: bool = False) -> Iterator[Corner]:
    """The shapes, in exact data unless they are to be `plain`; `word` is what the case ends in."""
    rows = [
        *((f"inputs-{i}", shapes.TAILS, f"m4i{i}o6") for i in shapes.WIDTHS),
        *((f"outputs-{o}", shapes.TAILS, f"m4i6o{o}") for o in shapes.WIDTHS),
        ("one-sample", "a vector times a matrix", "m1i7o5"),
        ("many-samples", "more samples than a block holds", "m67i3o5"),
        ("one-weight", "a scalar times a scalar", "m1i1o1"),
        ("large", shapes.LARGE, "m150i260o70"),
        ("empty-batch", shapes.EMPTY, "m0i7o5"),
    ]
    for name, source, params in rows:
        # Without samples there are no integers.
        yield name, source, params + word, "normal" if plain or name == "empty-batch" else exact
    yield "nan", "NaN in one row stays in that row", f"m4i7o5{word}", "nan"


_INFINITY = ("infinity", "inf in one row stays in that row", "m4i7o5", "infinity")

FORWARD = Entry(
    name="affine_forward",
    grammar=(GRAMMAR,),
    arrays=("A_prev", "W", "b"),
    outputs=("Z",),
    shapes={"A_prev": ("m", "i"), "W": ("i", "o"), "b": (1, "o"), "dZ": ("m", "o")},
    call=plain("A_prev", "W", "b", by_hand=CACHE_BY_HAND),
    oracle=affine,
    reference=forward,
    bound=lambda rules: rules.affine,
    rounding=lambda r, q: r.of_sum(q, terms(q.case, q.output)),
    traits=frozenset({"products", "linear", "affine"}),
    corners=(*corners("wide-x"), _INFINITY, *sizes.ended(sizes.AFFINE, "wide-x")),
    longest=lambda case: max(case["i"] + 1, case["o"], case["m"]),
    pools={"m": SAMPLES},
    linear=PRODUCTS,
)
BACKWARD = FORWARD.gradient(
    "affine_backward",
    upstream="dZ",
    wanted=LAYER,
    reference=backward,
    bound=lambda rules: rules.affine,
    rounding=FORWARD.rounding,
    traits=FORWARD.traits | {"sums upstream"},
    corners=(*corners("wide-g"), _INFINITY, *sizes.ended(sizes.AFFINE, "wide-g")),
    linear=PRODUCTS,
    gradients={"A_prev": "dA_prev", "W": "dW"},
    convention=lambda models: models.affine_gradient,
)
ENTRIES = (FORWARD, BACKWARD)
