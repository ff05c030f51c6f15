"""Layer normalization over the channels of each pixel, and its gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.cases.option_table import EPSILON
from conformance.cases.request import Made
from conformance.operations import corner_shapes as shapes
from conformance.operations import corner_sizes as sizes
from conformance.operations.batch_norm import deviation, epsilon_of, moments
from conformance.operations.call import Parameter
from conformance.operations.entry import IMAGE, Arrays, Corner, Entry, Outputs, Tensors, largest, plain

if TYPE_CHECKING:
    from conformance.cases.case import Case

_CHANNELS, _PIXELS = (3,), (0, 1, 2)
_HYPER = {"epsilon": Parameter("eps")}


def _oracle(torch: Any, case: Case, t: Tensors) -> Any:
    if t["A_prev"].numel() == 0:  # torch answers with gradients of its own for nothing
        return t["A_prev"] * t["gamma"] + t["beta"]
    scale, offset = t["gamma"].reshape(-1), t["beta"].reshape(-1)
    return torch.nn.functional.layer_norm(t["A_prev"], scale.shape, scale, offset, epsilon_of(case))


def _forward(
    case: Case,
    a: Arrays,
    axes: tuple[int, ...] = _CHANNELS,
    less: int = 0,
    epsilon: str | float = "inside",
) -> Outputs:
    """Over which axes, the divisor of the variance and the place of epsilon are left open."""
    if not a["A_prev"].size:
        return {"A": np.array(a["A_prev"])}
    mean, variance = moments(a["A_prev"], axes, less)
    return {"A": a["gamma"] * (a["A_prev"] - mean) / deviation(case, variance, epsilon) + a["beta"]}


def _backward(
    case: Case,
    a: Arrays,
    axes: tuple[int, ...] = _CHANNELS,
    less: int = 0,
    epsilon: str | float = "inside",
    through: str = "mean variance",
    of_gamma: str = "normal",
) -> Outputs:
    """Also left open: what the gradient goes through, and by what that of gamma is multiplied."""
    x, g = a["A_prev"], a["dA"]
    if not x.size:
        return {"dA_prev": np.array(x), "dgamma": 0 * a["gamma"], "dbeta": 0 * a["gamma"]}
    mean, variance = moments(x, axes, less)
    inverse = 1 / deviation(case, variance, epsilon)
    normal, h = (x - mean) * inverse, g * a["gamma"]
    rest = h - (h.mean(axes, keepdims=True) if "mean" in through else 0.0)
    rest = rest - (normal * (h * normal).mean(axes, keepdims=True) if "variance" in through else 0.0)
    by = {"normal": normal, "difference": x - mean, "input": x, "nothing": 1.0}[of_gamma]
    sums = ((g * by).sum(_PIXELS, keepdims=True), g.sum(_PIXELS, keepdims=True))
    return {"dA_prev": inverse * rest, "dgamma": sums[0], "dbeta": sums[1]}


def rounding(r: Any, q: Any) -> Any:
    """Of a row's sums, and of those over the pixels."""
    case, a, x = q.case, q.a, q.a["A_prev"]
    if not x.size:
        return r.Rounding(0.0, 0.0, 16 * q.unit, 16 * q.tiny)
    values = case["c"] + case["m"] * case["h"] * case["w"] + 8
    mean, spread = np.abs(x.mean(3)), np.sqrt(x.var(3) + epsilon_of(case))
    least = max(float(spread[np.isfinite(spread)].min(initial=1)), 1e-3)
    share = values * q.unit * (1 + largest(mean / spread) + largest(x) / least)
    size = largest(q.reference(q.absolute if "dA" in a else a))
    if q.output == "dgamma":  # of normalized values that cancel
        size = max(size, largest(np.abs(a["dA"]).sum(_PIXELS)))
    return r.Rounding(share, size, 16 * q.unit, 16 * q.tiny)


def corners() -> tuple[Corner, ...]:
    """Rows of every width round the vectors', and what cancels."""
    return (
        *((f"lanes-{c}", shapes.TAILS, f"m2h3w4c{c}", "normal") for c in shapes.WIDTHS),
        *(
            (family, source, params, family)
            for family, source in (
                ("offset", "burn #5607, onnxruntime #28463, pytorch #51102"),
                ("flat", "onnxruntime #21935: no variance but epsilon"),
                ("magnitudes", "a channel that outweighs the others"),
                ("nan", "one pixel is NaN, and no other"),
            )
            for params in ("m2h3w4c5", "m3h7w5c17")
        ),
        ("one-channel", "a pixel that is its own mean: beta alone", "m3h4w5c1", "normal"),
        ("one-pixel", "behind global pooling: statistics are still of channels", "m1h1w1c33", "normal"),
        ("two-channels", "the unbiased variance is twice the biased one", "m3h4w3c2", "normal"),
        (
            "convnext",
            "FlagGems #5392: more axes than two, as ConvNeXt has them",
            "m1h7w7c96_eps1e-6",
            "normal",
        ),
        (
            "many-pixels",
            "attorch #18: the last block of pixels is left out of dgamma",
            "m1h41w25c3",
            "normal",
        ),
        ("more-pixels", "more than one chunk of a sum over pixels", "m2h33w67c5", "normal"),
        (
            "epsilon-tiny",
            "TIM-VX #589: an epsilon that is taken for 0, or for 1e-5",
            "m2h3w4c5_eps1e-12",
            "normal",
        ),
        ("empty-batch", shapes.EMPTY, "m0h4w5c3", "normal"),
        ("no-channels", "nothing in, nothing out", "m2h4w5c0", "normal"),
        *sizes.ended(sizes.PIXELS, "normal"),
    )


FORWARD = Entry(
    name="layer_norm_forward",
    grammar=(IMAGE,),
    arrays=("A_prev", "gamma", "beta"),
    outputs=("A",),
    options=(EPSILON,),
    shapes=dict.fromkeys(("gamma", "beta"), (1, 1, 1, "c")),
    call=plain(
        "A_prev", "gamma", "beta", _HYPER,
        by_hand=Made("LayerNorm", {"A_prev": "A_prev", "gamma": "gamma", "hparameters": _HYPER}),
    ),
    oracle=_oracle,
    reference=_forward,
    bound=lambda rules: rules.normalized(rules.row_norm.forward),
    rounding=rounding,
    traits=frozenset({"norm", "each pixel", "inexact"}),
    corners=corners(),
)  # fmt: skip
BACKWARD = FORWARD.gradient(
    "layer_norm_backward",
    upstream="dA",
    wanted={"dA_prev": "A_prev", "dgamma": "gamma", "dbeta": "beta"},
    reference=_backward,
    bound=lambda rules: rules.normalized(rules.row_norm.backward),
    rounding=rounding,
    corners=corners(),
    dim=("flat",),  # each normalized value is zero, and so is dgamma
)
ENTRIES = (FORWARD, BACKWARD)
