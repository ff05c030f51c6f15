"""Faults of softmax and of the cross-entropy loss and its gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from conformance.cases.case import Case
from conformance.faults.catalogue import slip
from conformance.faults.core import Array, Arrays, Base, Outputs
from conformance.faults.rows import after, data, instead, option, scaled
from conformance.operations.cross_entropy import count, kept, picked, smoothing, target

_SOFTMAX = {
    "softmax": "probs",
    "softmax_backward": "dX",
    "softmax_cross_entropy": "loss",
    "softmax_cross_entropy_backward": "dX",
}
_COST = {"cross_entropy_cost": "loss"}
_LOSS_GRADIENTS = {"cross_entropy_backward": "dAL", "softmax_cross_entropy_backward": "dX"}
_FUSED = {"softmax_cross_entropy": "loss"}
_LABELS = {**_COST, **_LOSS_GRADIENTS, **_FUSED}
_LOG = {**_COST, "cross_entropy_backward": "dAL"}

Of = Callable[[Arrays], Array]


def _probabilities(a: Arrays) -> Array:
    powers = np.exp(a["X"] - a["X"].max(1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(1, keepdims=True))


option("softmax-no-shift", "The row maximum is not subtracted, so large logits overflow.", _SOFTMAX,
       shift="none", post=True)  # fmt: skip
option(
    "softmax-shift-by-global-maximum",
    "The maximum of the whole matrix is subtracted: rows far below it underflow to 0/0.",
    _SOFTMAX,
    shift="all",
)
option("softmax-over-batch", "Softmax runs down the columns, over the batch.", _SOFTMAX, axis=0)


@slip("softmax-over-everything", "Softmax is normalised over the whole matrix.", {"softmax": "probs"})
def _softmax_over_everything(case: Case, a: Arrays, base: Base) -> Outputs:
    flat = case.replace(m=1, n=case["m"] * case["n"])
    return {"probs": base(flat, {"X": a["X"].reshape(1, -1)})["probs"].reshape(a["X"].shape)}


@slip("softmax-not-normalised", "The exponentials are not divided by their sum.", {"softmax": "probs"})
def _softmax_not_normalised(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"probs": np.exp(a["X"] - a["X"].max(1, keepdims=True))} if a["X"].size else {}


after("softmax-logarithm", "The logarithm of the probabilities is returned.", {"softmax": "probs"},
      lambda case, probs: np.log(probs))  # fmt: skip
data("softmax-base-two", "Powers of 2 are taken instead of powers of e.", _SOFTMAX,
     lambda case, a: {"X": a["X"] * np.log(2.0)})  # fmt: skip


def _jacobian(id: str, text: str, gradient: Callable[[Array, Array], Array], of: Of = _probabilities) -> None:
    """A slip of the gradient of softmax: what is made of the probabilities and the upstream gradient."""
    instead(id, text, {"softmax_backward": "dX"}, lambda case, a: gradient(of(a), a["dprobs"]))


_jacobian(
    "softmax-gradient-diagonal",
    "Only the diagonal of the Jacobian is used: p*(1-p)*dprobs.",
    lambda p, g: p * (1.0 - p) * g,
)
_jacobian(
    "softmax-gradient-without-sum",
    "The row's weighted sum is not subtracted: p*dprobs.",
    lambda p, g: p * g,
)
_jacobian(
    "softmax-gradient-unweighted-sum",
    "The sum that is subtracted is not weighted by the probabilities.",
    lambda p, g: p * (g - g.sum(1, keepdims=True)),
)
_jacobian(
    "softmax-gradient-at-probabilities",
    "The logits in the cache are taken for probabilities.",
    lambda p, g: p * (g - (p * g).sum(1, keepdims=True)),
    of=lambda a: a["X"],
)
_jacobian(
    "softmax-gradient-sum-over-batch",
    "The weighted sum that is subtracted runs down the columns, over the batch.",
    lambda p, g: p * (g - (p * g).sum(0, keepdims=True)),
)


@slip(
    "labels-by-rank",
    "A label counts by its rank among the labels present in the batch, not by its value.",
    _LABELS,
    post=True,
)
def _labels_by_rank(case: Case, a: Arrays, base: Base) -> Outputs:
    counted, ranks = kept(case, a), np.array(a["Y"])
    ranks[counted] = np.unique(ranks[counted], return_inverse=True)[1].reshape(-1)
    return base(case, {**a, "Y": ranks})


data(
    "labels-off-by-one",
    "Labels are counted from 1 (or shifted by one class the other way), round the end.",
    _LABELS,
    lambda case, a, by: {"Y": np.where(kept(case, a), (a["Y"] + by) % max(case["n"], 1), a["Y"])},
    variants=({"by": -1}, {"by": 1}),
)
data("labels-reversed", "Rows of labels and of probabilities run in opposite order.", _LABELS,
     lambda case, a: {"Y": a["Y"][::-1]})  # fmt: skip
scaled("loss-not-divided-by-m", "The sum over the batch is taken instead of the mean.", _LABELS,
       by=lambda case, a: max(count(case, a), 1))  # fmt: skip
scaled("loss-divided-by-m-twice", "The loss or its gradient is divided by the batch size twice.", _LABELS,
       over=lambda case, a: max(count(case, a), 1))  # fmt: skip
scaled("loss-mean-over-classes-too", "The mean is taken over the batch and the classes.", _LABELS,
       over=lambda case, a: max(case["n"], 1))  # fmt: skip
scaled(
    "loss-divided-by-classes",
    "The sum over the batch is divided by the number of classes instead of the batch size.",
    _LABELS,
    by=lambda case, a: count(case, a) / max(case["n"], 1),
)


@slip("loss-of-last-sample", "The loss is that of the last sample alone.", _COST)
def _loss_of_last_sample(case: Case, a: Arrays, base: Base) -> Outputs:
    if not case["m"] or not kept(case, a)[-1] or smoothing(case):
        return {}
    return {"loss": -np.log(picked({**a, "Y": a["Y"][-1:], "AL": a["AL"][-1:]}, "AL")).sum()}


@slip(
    "loss-binary",
    "The terms (1-y)*log(1-p) of the binary cross-entropy are added.",
    {**_COST, "cross_entropy_backward": "dAL"},
)
def _loss_binary(case: Case, a: Arrays, base: Base) -> Outputs:
    m = max(count(case, a), 1)
    others = kept(case, a)[:, None] - target(case, a)
    if "loss" in case.operation.outputs:
        return {"loss": base(case, a)["loss"] - (others * np.log1p(-a["AL"] * others)).sum() / m}
    return {"dAL": base(case, a)["dAL"] + others / (1.0 - a["AL"] * others) / m}


scaled("loss-other-logarithm", "The logarithm is to base 2 or 10.", {**_COST, **_FUSED},
       over=lambda case, a, to: np.log(to), variants=({"to": 2.0}, {"to": 10.0}))  # fmt: skip


_EPSILON = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-16, 1e-20, 1e-30)


@slip(
    "log-clipped",
    "Probabilities are clipped away from 0 before the logarithm or the division.",
    _LOG,
    variants=tuple({"epsilon": e, "both": both} for e in _EPSILON for both in (False, True)),
)
def _log_clipped(case: Case, a: Arrays, base: Base, epsilon: float, both: bool) -> Outputs:
    low, high = (float(case.working_dtype.type(x)) for x in (epsilon, 1.0 - epsilon))
    return base(case, {**a, "AL": np.clip(a["AL"], low, high if both else None)})


option(
    "log-of-shifted-probability",
    "A small constant is added to the probability before the logarithm or the division.",
    _LOG,
    variants=tuple({"epsilon": e} for e in _EPSILON),
)


@slip(
    "zero-times-log-zero",
    "Every class's term is taken, 0 times the logarithm of 0 (or 0/0) among them, which is NaN.",
    _LOG,
)
def _zero_times_log_zero(case: Case, a: Arrays, base: Base) -> Outputs:
    ((name, value),) = base(case, a).items()
    none = (a["AL"] == 0) & (target(case, a) == 0)
    return {name: np.where(none.any() if name == "loss" else none, np.nan, value)}


instead(
    "softmax-nan-passed-over",
    "NaN among the logits is passed over: it has the probability 0, and the others share 1.",
    {"softmax": "probs"},
    lambda case, a: _probabilities({"X": np.where(np.isnan(a["X"]), -np.inf, a["X"])}),
)


@slip(
    "labels-not-subtracted",
    "The one-hot labels are not subtracted: probs/m.",
    {"softmax_cross_entropy_backward": "dX"},
)
def _labels_not_subtracted(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"dX": base(case, a)["dX"] + target(case, a) / max(count(case, a), 1)}


@slip(
    "loss-of-rounded-probability",
    "The loss is of log(softmax(X)): a probability that underflows gives infinity.",
    _FUSED,
)
def _loss_of_rounded_probability(case: Case, a: Arrays, base: Base) -> Outputs:
    t = target(case, a)
    p = _probabilities({"X": a["X"].astype(np.float64)}).astype(case.numpy_dtype).astype(np.float64)
    terms = np.where(t != 0, t * np.log(np.where(t != 0, p, 1.0)), 0.0)
    return {"loss": np.asarray(-terms.sum() / np.float64(count(case, a) or np.nan))}


@slip(
    "gradient-of-logits-for-probabilities",
    "(AL - onehot)/m, the gradient with respect to the logits, is returned for that of AL.",
    {"cross_entropy_backward": "dAL"},
)
def _gradient_of_logits_for_probabilities(case: Case, a: Arrays, base: Base) -> Outputs:
    gradient = (a["AL"] - target(case, a)) * kept(case, a)[:, None]
    return {"dAL": gradient / max(count(case, a), 1)}


@slip(
    "gradient-of-every-class",
    "-1/(AL*m) stands in every column, not only in the label's.",
    {"cross_entropy_backward": "dAL"},
)
def _gradient_of_every_class(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"dAL": -1.0 / a["AL"] / max(count(case, a), 1)}
