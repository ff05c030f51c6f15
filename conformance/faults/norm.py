"""Faults of batch normalization and of global average pooling."""

from __future__ import annotations

import numpy as np

from conformance.cases.case import Case
from conformance.faults.catalogue import slip
from conformance.faults.core import Arrays, Base, Outputs
from conformance.operations.batch_norm import EPSILON, MOMENTUM

_BOTH = {"batch_norm_forward": "A", "batch_norm_backward": "dA_prev dgamma"}
_KEPT = {"batch_norm_forward": "running_mean running_var"}
_GRADIENT = {"batch_norm_backward": "dA_prev"}
_GLOBAL = {"global_average_pool_forward": "A", "global_average_pool_backward": "dA_prev"}


def _training(case: Case) -> bool:
    return case.word("statistics") == "training"


@slip("norm-unbiased-variance", "The batch is normalized with the unbiased variance, over N-1.", _BOTH)
def _norm_unbiased_variance(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, less=1) if _training(case) else {}


@slip(
    "norm-running-variance-biased",
    "The running variance takes the biased variance of the batch, over N.",
    {"batch_norm_forward": "running_var"},
)
def _norm_running_variance_biased(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, kept_less=0) if _training(case) else {}


@slip("norm-epsilon-outside-root", "epsilon is added to the deviation, not to the variance.", _BOTH)
def _norm_epsilon_outside_root(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, epsilon="outside")


@slip(
    "norm-epsilon-ignored",
    "epsilon is left out, or is 1e-5 or 1e-3 whatever was asked.",
    _BOTH,
    variants=({"epsilon": 0.0}, {"epsilon": 1e-5}, {"epsilon": 1e-3}),
)
def _norm_epsilon_ignored(case: Case, a: Arrays, base: Base, epsilon: float) -> Outputs:
    return base(case, a, epsilon=epsilon)


@slip(
    "norm-statistics-exchanged",
    "The running statistics are used in training, the batch's in inference.",
    _BOTH,
)
def _norm_statistics_exchanged(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, statistics="inference" if _training(case) else "training")


@slip(
    "norm-over-pixels",
    "The statistics are taken over the pixels of each sample (instance normalization).",
    {"batch_norm_forward": "A", "batch_norm_backward": "dgamma"},
)
def _norm_over_pixels(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, axes=(1, 2)) if _training(case) else {}


@slip(
    "norm-over-channels",
    "The statistics are taken over the channels of each pixel (layer normalization).",
    {"batch_norm_forward": "A", "batch_norm_backward": "dgamma"},
)
def _norm_over_channels(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, axes=(3,)) if _training(case) else {}


@slip(
    "norm-scale-forgotten",
    "gamma is left out.",
    {"batch_norm_forward": "A", "batch_norm_backward": "dA_prev"},
)
def _norm_scale_forgotten(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, {**a, "gamma": np.ones_like(a["gamma"])})


@slip("norm-offset-forgotten", "beta is left out.", {"batch_norm_forward": "A"})
def _norm_offset_forgotten(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, {**a, "beta": np.zeros_like(a["beta"])})


@slip(
    "norm-mean-not-subtracted",
    "The mean is not subtracted.",
    {"batch_norm_forward": "A", "batch_norm_backward": "dgamma"},
)
def _norm_mean_not_subtracted(case: Case, a: Arrays, base: Base) -> Outputs:
    mean = a["A_prev"].mean((0, 1, 2), keepdims=True) if _training(case) else a["running_mean"]
    variance = a["A_prev"].var((0, 1, 2), keepdims=True) if _training(case) else a["running_var"]
    more = mean / np.sqrt(variance + EPSILON)
    if not case.operation.upstream:
        return {"A": base(case, a)["A"] + a["gamma"] * more}
    return {"dgamma": base(case, a)["dgamma"] + more * a["dA"].sum((0, 1, 2), keepdims=True)}


@slip("norm-momentum-of-the-old", "momentum weighs the old statistics instead of the new ones.", _KEPT)
def _norm_momentum_of_the_old(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, momentum=1 - MOMENTUM) if _training(case) else {}


@slip("norm-momentum-ignored", "The new statistics replace the old ones.", _KEPT)
def _norm_momentum_ignored(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, momentum=1.0) if _training(case) else {}


@slip("norm-running-not-updated", "The running statistics stay as they were.", _KEPT)
def _norm_running_not_updated(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, momentum=0.0)


@slip(
    "norm-running-updated-in-inference",
    "The running statistics change in inference too.",
    _KEPT,
)
def _norm_running_updated_in_inference(case: Case, a: Arrays, base: Base) -> Outputs:
    return {} if _training(case) else base(case.replace(statistics="training"), a)


@slip(
    "norm-gradient-without-mean",
    "The gradient does not go through the mean of the batch.",
    _GRADIENT,
)
def _norm_gradient_without_mean(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, through="variance") if _training(case) else {}


@slip(
    "norm-gradient-without-variance",
    "The gradient does not go through the variance of the batch.",
    _GRADIENT,
)
def _norm_gradient_without_variance(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, through="mean") if _training(case) else {}


@slip(
    "norm-statistics-taken-for-constants",
    "The gradient goes through neither the mean nor the variance of the batch.",
    _GRADIENT,
)
def _norm_statistics_taken_for_constants(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, through="") if _training(case) else {}


@slip(
    "norm-gradient-means",
    "The gradients of gamma and beta are means instead of sums.",
    {"batch_norm_backward": "dgamma dbeta"},
)
def _norm_gradient_means(case: Case, a: Arrays, base: Base) -> Outputs:
    count = max(case["m"] * case["h"] * case["w"], 1)
    return {name: v / count for name, v in base(case, a).items() if name != "dA_prev"}


@slip(
    "global-pool-sum",
    "The sum of each channel is taken, or its gradient: nothing is divided by the number of pixels.",
    _GLOBAL,
)
def _global_pool_sum(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, divisor=1.0)


@slip(
    "global-pool-divisor-of-one-axis",
    "The divisor is the height or the width alone.",
    _GLOBAL,
    variants=({"axis": "h"}, {"axis": "w"}),
)
def _global_pool_divisor_of_one_axis(case: Case, a: Arrays, base: Base, axis: str) -> Outputs:
    return base(case, a, divisor=float(case[axis]))


@slip(
    "global-pool-maximum", "The maximum is taken instead of the mean.", {"global_average_pool_forward": "A"}
)
def _global_pool_maximum(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"A": a["A_prev"].max((1, 2), keepdims=True)}
