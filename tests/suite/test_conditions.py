"""Conditions: found where there is one, with what passes outside of it, and none where there is none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from conformance.adapters import numpy_loops
from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.cases.window import window_of
from conformance.diagnosis.circumstances import circumstances
from conformance.diagnosis.findings import find
from conformance.faults.conditions import condition
from conformance.generation.generate import generate
from conformance.implementations.implementation import Implementation
from conformance.operations import OPERATIONS
from conformance.verdict.judge import Judge, Trial


def divided(op: str, fails: Callable[[Case], bool], count: int = 120) -> tuple[list[Case], list[Case]]:
    """The cases of a run by a fault that shows under a condition alone."""
    cases = list(generate([OPERATIONS[op]], ["f32", "f64"], count, 3))
    return [c for c in cases if fails(c)], [c for c in cases if not fails(c)]


@pytest.mark.parametrize(
    ("op", "fails", "text"),
    [
        ("relu", lambda c: c["h"] != c["w"], "only where h differs from w"),
        ("relu", lambda c: c.dtype == "f32", "only in f32"),
        ("pool_forward", lambda c: c.word("mode") == "average", "only with mode average"),
        ("conv_forward", lambda c: c["g"] > 1, "only with groups"),
        ("conv_forward", lambda c: c.value("p") == "same", "only with pad same"),
        ("affine_forward", lambda c: c["i"] % 2 == 1, "only where the inputs are odd in number"),
    ],
)
def test_the_condition_is_found(op: str, fails: Callable[[Case], bool], text: str) -> None:
    failed, passed = divided(op, fails)
    found = condition(failed, passed)
    assert found is not None
    assert found.text == text
    assert (found.failed, found.within) == (len(failed), len(failed))
    assert all(map(found.holds, failed))
    assert not any(map(found.holds, passed[:50]))


def test_two_together_and_a_bound() -> None:
    failed, passed = divided("conv_forward", lambda c: c["g"] > 1 and c.value("s") == 2, 300)
    found = condition(failed, passed)
    assert found is not None
    assert found.text == "only with groups and stride 2"
    failed, passed = divided("softmax", lambda c: c["n"] >= 17)
    found = condition(failed, passed)
    assert found is not None
    assert found.text.startswith("only from 17 classes on")


def test_a_tail_that_is_full_but_for_one() -> None:
    failed, passed = divided("conv_forward", lambda c: window_of(c).columns.outputs % 8 == 7, 300)
    found = condition(failed, passed)
    assert found is not None
    assert found.text == "only where the output columns are one short of a multiple of 8"
    failed, passed = divided("softmax", lambda c: c["n"] == 65, 300)
    found = condition(failed, passed)
    assert found is not None
    assert found.text == "only with 65 classes"


def test_a_bound_on_the_pixels_of_an_image() -> None:
    failed, passed = divided("global_average_pool_forward", lambda c: c["h"] * c["w"] > 64, 300)
    found = condition(failed, passed)
    assert found is not None
    assert found.text.startswith("only from ")
    assert "pixels of an image on" in found.text


def test_nothing_is_said_where_all_fails_or_chance_decides() -> None:
    failed, passed = divided("relu", lambda c: True)
    assert condition(failed, passed) is None
    failed, passed = divided("relu", lambda c: hash(str(c.seed * 7919 % 101)) % 2 == 0)
    found = condition(failed, passed)
    assert found is None or found.failed < found.within


def named(**functions: Any) -> Implementation:
    return Implementation("x", SimpleNamespace(**functions), Arithmetic.declared(None, None))


def test_a_bound_is_sharpened_by_the_smallest_case() -> None:
    def relu(Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        A = np.maximum(Z, 0)
        if Z.shape[3] > 12:
            A[..., 12:] = 0.5
        return A, Z

    target = named(relu=relu)
    (record,) = Judge(target)(Case.parse("relu:f32:m2h3w5c40:normal:17"))
    assert "from 13 input channels on" in find(target, record).condition


def test_a_case_that_fails_from_a_certain_call_on_is_said_so() -> None:
    calls = []

    def tanh(Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        A, cache = numpy_loops.tanh(Z)
        calls.append(1)
        if len(calls) > 4:
            A.reshape(-1)[:1] += 1
        return A, cache

    target = named(tanh=tanh)
    case = Case.parse("tanh:f32:m2h3w5c4:normal:17")
    judge = Judge(target)
    records = [record for _ in range(6) for record in judge(case)]
    record = next(r for r in records if r.status == "failed")
    calls.clear()
    found = circumstances(partial(Trial, target), record, None)
    assert found.sentence().startswith("only from call ")


def test_a_known_fault_under_a_condition_is_named_and_the_condition_with_it() -> None:
    def conv_backward(dZ: np.ndarray, cache: Any) -> Any:
        dA, dW, db = numpy_loops.conv_backward(dZ, cache)
        groups, stride = cache.hparameters.get("groups", 1), cache.hparameters["stride"]
        if groups > 1 and stride != 1:
            k = cache.W.shape[3] // groups
            other = cache._replace(W=np.tile(cache.W[..., :k], groups))
            dA = numpy_loops.conv_backward(dZ, other)[0]
        return dA, dW, db

    functions = {n: v for n, v in vars(numpy_loops).items() if not n.startswith("_")}
    module = SimpleNamespace(**{**functions, "conv_backward": conv_backward})
    target = Implementation("x", module, Arithmetic.declared(None, None), options=("*",))
    judge = Judge(target)
    case = Case.parse("conv_backward:f32:m2h9w7c6_f3k4_s2p1_g2:normal:17")
    record = next(r for r in judge(case) if r.status == "failed")
    assert (record.output, record.diagnosis) == ("dA_prev", "filter-of-the-first")
    sentence = find(target, record).condition
    assert "groups" in sentence
    assert "stride" in sentence


def test_two_bounds_that_meet_are_the_number() -> None:
    cases = list(generate([OPERATIONS["relu"]], ["f32"], 60, 0))
    seven = [case for case in cases if case["c"] == 7]
    found = condition(seven, [case for case in cases if case["c"] != 7])
    assert found is not None
    assert found.text == "only with 7 input channels"


@pytest.mark.parametrize("op", ["softmax", "relu", "affine_forward"])
@pytest.mark.parametrize("count", [30, 60])
def test_some_that_pass_above_all_failures_are_no_upper_bound(op: str, count: int) -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        cases = [c for c in generate([OPERATIONS[op]], ["f32", "f64"], count, seed) if rng.random() < 0.25]
        failed = [c for c in cases if c.dtype == "f32" and rng.random() < 0.55]
        found = condition(failed, [c for c in cases if c not in failed])
        assert found is None or "up to" not in found.text, found
