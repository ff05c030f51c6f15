"""Layer and RMS normalization over the channels of each pixel; the latter has no mean and no beta."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.cases.option_table import EPSILON
from conformance.cases.request import Made
from conformance.operations import corner_shapes as shapes
from conformance.operations import corner_sizes as sizes
from conformance.operations.batch_norm import deviation, epsilon_of, moments
from conformance.operations.call import Parameter
from conformance.operations.entry import IMAGE, Array, Arrays, Corner, Entry, Outputs, Tensors, largest, plain

if TYPE_CHECKING:
    from conformance.cases.case import Case

_CHANNELS, _PIXELS = (3,), (0, 1, 2)
_HYPER = {"epsilon": Parameter("eps")}


def _oracle(torch: Any, case: Case, t: Tensors) -> Any:
    scale, offset = t["gamma"].reshape(-1), [t["beta"].reshape(-1)] if "beta" in t else []
    if t["A_prev"].numel() == 0:  # torch answers with gradients of its own for nothing
        return t["A_prev"] * t["gamma"] + sum(offset)
    norm = torch.nn.functional.layer_norm if offset else torch.nn.functional.rms_norm
    return norm(t["A_prev"], scale.shape, scale, *offset, eps=epsilon_of(case))


def _is_centered(case: Case, asked: bool | None) -> bool:
    """Whether the mean is subtracted: as `asked`, or as layer norm does."""
    return "beta" in case.operation.arrays if asked is None else asked


def _moments(
    case: Case, x: Array, axes: tuple[int, ...] = _CHANNELS, less: int = 0, centered: bool | None = None
) -> tuple[Array, Array]:
    """Mean and variance; unless it is `centered`, 0 and the mean of the squares."""
    mean, variance = moments(x, axes, less)
    if _is_centered(case, centered):
        return mean, variance
    count = x.size // mean.size
    return 0 * mean, (x**2).sum(axes, keepdims=True) / max(count - less, 1)


def _forward(
    case: Case,
    a: Arrays,
    axes: tuple[int, ...] = _CHANNELS,
    less: int = 0,
    epsilon: str | float = "inside",
    centered: bool | None = None,
) -> Outputs:
    """Over which axes, the divisor of the variance, the place of epsilon and the mean are left open."""
    if not a["A_prev"].size:
        return {"A": np.array(a["A_prev"])}
    mean, variance = _moments(case, a["A_prev"], axes, less, centered)
    return {"A": a["gamma"] * (a["A_prev"] - mean) / deviation(case, variance, epsilon) + a.get("beta", 0.0)}


def _backward(
    case: Case,
    a: Arrays,
    axes: tuple[int, ...] = _CHANNELS,
    less: int = 0,
    epsilon: str | float = "inside",
    centered: bool | None = None,
    through: str = "mean variance",
    of_gamma: str = "normal",
) -> Outputs:
    """Also left open: what the gradient goes through, and by what that of gamma is multiplied."""
    x, g, zero = a["A_prev"], a["dA"], 0 * a["gamma"]
    if not x.size:
        return _kept(case, np.array(x), zero, zero)
    mean, variance = _moments(case, x, axes, less, centered)
    inverse = 1 / deviation(case, variance, epsilon)
    normal, h = (x - mean) * inverse, g * a["gamma"]
    through_mean = "mean" in through and _is_centered(case, centered)
    rest = h - (h.mean(axes, keepdims=True) if through_mean else 0.0)
    rest = rest - (normal * (h * normal).mean(axes, keepdims=True) if "variance" in through else 0.0)
    by = {"normal": normal, "difference": x - mean, "input": x, "nothing": 1.0}[of_gamma]
    sums = ((g * by).sum(_PIXELS, keepdims=True), g.sum(_PIXELS, keepdims=True))
    return _kept(case, inverse * rest, *sums)


def _kept(case: Case, *gradients: Array) -> Outputs:
    """The gradients that the function has."""
    return dict(zip(case.operation.outputs, gradients, strict=False))


def rounding(r: Any, q: Any) -> Any:
    """Of a row's sums, and of those over the pixels."""
    case, a, x = q.case, q.a, q.a["A_prev"]
    if not x.size:
        return r.Rounding(0.0, 0.0, 16 * q.unit, 16 * q.tiny)
    values = case["c"] + case["m"] * case["h"] * case["w"] + 8
    mean, variance = _moments(case, x)
    mean, spread = np.abs(mean), np.sqrt(variance + epsilon_of(case))
    least = max(float(spread[np.isfinite(spread)].min(initial=1)), 1e-3)
    share = values * q.unit * (1 + largest(mean / spread) + largest(x) / least)
    size = largest(q.reference(q.absolute if "dA" in a else a))
    if q.output == "dgamma":  # of normalized values that cancel
        size = max(size, largest(np.abs(a["dA"]).sum(_PIXELS)))
    return r.Rounding(share, size, 16 * q.unit, 16 * q.tiny)


def _corners(*more: Corner) -> tuple[Corner, ...]:
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
        *more,
        *sizes.ended(sizes.PIXELS, "normal"),
    )


def _family(name: str, cache: str, arrays: tuple[str, ...], *more: Corner) -> tuple[Entry, Entry]:
    """A norm of `arrays` and its gradient."""
    forward = Entry(
        name=f"{name}_forward",
        grammar=(IMAGE,),
        arrays=arrays,
        outputs=("A",),
        options=(EPSILON,),
        shapes=dict.fromkeys(arrays[1:], (1, 1, 1, "c")),
        call=plain(
            *arrays, _HYPER,
            by_hand=Made(cache, {"A_prev": "A_prev", "gamma": "gamma", "hparameters": _HYPER}),
        ),
        oracle=_oracle,
        reference=_forward,
        bound=lambda rules: rules.normalized(rules.row_norm.forward),
        rounding=rounding,
        traits=frozenset({"norm", "each pixel", "inexact"}),
        corners=_corners(*more),
    )  # fmt: skip
    backward = forward.gradient(
        f"{name}_backward",
        upstream="dA",
        wanted={f"d{array}": array for array in arrays},
        reference=_backward,
        bound=lambda rules: rules.normalized(rules.row_norm.backward),
        rounding=rounding,
        corners=_corners(*more),
        dim=("flat",) if "beta" in arrays else (),  # each normalized value is zero, and so is dgamma
    )
    return forward, backward


ENTRIES = (
    *_family("layer_norm", "LayerNorm", ("A_prev", "gamma", "beta")),
    *_family(
        "rms_norm", "RMSNorm", ("A_prev", "gamma"),
        ("many-squares", "nntrainer #3935: more than float16 holds, added up", "m1h2w3c4100", "offset"),
        ("epsilon-floor", "nntrainer #4318: an epsilon that is raised to 1e-4", "m2h3w4c5_eps1e-6", "normal"),
    ),
)  # fmt: skip
