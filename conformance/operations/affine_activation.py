"""The affine layer with relu, the sigmoid or nothing behind it, and its gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from conformance.cases.operation import WORDS
from conformance.cases.request import Made
from conformance.operations import affine, corner_sizes, relu
from conformance.operations import sigmoid as logistic
from conformance.operations.call import Parameter
from conformance.operations.conv import LAYER, PRODUCTS
from conformance.operations.entry import Array, Arrays, Corner, Entry, Outputs, Tensors, largest, plain

if TYPE_CHECKING:
    from conformance.cases.case import Case


def _oracle(torch: Any, case: Case, t: Tensors) -> Any:
    Z, activation = affine.affine(torch, case, t), case.word("activation")
    if activation == "relu":
        return torch.relu(Z)
    return logistic.logistic(torch, Z) if activation == "sigmoid" else Z


def _forward(case: Case, a: Arrays, activation: str = "", bias_times: float = 1.0) -> Outputs:
    z, activation = affine.forward(case, a, bias_times)["Z"], activation or case.word("activation")
    if activation == "relu":
        return {"A": relu.relu(z)}
    return {"A": logistic.sigmoid(z) if activation == "sigmoid" else z}


def _backward(
    case: Case,
    a: Arrays,
    activation: str = "",
    at_zero: float = 0.0,
    relu_mask: Array | None = None,
    slope: Callable[[Array], Array] = logistic.slope,
) -> Outputs:
    inner = {"Z": affine.forward(case, a)["Z"], "dA": a["dA"]}
    activation = activation or case.word("activation")
    d_z = a["dA"]
    if activation == "relu":
        d_z = relu.backward(case, inner, at_zero, relu_mask)["dZ"]
    elif activation == "sigmoid":
        d_z = logistic.backward(case, inner, slope)["dZ"]
    return affine.backward(case, {**a, "dZ": d_z})


def _cache(case: Case) -> Made:
    """The second field is the affine layer's output, or its cache again where there is no activation."""
    layer = affine.CACHE_BY_HAND
    activated: Any = layer if case.word("activation") == "NULL" else _output
    return Made("AffineActivation", {"affine_cache": layer, "activation_cache": activated})


def _output(case: Case, a: Arrays) -> Array:
    return a["A_prev"] @ a["W"] + a["b"]


def _rounding(r: Any, q: Any) -> Any:
    sum_of = affine.terms(q.case, q.output) * q.unit
    size = largest(q.reference(q.absolute, activation="NULL"))
    if q.case.word("activation") == "sigmoid":
        # The error of Z is at most a relative error of the sigmoid.
        return r.Rounding(0.0, 0.0, 16 * q.unit + sum_of * size, 4 * q.tiny)
    return r.Rounding(sum_of + 32 * q.unit + 0.0, size, 32 * q.unit, 16 * q.tiny)


def _rounding_backward(r: Any, q: Any) -> Any:
    size = largest(q.reference(q.absolute, activation="NULL"))
    through = 0.0
    if q.case.word("activation") == "sigmoid":
        # The error of Z is a relative error of the sigmoid's slope.
        through = (q.case["i"] + 2) * q.unit * largest(_output(q.case, q.absolute))
    share = affine.terms(q.case, q.output) * q.unit + 32 * q.unit + through
    return r.Rounding(share, size, 32 * q.unit, 16 * q.tiny)


def _corners(exact: str) -> tuple[Corner, ...]:
    # Behind a sigmoid wide integers would be ones and zeros.
    words = WORDS["activation"]
    return (
        *(c for word in words for c in affine.corners(exact, f"_{word}", plain=word == "sigmoid")),
        *corner_sizes.ended(corner_sizes.AFFINE, exact, "relu", "NULL"),
    )


FORWARD = Entry(
    name="affine_activation_forward",
    grammar=(affine.GRAMMAR, ("activation",)),
    arrays=("A_prev", "W", "b"),
    outputs=("A",),
    shapes={**affine.FORWARD.shapes, "dA": ("m", "o")},
    call=plain("A_prev", "W", "b", Parameter("activation"), by_hand=_cache),
    oracle=_oracle,
    reference=_forward,
    bound=lambda rules: rules.affine_activation_forward,
    accuracies=("relative", "normal"),
    rounding=_rounding,
    traits=frozenset({"products", "activated", "affine"}),
    corners=_corners("wide-x"),
    longest=affine.FORWARD.longest,
    pools={"m": affine.SAMPLES},
    linear={"A": PRODUCTS["Z"]},
    convention=lambda models: models.relu,
)
BACKWARD = FORWARD.gradient(
    "affine_activation_backward",
    upstream="dA",
    wanted=LAYER,
    reference=_backward,
    bound=lambda rules: rules.affine_activation_backward,
    accuracies=("absolute", "relative", "normal"),
    rounding=_rounding_backward,
    traits=FORWARD.traits | {"sums upstream"},
    corners=_corners("wide-g"),
    linear={"dA_prev": (("dA", "W"),), "dW": (("dA", "A_prev"),), "db": (("dA", None),)},
    gradients={"A_prev": "dA_prev", "W": "dW"},
    convention=lambda models: models.affine_gradient,
)
ENTRIES = (FORWARD, BACKWARD)
