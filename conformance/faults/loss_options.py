"""Faults of smoothed and ignored labels."""

from __future__ import annotations

import numpy as np

from conformance.cases.case import Case
from conformance.faults.catalogue import slip
from conformance.faults.core import Array, Arrays, Base, Outputs
from conformance.operations.cross_entropy import kept, onehot, smoothing, target

_LABELS = {
    "cross_entropy_cost": "loss",
    "cross_entropy_backward": "dAL",
    "softmax_cross_entropy_backward": "dX",
}


@slip("smoothing-ignored", "The labels are not smoothed.", _LABELS)
def _smoothing_ignored(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, aim=onehot)


@slip(
    "smoothing-over-other-classes",
    "The label keeps 1 - e, and the n - 1 other classes share e: the label has no part of it.",
    _LABELS,
)
def _smoothing_over_other_classes(case: Case, a: Arrays, base: Base) -> Outputs:
    def aim(case: Case, a: Arrays) -> Array:
        e, hot = smoothing(case), onehot(case, a)
        others = kept(case, a)[:, None] - hot
        return (1 - e) * hot + e / max(case["n"] - 1, 1) * others

    return base(case, a, aim=aim)


@slip("smoothing-label-not-lowered", "Every class is given e / n, and the label keeps 1 beside it.", _LABELS)
def _smoothing_label_not_lowered(case: Case, a: Arrays, base: Base) -> Outputs:
    def aim(case: Case, a: Arrays) -> Array:
        return target(case, a) + smoothing(case) * onehot(case, a)

    return base(case, a, aim=aim)


@slip(
    "smoothing-of-ignored-rows",
    "The part that all classes share is taken of rows with an ignored label too.",
    _LABELS,
)
def _smoothing_of_ignored_rows(case: Case, a: Arrays, base: Base) -> Outputs:
    def aim(case: Case, a: Arrays) -> Array:
        return target(case, a) + smoothing(case) / max(case["n"], 1) * ~kept(case, a)[:, None]

    return base(case, a, aim=aim)


@slip(
    "ignored-labels-in-the-mean",
    "The mean is over all rows, those with an ignored label among them.",
    _LABELS,
)
def _ignored_labels_in_the_mean(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, divisor=case["m"])


@slip("ignored-labels-counted", "Rows with an ignored label, a class, count like any other.", _LABELS)
def _ignored_labels_counted(case: Case, a: Arrays, base: Base) -> Outputs:
    if np.any((a["Y"] < 0) | (a["Y"] >= case["n"])):
        return {}
    return base(case.replace(ignore="none"), a)
