"""Faults in smoothed and ignored labels are failed and called by their name."""

from types import SimpleNamespace

import numpy as np
import pytest

import cnnref
from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.implementations.implementation import Implementation
from conformance.verdict.judge import Judge

#: (slip, the target t and the divisor of a row, parameters)
FAULTS = [
    ("smoothing-ignored", lambda hot, kept, e: (hot, kept.sum()), "m7n4_smooth0.25"),
    (
        "smoothing-over-other-classes",
        lambda hot, kept, e: ((1 - e) * hot + e / (hot.shape[1] - 1) * (kept[:, None] - hot), kept.sum()),
        "m7n4_smooth0.25",
    ),
    (
        "smoothing-share-of-fewer-classes",
        lambda hot, kept, e: ((1 - e) * hot + e / (hot.shape[1] - 1) * kept[:, None], kept.sum()),
        "m7n4_smooth0.25",
    ),
    (
        "smoothing-label-not-lowered",
        lambda hot, kept, e: (hot + e / hot.shape[1] * kept[:, None], kept.sum()),
        "m7n4_smooth0.25",
    ),
    (
        "smoothing-of-ignored-rows",
        lambda hot, kept, e: ((1 - e) * hot + e / hot.shape[1], kept.sum()),
        "m7n4_smooth0.25_ignore-100",
    ),
    (
        "ignored-labels-in-the-mean",
        lambda hot, kept, e: ((1 - e) * hot + e / hot.shape[1] * kept[:, None], len(kept)),
        "m7n4_ignore-100",
    ),
]


def functions(aim):
    """The three functions with a wrong target or divisor."""

    def weighed(AL, Y, label_smoothing, ignore_index):
        kept = np.ones(len(Y), bool) if ignore_index is None else ignore_index != Y
        hot = np.zeros(AL.shape)
        hot[np.flatnonzero(kept), Y[kept]] = 1
        return aim(hot, kept, label_smoothing)

    def cross_entropy_cost(AL, Y, label_smoothing=0, ignore_index=None):
        t, m = weighed(AL, Y, label_smoothing, ignore_index)
        terms = t[t != 0] * np.log(AL[t != 0])
        return float(-terms.sum() / m), (AL, Y)

    def cross_entropy_backward(cache, label_smoothing=0, ignore_index=None):
        AL, Y = cache
        t, m = weighed(AL, Y, label_smoothing, ignore_index)
        return np.where(t != 0, -t / (AL * m), 0).astype(AL.dtype)

    def softmax_cross_entropy_backward(cache, label_smoothing=0, ignore_index=None):
        AL, Y = cache
        t, m = weighed(AL, Y, label_smoothing, ignore_index)
        return (np.where((t != 0).any(1)[:, None], AL - t, 0) / m).astype(AL.dtype)

    found = (cross_entropy_cost, cross_entropy_backward, softmax_cross_entropy_backward)
    return {**{f.__name__: f for f in found}, "softmax": cnnref.softmax}


@pytest.mark.parametrize(
    "op", ["cross_entropy_cost", "cross_entropy_backward", "softmax_cross_entropy_backward"]
)
@pytest.mark.parametrize(("slip", "aim", "parameters"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_a_fault_is_failed_and_named(slip, aim, parameters, op):
    case = Case.parse(f"{op}:f32:{parameters}:missing:1")
    for target, wanted in ((SimpleNamespace(**functions(aim)), ("failed", slip)), (cnnref, ("passed", None))):
        implementation = Implementation("mine", target, Arithmetic.declared(None, None), options=("*",))
        (record,) = Judge(implementation)(case)
        assert (record.status, record.diagnosis) == wanted
