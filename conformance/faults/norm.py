"""Faults of normalizations and of global average pooling."""

from __future__ import annotations

from functools import partial

import numpy as np

from conformance.cases.case import Case
from conformance.cases.dtypes import finfo
from conformance.faults.catalogue import slip, without
from conformance.faults.core import Array, Arrays, Base, Outputs
from conformance.faults.rows import data, instead, is_word, option, scaled
from conformance.operations.batch_norm import deviation, epsilon_of, moments, momentum_of

_LAYER = {"layer_norm_forward": "A", "layer_norm_backward": "dA_prev dgamma"}
_RMS = {"rms_norm_forward": "A", "rms_norm_backward": "dA_prev dgamma"}
_PIXEL = _LAYER | _RMS
_BOTH = {"batch_norm_forward": "A", "batch_norm_backward": "dA_prev dgamma", **_PIXEL}
_NORMAL = {**_PIXEL, "batch_norm_forward": "A", "batch_norm_backward": "dgamma"}
_FORWARD = {f"{name}_norm_forward": "A" for name in ("batch", "layer", "rms")}
_BACKWARD = {f"{name}_norm_backward": "dA_prev" for name in ("batch", "layer", "rms")}
_KEPT = {"batch_norm_forward": "running_mean running_var"}
_GLOBAL = {"global_average_pool_forward": "A", "global_average_pool_backward": "dA_prev"}
_training = is_word("statistics", "training")
_trained = partial(option, only=_training)
_gradient = partial(_trained, targets=_BACKWARD)


def _axes(case: Case) -> tuple[int, ...]:
    """What is normalized together."""
    return (3,) if "each pixel" in case.operation.traits else (0, 1, 2)


def _count(case: Case, x: Array) -> int:
    """How many values that is."""
    return int(np.prod([x.shape[axis] for axis in _axes(case)]))


_trained("norm-unbiased-variance", "Values are normalized with the unbiased variance, over N-1.", _BOTH,
         less=1)  # fmt: skip
_trained(
    "norm-running-variance-biased",
    "The running variance takes the biased variance of the batch, over N.",
    {"batch_norm_forward": "running_var"},
    kept_less=0,
)


@slip(
    "norm-running-variance-of-samples",
    "The running variance takes the batch's times m/(m-1), as if each sample were one value.",
    {"batch_norm_forward": "running_var"},
)
def _norm_running_variance_of_samples(case: Case, a: Arrays, base: Base) -> Outputs:
    if not _training(case) or case["m"] < 2:
        return {}
    old = (1 - momentum_of(case)) * a["running_var"]
    share = base(case, a, kept_less=0)["running_var"] - old
    return {"running_var": old + share * case["m"] / (case["m"] - 1)}


option("norm-epsilon-outside-root", "epsilon is added to the deviation, not to the variance.", _BOTH,
       epsilon="outside")  # fmt: skip
option(
    "norm-epsilon-ignored",
    "epsilon is left out, or is 1e-5 or 1e-3 whatever was asked.",
    _BOTH,
    variants=({"epsilon": 0.0}, {"epsilon": 1e-5}, {"epsilon": 1e-3}),
)
option(
    "norm-epsilon-raised",
    "epsilon is raised to a least value, 1e-5 say, where a smaller one was asked for.",
    _BOTH,
    of=lambda case, a, least: {"epsilon": max(epsilon_of(case), least)},
    variants=tuple({"least": 10.0**-n} for n in (2, 3, 4, 5, 6, 7, 8)),
)
option(
    "norm-statistics-exchanged",
    "The running statistics are used in training, the batch's in inference.",
    without(_BOTH, *_PIXEL),
    of=lambda case, a: {"statistics": "inference" if _training(case) else "training"},
)
_trained(
    "norm-over-pixels",
    "The statistics are taken over the pixels of each sample (instance normalization).",
    _NORMAL,
    axes=(1, 2),
)
option(
    "norm-over-samples",
    "The statistics are taken over samples and pixels (batch normalization).",
    _PIXEL,
    axes=(0, 1, 2),
)
option(
    "norm-over-sample",
    "The statistics are taken over all of a sample (layer normalization of an image).",
    _PIXEL,
    axes=(1, 2, 3),
)
_trained(
    "norm-over-channels",
    "The statistics are taken over the channels of each pixel (layer normalization).",
    without(_NORMAL, *_PIXEL),
    axes=(3,),
)
data(
    "norm-scale-forgotten",
    "gamma is left out.",
    _FORWARD | _BACKWARD,
    lambda case, a: {"gamma": np.ones_like(a["gamma"])},
)
data("norm-offset-forgotten", "beta is left out.", without(_FORWARD, *_RMS),
     lambda case, a: {"beta": np.zeros_like(a["beta"])})  # fmt: skip


@slip(
    "norm-mean-not-subtracted",
    "The mean is not subtracted.",
    without(_NORMAL, *_RMS) | {"layer_norm_backward": "dgamma"},
)
def _norm_mean_not_subtracted(case: Case, a: Arrays, base: Base) -> Outputs:
    if not a["A_prev"].size:
        return {}
    mean = a["A_prev"].mean(_axes(case), keepdims=True) if _training(case) else a["running_mean"]
    variance = a["A_prev"].var(_axes(case), keepdims=True) if _training(case) else a["running_var"]
    more = mean / np.sqrt(variance + epsilon_of(case))
    if not case.operation.upstream:
        return {"A": base(case, a)["A"] + a["gamma"] * more}
    return {"dgamma": base(case, a)["dgamma"] + (more * a["dA"]).sum((0, 1, 2), keepdims=True)}


option(
    "rms-mean-subtracted",
    "The mean is subtracted, or the deviation taken for the root of the mean square (layer normalization).",
    _RMS,
    centered=True,
)
option(
    "rms-sum-of-squares",
    "The squares are added up, not averaged: the values are divided by their length.",
    _RMS,
    of=lambda case, a: {"less": case["c"] - 1},
)
data(
    "rms-scale-added-to-one",
    "gamma is taken for what is added to 1, as Gemma has it.",
    {"rms_norm_forward": "A", "rms_norm_backward": "dA_prev"},
    lambda case, a: {"gamma": a["gamma"] + 1},
)
_trained("norm-momentum-of-the-old", "momentum weighs the old statistics instead of the new ones.", _KEPT,
         of=lambda case, a: {"momentum": 1 - momentum_of(case)})  # fmt: skip
_trained("norm-momentum-ignored", "The new statistics replace the old ones.", _KEPT, momentum=1.0)
option("norm-running-not-updated", "The running statistics stay as they were.", _KEPT, momentum=0.0)


@slip(
    "norm-running-updated-in-inference",
    "The running statistics change in inference too.",
    _KEPT,
)
def _norm_running_updated_in_inference(case: Case, a: Arrays, base: Base) -> Outputs:
    return {} if _training(case) else base(case.replace(statistics="training"), a)


@slip(
    "norm-gamma-gradient-not-scaled",
    "The gradient of gamma is of A_prev less its mean, which is not divided by the deviation.",
    {"batch_norm_backward": "dgamma"},
)
def _norm_gamma_gradient_not_scaled(case: Case, a: Arrays, base: Base) -> Outputs:
    of_batch = _training(case) and a["A_prev"].size
    variance = moments(a["A_prev"])[1] if of_batch else a["running_var"]
    if of_batch and (variance < 1e-20 * np.square(a["A_prev"]).mean((0, 1, 2))).any():
        return {}  # of values that are equal nothing but rounding is left
    return {"dgamma": base(case, a)["dgamma"] * deviation(case, variance, "inside")}


option(
    "norm-gamma-gradient-without-deviation",
    "The gradient of gamma is that of beta, of A_prev less its mean, or of A_prev itself.",
    {"layer_norm_backward": "dgamma", "rms_norm_backward": "dgamma"},
    variants=({"of_gamma": "nothing"}, {"of_gamma": "difference"}, {"of_gamma": "input"}),
)


@slip(
    "norm-gradients-exchanged",
    "The gradients of gamma and beta are exchanged.",
    {"batch_norm_backward": "dgamma dbeta", "layer_norm_backward": "dbeta"},
)
def _norm_gradients_exchanged(case: Case, a: Arrays, base: Base) -> Outputs:
    out = base(case, a)
    return {"dgamma": out["dbeta"], "dbeta": out["dgamma"]}


@slip(
    "norm-gradient-of-some-pixels",
    "The gradients of gamma and beta are those of the last pixel or sample alone, or leave it out.",
    {"layer_norm_backward": "dgamma dbeta", "rms_norm_backward": "dgamma"},
    variants=tuple({"which": w, "kept": k} for w in ("pixel", "sample") for k in (True, False)),
)
def _norm_gradient_of_some_pixels(case: Case, a: Arrays, base: Base, which: str, kept: bool) -> Outputs:
    last = np.zeros((*a["dA"].shape[:3], 1))
    last.reshape(-1)[-1 if which == "pixel" else -max(case["h"] * case["w"], 1) :] = 1
    found = base(case, {**a, "dA": a["dA"] * (last if kept else 1 - last)})
    return {name: found[name] for name in ("dgamma", "dbeta") if name in found}


_gradient(
    "norm-gradient-without-mean",
    "The gradient does not go through the mean.",
    targets=without(_BACKWARD, *_RMS),
    through="variance",
)
_gradient(
    "norm-gradient-without-variance",
    "The gradient does not go through the variance.",
    through="mean",
)
_gradient(
    "norm-statistics-taken-for-constants",
    "The gradient goes through neither the mean nor the variance.",
    targets=without(_BACKWARD, *_RMS),
    through="",
)
scaled(
    "norm-gradient-means",
    "The gradients of gamma and beta are means instead of sums.",
    {
        "batch_norm_backward": "dgamma dbeta",
        "layer_norm_backward": "dgamma dbeta",
        "rms_norm_backward": "dgamma",
    },
    over=lambda case, a: max(case["m"] * case["h"] * case["w"], 1),
)
option(
    "global-pool-sum",
    "The sum of each channel is taken, or its gradient: nothing is divided by the number of pixels.",
    _GLOBAL,
    divisor=1.0,
)
option(
    "global-pool-divisor-of-one-axis",
    "The divisor is the height or the width alone.",
    _GLOBAL,
    of=lambda case, a, axis: {"divisor": float(case[axis])},
    variants=({"axis": "h"}, {"axis": "w"}),
)
instead(
    "global-pool-maximum",
    "The maximum is taken instead of the mean.",
    {"global_average_pool_forward": "A"},
    lambda case, a: a["A_prev"].max((1, 2), keepdims=True),
)


@slip(
    "norm-inference-gradient-of-the-batch",
    "In inference the gradient goes through mean and variance, which are constants there.",
    {"batch_norm_backward": "dA_prev"},
    variants=({"batch": False}, {"batch": True}),
)
def _norm_inference_gradient_of_the_batch(case: Case, a: Arrays, base: Base, batch: bool) -> Outputs:
    x, g = a["A_prev"], a["dA"]
    if _training(case) or not x.size:
        return {}
    mean, variance = moments(x) if batch else (a["running_mean"], a["running_var"])
    inverse = 1 / deviation(case, a["running_var"], "inside")
    normal = (x - mean) / deviation(case, variance, "inside")
    rest = g - g.mean((0, 1, 2), keepdims=True) - normal * (g * normal).mean((0, 1, 2), keepdims=True)
    return {"dA_prev": a["gamma"] * inverse * rest}


def _one_pass(case: Case, a: Arrays, output: str) -> Array:
    """``E[x^2] - E[x]^2`` is off by as many units of ``E[x^2]`` as there are terms, and some more."""
    x = a["A_prev"]
    if not _training(case) or not x.size:
        return np.zeros(())
    count = _count(case, x)
    unit = float(finfo(case.working_dtype).eps) / 2
    _, variance = moments(x, _axes(case))
    off = (count + 4) * unit * ((x * x).mean(_axes(case), keepdims=True) + variance)
    if float((x * x).sum()) > float(finfo(case.working_dtype).max) / 2:
        return np.asarray(np.inf)
    if output == "running_var":
        return np.asarray(2 * off * count / max(count - 1, 1))
    below = np.maximum(variance - off, 0) + epsilon_of(case)
    share = np.where(off < variance + epsilon_of(case), off / below, np.inf)
    away = np.abs(a["gamma"] * (x - x.mean(_axes(case), keepdims=True)))
    return np.asarray(share * away / np.sqrt(below))


@slip(
    "norm-one-pass-variance",
    "The variance is the mean of squares less the square of the mean, which cancels where the mean is large.",
    {"batch_norm_forward": "A running_var", "layer_norm_forward": "A"},
    own=_one_pass,
)
def _norm_one_pass_variance(case: Case, a: Arrays, base: Base) -> Outputs:
    if not _training(case) or not a["A_prev"].size:
        return {}
    x = a["A_prev"].astype(case.working_dtype)
    axes = _axes(case)
    mean = x.mean(axes, keepdims=True)
    variance = ((x * x).mean(axes, keepdims=True) - mean * mean).astype(np.float64)
    right = moments(a["A_prev"], axes)[1]
    out = base(case, a)
    scale = deviation(case, right, "inside") / deviation(case, variance, "inside")
    if axes == (3,):
        return {"A": (out["A"] - a["beta"]) * scale + a["beta"]}
    count = _count(case, x)
    more = momentum_of(case) * (variance - right) * count / max(count - 1, 1)
    return {"A": (out["A"] - a["beta"]) * scale + a["beta"], "running_var": out["running_var"] + more}
