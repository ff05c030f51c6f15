"""Shrinking: the same failure, smaller, in time."""

from __future__ import annotations

import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.diagnosis.shrink import Same, manner, shrink
from conformance.generation.generate import generate
from conformance.implementations.implementation import Implementation
from conformance.operations import OPERATIONS
from conformance.verdict.judge import Judge, Trial
from tests.planted import FAULTS, implementation

pytestmark = pytest.mark.filterwarnings("ignore:Mean of empty slice")

#: Seconds in which a failing case has to be shrunk.
LIMIT = 5.0


def named(fault):
    return Implementation(str(fault), implementation(fault), Arithmetic.declared(None, None))


def first_failure(target, op, dtype, diagnosis):
    judge = Judge(target)
    for case in generate([OPERATIONS[op]], [dtype], 160, 5):
        for record in judge(case):
            if record.status == "failed" and record.diagnosis == diagnosis:
                return record
    raise AssertionError(f"{op} did not fail with {diagnosis}")


@pytest.mark.parametrize("fault", FAULTS[::4], ids=str)
def test_a_planted_fault_shrinks_and_fails_in_the_same_way(fault):
    target = named(fault)
    record = first_failure(target, fault.op, fault.dtype, fault.slip)
    started = time.monotonic()
    small = shrink(partial(Trial, target), record)
    assert time.monotonic() - started < LIMIT
    assert Same(partial(Trial, target), record)(small)
    before = Case.parse(record.case)
    usual = {name: option.default for name, option in before.operation.option.items()}  # as hard tanh's -1 is
    for name, value in before.params:  # an option of a whole number may be of another again
        if isinstance(value, int):
            assert small.value(name) in (value, usual.get(name)) or small.value(name) < value


def failing_from(least, op="relu"):
    """relu that is wrong from so many channels on."""

    def relu(Z):
        A = np.maximum(Z, 0)
        if Z.shape[3] >= least:
            A[..., least - 1 :] += 1
        return A, Z

    return Implementation("x", SimpleNamespace(relu=relu), Arithmetic.declared(None, None))


def test_the_smallest_case_is_found_and_no_smaller_one_fails():
    target = failing_from(7)
    (record,) = Judge(target)(Case.parse("relu:f32:m5h6w9c33:normal:17"))
    small = shrink(partial(Trial, target), record)
    assert str(small).startswith("relu:f32:m1h1w1c7:")
    assert small.seed == 0
    assert not Same(partial(Trial, target), record)(small.replace(c=6))


def test_a_window_shrinks_with_the_image_around_it():
    fault = next(f for f in FAULTS if str(f) == "conv_backward-filter_turned_once_too_often")
    target = named(fault)
    record = next(
        r
        for r in Judge(target)(Case.parse("conv_backward:f32:m3h9w11c4_f5k7_s2p2:small:1"))
        if r.output == "dA_prev"
    )
    small = shrink(partial(Trial, target), record)
    assert (small["m"], small["c"], small["k"]) == (1, 1, 1)
    assert small["f"] == 2
    assert small["h"] * small["w"] <= 4


def test_another_manner_of_failing_is_not_the_same():
    def relu(Z):
        if Z.shape[3] < 4:
            raise ValueError("too few channels")
        return np.maximum(Z, 0) + (Z.shape[3] > 8), Z

    target = Implementation("x", SimpleNamespace(relu=relu), Arithmetic.declared(None, None))
    (record,) = Judge(target)(Case.parse("relu:f32:m2h3w4c12:normal:1"))
    assert manner(record) == "values"
    assert shrink(partial(Trial, target), record)["c"] == 9
    (raised,) = Judge(target)(Case.parse("relu:f32:m2h3w5c3:normal:1"))
    assert (manner(raised), raised.diagnosis) == ("raised ValueError: too few channels", "raised-ValueError")
    assert shrink(partial(Trial, target), raised)["c"] == 1


def test_time_that_is_up_ends_it():
    target = failing_from(7)
    (record,) = Judge(target)(Case.parse("relu:f32:m5h6w9c33:normal:17"))
    assert str(shrink(partial(Trial, target), record, seconds=0.0)) == record.case
