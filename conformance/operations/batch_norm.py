"""Batch normalization with the statistics of the batch or running ones, and its gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.cases.operation import WORDS
from conformance.cases.option_table import EPSILON, MOMENTUM
from conformance.cases.request import Made
from conformance.operations import corner_shapes as shapes
from conformance.operations import corner_sizes as sizes
from conformance.operations.call import Is, Parameter
from conformance.operations.entry import (
    IMAGE,
    Array,
    Arrays,
    Corner,
    Entry,
    Form,
    Outputs,
    Tensors,
    largest,
    plain,
)

if TYPE_CHECKING:
    from conformance.cases.case import Case

_AXES = (0, 1, 2)
_RUNNING = ("running_mean", "running_var")
_HYPER = {
    "epsilon": Parameter("eps"), "momentum": Parameter("mom"), "training": Is("statistics", "training"),
}  # fmt: skip


def epsilon_of(case: Case) -> float:
    """What is added to the variance."""
    return float(case.value("eps"))  # type: ignore[arg-type]


def momentum_of(case: Case) -> float:
    """The weight of the batch in the new running statistics."""
    return float(case.value("mom"))  # type: ignore[arg-type]


def _oracle(torch: Any, case: Case, t: Tensors) -> Any:
    """Torch's, which changes the running statistics in place: here copies of those in `t`."""
    kept = {name: t[name].detach().reshape(-1).clone() for name in _RUNNING}
    image, training = t["A_prev"].permute(0, 3, 1, 2), case.word("statistics") == "training"
    if image.numel() == 0:  # torch answers with gradients of its own for nothing
        return {
            "A": image.permute(0, 2, 3, 1) * t["gamma"] + t["beta"],
            **{name: t[name] for name in _RUNNING},
        }
    scale, offset = t["gamma"].reshape(-1), t["beta"].reshape(-1)
    out = torch.batch_norm(
        image, scale, offset, *kept.values(), training, momentum_of(case), epsilon_of(case), False
    )
    return {"A": out.permute(0, 2, 3, 1), **{name: x.reshape(1, 1, 1, -1) for name, x in kept.items()}}


def moments(x: Array, axes: tuple[int, ...] = _AXES, less: int = 0) -> tuple[Array, Array]:
    """Mean and variance, divided by `less` fewer than there are values."""
    mean = x.mean(axes, keepdims=True)
    count = x.size / max(mean.size, 1)
    return mean, ((x - mean) ** 2).sum(axes, keepdims=True) / max(count - less, 1)


def _chosen(case: Case, a: Arrays, statistics: str, axes: tuple[int, ...], less: int) -> tuple[Array, Array]:
    if (statistics or case.word("statistics")) == "training" and a["A_prev"].size:
        return moments(a["A_prev"], axes, less)
    return a["running_mean"], a["running_var"]


def deviation(case: Case, variance: Array, epsilon: str | float) -> Array:
    """``sqrt(variance + epsilon)``, or epsilon ``outside`` the root."""
    if epsilon == "outside":
        return np.sqrt(variance) + epsilon_of(case)
    return np.sqrt(variance + (epsilon_of(case) if isinstance(epsilon, str) else epsilon))


def _forward(
    case: Case,
    a: Arrays,
    statistics: str = "",
    axes: tuple[int, ...] = _AXES,
    less: int = 0,
    kept_less: int = 1,
    epsilon: str | float = "inside",
    momentum: float | None = None,
) -> Outputs:
    mean, variance = _chosen(case, a, statistics, axes, less)
    A = a["gamma"] * (a["A_prev"] - mean) / deviation(case, variance, epsilon) + a["beta"]
    out = {"A": A, "running_mean": a["running_mean"], "running_var": a["running_var"]}
    if case.word("statistics") == "training" and a["A_prev"].size:
        new = moments(a["A_prev"], _AXES, kept_less)
        momentum = momentum_of(case) if momentum is None else momentum
        for name, value in zip(_RUNNING, new, strict=True):
            out[name] = (1 - momentum) * a[name] + momentum * value
    return out


def _backward(
    case: Case,
    a: Arrays,
    statistics: str = "",
    axes: tuple[int, ...] = _AXES,
    less: int = 0,
    epsilon: str | float = "inside",
    through: str = "mean variance",
) -> Outputs:
    x, g = a["A_prev"], a["dA"]
    mean, variance = _chosen(case, a, statistics, axes, less)
    inverse = 1 / deviation(case, variance, epsilon)
    normal = (x - mean) * inverse
    dbeta, dgamma = g.sum(_AXES, keepdims=True), (g * normal).sum(_AXES, keepdims=True)
    rest = np.array(g)
    if (statistics or case.word("statistics")) == "training" and x.size:
        count = x.size / max(x.shape[3], 1)
        rest = rest - (dbeta / count if "mean" in through else 0.0)
        rest = rest - (normal * dgamma / count if "variance" in through else 0.0)
    return {"dA_prev": a["gamma"] * inverse * rest, "dgamma": dgamma, "dbeta": dbeta}


def _of_batch(moment: Any, running: str) -> Any:
    """A field of a cache made by hand; the gradient needs no running statistics in training.

    The statistics have the dtype that sums are computed in, which the bound allows for: half images have
    them in float32. In float64 they would make the gradients of a kernel in plain NumPy float64.
    """

    def computed(case: Case, a: Arrays) -> Array:
        if case.word("statistics") != "training":
            return np.asarray(a[running], case.working_dtype)
        wide = np.asarray(a["A_prev"], np.float64)
        return np.asarray(moment(wide, axis=_AXES, keepdims=True), case.working_dtype)

    return computed


_CACHE = {
    "A_prev": "A_prev",
    "gamma": "gamma",
    "mean": _of_batch(np.mean, "running_mean"),
    "variance": _of_batch(np.var, "running_var"),
    "running_mean": "running_mean",
    "running_var": "running_var",
    "hparameters": _HYPER,
}


def _rounding(r: Any, q: Any) -> Any:
    case, a, x = q.case, q.a, q.a["A_prev"]
    values = case["m"] * case["h"] * case["w"] + 8
    if case.word("statistics") == "training" and x.size:
        mean, spread = np.abs(x.mean((0, 1, 2))), np.sqrt(x.var((0, 1, 2)) + epsilon_of(case))
    else:
        mean, spread = np.abs(a["running_mean"]), np.sqrt(a["running_var"] + epsilon_of(case))
    least = max(float(spread[np.isfinite(spread)].min(initial=1)), 1e-3)
    share = values * q.unit * (1 + largest(mean / spread) + largest(x) / least)
    size = largest(q.reference(q.absolute if "dA" in a else a))
    return r.Rounding(share, size, 16 * q.unit, 16 * q.tiny)


def _corners() -> tuple[Corner, ...]:
    found: list[Corner] = []
    for word in WORDS["statistics"]:
        found += [(f"lanes-{c}", shapes.TAILS, f"m2h3w4c{c}_{word}", "normal") for c in shapes.WIDTHS]
        for family in ("offset", "flat", "magnitudes"):
            for params in ("m2h3w4c5", "m3h7w5c17"):
                found.append((family, "Chan, Golub & LeVeque 1983", f"{params}_{word}", family))
        for name, source, params in (
            ("one-pixel", "fully connected layers: statistics over samples alone", "m5h1w1c3"),
            ("one-sample", "statistics over pixels alone", "m1h4w5c3"),
            ("two-values", "the unbiased variance is twice the biased one", "m2h1w1c3"),
            ("many-pixels", "more than one chunk of a sum", "m2h33w17c1"),
        ):
            found.append((name, source, f"{params}_{word}", "normal"))
    return (
        *found,
        ("empty-batch", shapes.EMPTY, "m0h4w5c3_inference", "normal"),
        ("no-channels", "nothing in, nothing out", "m2h4w5c0_inference", "normal"),
        *sizes.ended(sizes.NORM, "normal", *WORDS["statistics"]),
    )


FORWARD = Entry(
    name="batch_norm_forward",
    grammar=(IMAGE, ("statistics",)),
    arrays=("A_prev", "gamma", "beta", "running_mean", "running_var"),
    outputs=("A", "running_mean", "running_var"),
    options=(EPSILON, MOMENTUM),
    shapes=dict.fromkeys(("gamma", "beta", *_RUNNING), (1, 1, 1, "c")),
    call=plain("A_prev", "gamma", "beta", *_RUNNING, _HYPER, by_hand=Made("BatchNorm", _CACHE)),
    oracle=_oracle,
    reference=_forward,
    bound=lambda rules: rules.normalized(rules.norm.batch_norm_forward),
    rounding=_rounding,
    traits=frozenset({"norm", "inexact"}),
    corners=_corners(),
    forms=dict.fromkeys(_RUNNING, Form("working")),
)
BACKWARD = FORWARD.gradient(
    "batch_norm_backward",
    upstream="dA",
    wanted={"dA_prev": "A_prev", "dgamma": "gamma", "dbeta": "beta"},
    reference=_backward,
    bound=lambda rules: rules.normalized(rules.norm.batch_norm_backward),
    rounding=_rounding,
    corners=_corners(),
    dim=("flat",),  # each normalized value is zero, and so is dgamma
)
ENTRIES = (FORWARD, BACKWARD)
