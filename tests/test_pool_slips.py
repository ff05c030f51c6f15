"""Faults in what a pool may be asked beyond its plain call are failed and called by their name."""

from types import SimpleNamespace

import numpy as np
import pytest

import cnnref
from conformance.bounds import Arithmetic
from conformance.case import Case
from conformance.implementation import Implementation
from conformance.judge import Judge

CASE = "pool_forward:f32:m2h8w11c5_"


def changed(**other):
    """`cnnref.pool_forward` with some hyperparameters taken for others."""

    def pool_forward(A_prev, hparameters, mode="max"):
        return cnnref.pool_forward(A_prev, dict(hparameters) | other, mode)

    return pool_forward


def strides_exchanged(A_prev, hparameters, mode="max"):
    """Windows in the right number, each in the wrong place."""
    right, cache = cnnref.pool_forward(A_prev, hparameters, mode)
    (f_h, f_w), (s_h, s_w) = hparameters["f"], hparameters["stride"]
    room = np.pad(A_prev, ((0, 0), (0, 99), (0, 99), (0, 0)), constant_values=-np.inf)
    A = np.empty_like(right)
    for i, j in np.ndindex(*A.shape[1:3]):
        A[:, i, j] = room[:, i * s_w : i * s_w + f_h, j * s_h : j * s_h + f_w].max((1, 2))
    return A, cache


def taps_side_by_side(A_prev, hparameters, mode="max"):
    right, cache = cnnref.pool_forward(A_prev, hparameters, mode)
    dense, _ = cnnref.pool_forward(A_prev, dict(hparameters) | {"dilation": 1}, mode)
    return dense[:, : right.shape[1], : right.shape[2]].copy(), cache


def padded_with_zero(A_prev, hparameters, mode="max"):
    p = hparameters["pad"]
    padded = np.pad(A_prev, ((0, 0), (p, p), (p, p), (0, 0)))
    return cnnref.pool_forward(padded, dict(hparameters) | {"pad": 0}, mode)


def divided_by_the_window(A_prev, hparameters, mode="max"):
    """The overhang of a last window is taken for zeros that count."""
    f, s = hparameters["f"], hparameters["stride"]
    padded = np.pad(A_prev, ((0, 0), (0, s), (0, s), (0, 0)))
    right, cache = cnnref.pool_forward(A_prev, hparameters, mode)
    A, _ = cnnref.pool_forward(padded, {"f": f, "stride": s}, mode)
    return A[:, : right.shape[1], : right.shape[2]].copy(), cache


FAULTS = [
    ("pool-border-counted-otherwise", changed(count_include_pad=True), "f3s2_average_p1_exclude:normal:1"),
    ("pool-border-counted-otherwise", changed(count_include_pad=False), "f3s2_average_p1:normal:1"),
    ("ceil-ignored", changed(ceil_mode=False), "f4s3_average_ceil:normal:1"),
    ("dilation-ignored", taps_side_by_side, "f3s1_max_d2:normal:1"),
    ("stride-exchanged", strides_exchanged, "f2x3s2x1_max:normal:1"),
    ("pool-padding-is-zero", padded_with_zero, "f3s2_max_p1:negative:1"),
    ("pool-overhang-counted", divided_by_the_window, "f4s3_average_ceil:normal:1"),
]


@pytest.mark.parametrize(("slip", "wrong", "case"), FAULTS, ids=[fault[2] for fault in FAULTS])
def test_a_fault_is_failed_and_named(slip, wrong, case):
    case = Case.parse(CASE + case)
    mine = SimpleNamespace(pool_forward=wrong)
    judge = Judge(Implementation("mine", mine, Arithmetic.declared(None, None), options=("*",)))
    (record,) = judge(case)
    assert (record.status, record.diagnosis) == ("failed", slip)
    (record,) = Judge(Implementation("cnnref", cnnref, Arithmetic.declared(None, None), options=("*",)))(case)
    assert record.status == "passed"
