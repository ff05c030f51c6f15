"""Faults of smoothed and ignored labels."""

from __future__ import annotations

import numpy as np

from conformance.cases.case import Case
from conformance.faults.catalogue import slip
from conformance.faults.core import Array, Arrays, Base, Outputs
from conformance.faults.rows import option
from conformance.operations.cross_entropy import kept, onehot, smoothing, target

_LABELS = {
    "cross_entropy_cost": "loss",
    "cross_entropy_backward": "dAL",
    "softmax_cross_entropy": "loss",
    "softmax_cross_entropy_backward": "dX",
}

option("smoothing-ignored", "The labels are not smoothed.", _LABELS, aim=onehot)


def _other_classes(case: Case, a: Arrays) -> Array:
    e, hot = smoothing(case), onehot(case, a)
    others = kept(case, a)[:, None] - hot
    return (1 - e) * hot + e / max(case["n"] - 1, 1) * others


option(
    "smoothing-over-other-classes",
    "The label keeps 1 - e, and the n - 1 other classes share e: the label has no part of it.",
    _LABELS,
    aim=_other_classes,
)
option(
    "smoothing-share-of-fewer-classes",
    "Every class is given e / (n - 1) instead of e / n.",
    _LABELS,
    aim=lambda case, a: (
        (1 - smoothing(case)) * onehot(case, a)
        + smoothing(case) / max(case["n"] - 1, 1) * kept(case, a)[:, None]
    ),
)
option(
    "smoothing-label-not-lowered",
    "Every class is given e / n, and the label keeps 1 beside it.",
    _LABELS,
    aim=lambda case, a: target(case, a) + smoothing(case) * onehot(case, a),
)
option(
    "smoothing-of-ignored-rows",
    "The part that all classes share is taken of rows with an ignored label too.",
    _LABELS,
    aim=lambda case, a: target(case, a) + smoothing(case) / max(case["n"], 1) * ~kept(case, a)[:, None],
)
option(
    "ignored-labels-in-the-mean",
    "The mean is over all rows, those with an ignored label among them.",
    _LABELS,
    of=lambda case, a: {"divisor": case["m"]},
)


@slip(
    "all-ignored-is-no-mean",
    "Where all labels are ignored the loss is 0 instead of the mean of nothing, or the gradient is NaN.",
    _LABELS,
)
def _all_ignored_is_no_mean(case: Case, a: Arrays, base: Base) -> Outputs:
    if kept(case, a).any() or not len(a["Y"]):
        return {}
    return {
        name: np.full(value.shape, 0.0 if name == "loss" else np.nan) for name, value in base(case, a).items()
    }


@slip("ignored-labels-counted", "Rows with an ignored label, a class, count like any other.", _LABELS)
def _ignored_labels_counted(case: Case, a: Arrays, base: Base) -> Outputs:
    if np.any((a["Y"] < 0) | (a["Y"] >= case["n"])):
        return {}
    return base(case.replace(ignore="none"), a)
