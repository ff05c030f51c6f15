"""Faults of softmax and of the cross-entropy loss and its gradients."""

from __future__ import annotations

import numpy as np

from conformance.cases.case import Case
from conformance.faults.catalogue import slip
from conformance.faults.core import Array, Arrays, Base, Outputs
from conformance.operations.cross_entropy import count, kept, picked, smoothing, target

_SOFTMAX = {
    "softmax": "probs",
    "softmax_backward": "dX",
    "softmax_cross_entropy_backward": "dX",
}
_JACOBIAN = {"softmax_backward": "dX"}
_COST = {"cross_entropy_cost": "loss"}
_LOSS_GRADIENTS = {"cross_entropy_backward": "dAL", "softmax_cross_entropy_backward": "dX"}
_LABELS = {**_COST, **_LOSS_GRADIENTS}
_LOG = {**_COST, "cross_entropy_backward": "dAL"}


@slip(
    "softmax-no-shift",
    "The row maximum is not subtracted, so large logits overflow.",
    _SOFTMAX,
    post=True,
)
def _softmax_no_shift(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, shift="none")


@slip(
    "softmax-shift-by-global-maximum",
    "The maximum of the whole matrix is subtracted: rows far below it underflow to 0/0.",
    _SOFTMAX,
)
def _softmax_shift_by_global_maximum(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, shift="all")


@slip("softmax-over-batch", "Softmax runs down the columns, over the batch.", _SOFTMAX)
def _softmax_over_batch(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, axis=0)


@slip("softmax-over-everything", "Softmax is normalised over the whole matrix.", {"softmax": "probs"})
def _softmax_over_everything(case: Case, a: Arrays, base: Base) -> Outputs:
    flat = case.replace(m=1, n=case["m"] * case["n"])
    return {"probs": base(flat, {"X": a["X"].reshape(1, -1)})["probs"].reshape(a["X"].shape)}


@slip("softmax-not-normalised", "The exponentials are not divided by their sum.", {"softmax": "probs"})
def _softmax_not_normalised(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"probs": np.exp(a["X"] - a["X"].max(1, keepdims=True))} if a["X"].size else {}


@slip("softmax-logarithm", "The logarithm of the probabilities is returned.", {"softmax": "probs"})
def _softmax_logarithm(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"probs": np.log(base(case, a)["probs"])}


@slip("softmax-base-two", "Powers of 2 are taken instead of powers of e.", _SOFTMAX)
def _softmax_base_two(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, {**a, "X": a["X"] * np.log(2.0)})


@slip(
    "softmax-gradient-diagonal",
    "Only the diagonal of the Jacobian is used: p*(1-p)*dprobs.",
    _JACOBIAN,
)
def _softmax_gradient_diagonal(case: Case, a: Arrays, base: Base) -> Outputs:
    p = _probabilities(case, a)
    return {"dX": p * (1.0 - p) * a["dprobs"]}


@slip("softmax-gradient-without-sum", "The row's weighted sum is not subtracted: p*dprobs.", _JACOBIAN)
def _softmax_gradient_without_sum(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"dX": _probabilities(case, a) * a["dprobs"]}


@slip(
    "softmax-gradient-unweighted-sum",
    "The sum that is subtracted is not weighted by the probabilities.",
    _JACOBIAN,
)
def _softmax_gradient_unweighted_sum(case: Case, a: Arrays, base: Base) -> Outputs:
    g = a["dprobs"]
    return {"dX": _probabilities(case, a) * (g - g.sum(1, keepdims=True))}


@slip(
    "softmax-gradient-at-probabilities",
    "The logits in the cache are taken for probabilities.",
    _JACOBIAN,
)
def _softmax_gradient_at_probabilities(case: Case, a: Arrays, base: Base) -> Outputs:
    p = a["X"]
    return {"dX": p * (a["dprobs"] - (p * a["dprobs"]).sum(1, keepdims=True))}


@slip(
    "softmax-gradient-sum-over-batch",
    "The weighted sum that is subtracted runs down the columns, over the batch.",
    _JACOBIAN,
)
def _softmax_gradient_sum_over_batch(case: Case, a: Arrays, base: Base) -> Outputs:
    p = _probabilities(case, a)
    return {"dX": p * (a["dprobs"] - (p * a["dprobs"]).sum(0, keepdims=True))}


def _probabilities(case: Case, a: Arrays) -> Array:
    powers = np.exp(a["X"] - a["X"].max(1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(1, keepdims=True))


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


@slip(
    "labels-off-by-one",
    "Labels are counted from 1 (or shifted by one class the other way), round the end.",
    _LABELS,
    variants=({"by": -1}, {"by": 1}),
)
def _labels_off_by_one(case: Case, a: Arrays, base: Base, by: int) -> Outputs:
    return base(case, {**a, "Y": np.where(kept(case, a), (a["Y"] + by) % max(case["n"], 1), a["Y"])})


@slip("labels-reversed", "Rows of labels and of probabilities run in opposite order.", _LABELS)
def _labels_reversed(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, {**a, "Y": a["Y"][::-1]})


@slip(
    "loss-not-divided-by-m",
    "The sum over the batch is taken instead of the mean.",
    _LABELS,
)
def _loss_not_divided_by_m(case: Case, a: Arrays, base: Base) -> Outputs:
    return {name: value * max(count(case, a), 1) for name, value in base(case, a).items()}


@slip(
    "loss-divided-by-m-twice",
    "The loss or its gradient is divided by the batch size twice.",
    _LABELS,
)
def _loss_divided_by_m_twice(case: Case, a: Arrays, base: Base) -> Outputs:
    return {name: value / max(count(case, a), 1) for name, value in base(case, a).items()}


@slip(
    "loss-mean-over-classes-too",
    "The mean is taken over the batch and the classes.",
    _LABELS,
)
def _loss_mean_over_classes_too(case: Case, a: Arrays, base: Base) -> Outputs:
    return {name: value / max(case["n"], 1) for name, value in base(case, a).items()}


@slip(
    "loss-divided-by-classes",
    "The sum over the batch is divided by the number of classes instead of the batch size.",
    _LABELS,
)
def _loss_divided_by_classes(case: Case, a: Arrays, base: Base) -> Outputs:
    factor = count(case, a) / max(case["n"], 1)
    return {name: value * factor for name, value in base(case, a).items()}


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


@slip(
    "loss-other-logarithm",
    "The logarithm is to base 2 or 10.",
    _COST,
    variants=({"to": 2.0}, {"to": 10.0}),
)
def _loss_other_logarithm(case: Case, a: Arrays, base: Base, to: float) -> Outputs:
    return {name: value / np.log(to) for name, value in base(case, a).items()}


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


@slip(
    "log-of-shifted-probability",
    "A small constant is added to the probability before the logarithm or the division.",
    _LOG,
    variants=tuple({"epsilon": e} for e in _EPSILON),
)
def _log_of_shifted_probability(case: Case, a: Arrays, base: Base, epsilon: float) -> Outputs:
    return base(case, a, epsilon=epsilon)


@slip(
    "labels-not-subtracted",
    "The one-hot labels are not subtracted: probs/m.",
    {"softmax_cross_entropy_backward": "dX"},
)
def _labels_not_subtracted(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"dX": base(case, a)["dX"] + target(case, a) / max(count(case, a), 1)}


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
