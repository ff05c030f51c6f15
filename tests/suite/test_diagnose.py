"""The diagnosis: it names a slip that explains the data exactly, and never guesses."""

from __future__ import annotations

import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from slip_support import cases, doubles

from conformance.cases.case import Case
from conformance.cases.dtypes import finfo
from conformance.diagnosis.circumstances import circumstances
from conformance.diagnosis.history import History
from conformance.faults import CATALOGUE
from conformance.faults.core import reference
from conformance.faults.diagnose import (
    DTYPE_NOT_KEPT,
    INPUT_MODIFIED,
    SEARCHES,
    UNEXPLAINED,
    Diagnoser,
    diagnose,
)
from conformance.generation.arrays import draw
from conformance.generation.generate import generate
from conformance.implementations.implementation import here, of_object
from conformance.operations import OPERATIONS
from conformance.verdict.judge import Judge, Trial


def wrong(case: Case, name: str, output: str) -> np.ndarray:
    """What a slip gives, in the dtype of the case."""
    with np.errstate(all="ignore"):
        return next(CATALOGUE[name].outputs(case, doubles(draw(case))))[output].astype(case.numpy_dtype)


def test_two_faults_that_show_on_different_data_are_named_each() -> None:
    """``dA * (cache >= 0)`` lets the gradient pass at 0 and stops it at NaN."""
    target = of_object("relu", SimpleNamespace(relu_backward=lambda dA, cache: dA * (cache >= 0)))
    judge = Judge(target)
    cases = (case for case in generate([OPERATIONS["relu_backward"]], ["f32", "f64"], 90, 5))
    found = {
        (Case.parse(r.case).family, r.diagnosis) for c in cases for r in judge(c) if r.status == "failed"
    }
    assert {"zeros", "nan"} <= {family for family, _ in found}
    assert {why for family, why in found if family == "nan"} == {"relu-nan-becomes-zero"}
    assert {why for family, why in found if family != "nan"} == {"relu-gradient-at-zero"}


def test_a_fault_that_meets_another_on_further_data_keeps_its_name() -> None:
    """The exponential of the wrong sign overflows as well, where the numbers are large: not in this case."""

    def sigmoid(Z):
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(Z)), Z

    (record,) = Judge(of_object("sigmoid", SimpleNamespace(sigmoid=sigmoid)))(
        Case.parse("sigmoid:f32:m2h2w2c2:normal:0")
    )
    assert record.diagnosis == "sigmoid-of-minus-z"


def test_arithmetic_that_takes_subnormals_for_zero_is_named_as_such() -> None:
    """As XLA's: in silu the exponential is flushed, too, and a relu's gradient is that at 0."""

    def flushed(v):
        return np.where(np.abs(v) < finfo(v.dtype).tiny, np.copysign(v.dtype.type(0), v), v)

    def silu(Z):
        with np.errstate(all="ignore"):
            z = flushed(Z)
            s = flushed(1 / (1 + flushed(np.exp(-z))))
            return flushed(z * s), Z

    def relu_backward(dA, cache):
        z = flushed(cache)
        half = np.where(z == 0, dA.dtype.type(0.5), z > 0)
        return np.where(np.isnan(z), dA, half.astype(dA.dtype) * dA)

    target = of_object("flushed", SimpleNamespace(silu=silu, relu_backward=relu_backward))
    for op, fault in (("silu", "silu-tail-flushed"), ("relu_backward", "relu-gradient-half-at-zero")):
        judge = Judge(target)
        cases = list(generate([OPERATIONS[op]], ["f32", "f64"], 40, 0))
        failed = [r for case in cases for r in judge(case) if r.status == "failed"]
        assert failed
        assert {r.diagnosis for r in failed} <= {fault, "subnormals-flushed"}
        history = History()
        for case in cases:
            for record in judge(case):
                history.add(record)
        first = next(r for r in failed if r.diagnosis == fault)
        assert "elements" not in circumstances(partial(Trial, target), first, history).sentence()


def test_without_rerun_only_an_unambiguous_slip_is_named() -> None:
    case = Case.parse("conv_forward:f32:m2h9w7c3_f2k4_s2p1:small:17")
    arrays = draw(case)
    expected = reference(case, doubles(arrays))["Z"]
    assert diagnose(case, arrays, "Z", wrong(case, "filter-flipped", "Z"), expected) == "filter-flipped"
    # One channel in: the bias is added f*f times in both.
    single = Case.parse("conv_forward:f32:m2h9w7c1_f3k4_s2p1:small:17")
    arrays = draw(single)
    expected = reference(single, doubles(arrays))["Z"]
    got = wrong(single, "conv-bias-per-tap", "Z")
    assert diagnose(single, arrays, "Z", got, expected) == UNEXPLAINED

    def rerun(more: Case) -> dict[str, np.ndarray]:
        return {"Z": wrong(more, "conv-bias-per-tap", "Z")}

    assert diagnose(single, arrays, "Z", got, expected, rerun=rerun) == "conv-bias-per-tap"


def test_coincidence_on_one_case_is_not_named() -> None:
    case = Case.parse("affine_forward:f32:m2i3o4:small:5")
    arrays = draw(case)
    expected = reference(case, doubles(arrays))["Z"]
    got = wrong(case, "bias-forgotten", "Z")

    def unlike(more: Case) -> dict[str, np.ndarray]:
        return {"Z": 3 * reference(more, doubles(draw(more)))["Z"]}

    assert diagnose(case, arrays, "Z", got, expected) == "bias-forgotten"
    assert diagnose(case, arrays, "Z", got, expected, rerun=unlike) == UNEXPLAINED


@pytest.mark.parametrize("got", [None, np.array(["text"]), np.zeros((1, 2)), np.zeros((2, 9, 7, 3), complex)])
def test_no_numbers_or_another_shape_are_unexplained(got: np.ndarray | None) -> None:
    case = Case.parse("relu:f32:m2h9w7c3:small:5")
    arrays = draw(case)
    assert diagnose(case, arrays, "A", got, reference(case, doubles(arrays))["A"]) == UNEXPLAINED


@pytest.mark.parametrize("family", ["small", "normal"])
def test_one_wrong_number_is_unexplained(family: str) -> None:
    case = Case.parse(f"conv_backward:f32:m2h9w7c3_f2k4_s2p1:{family}:17")
    arrays = draw(case)
    for output, expected in reference(case, doubles(arrays)).items():
        for name in ("filter-flipped", "upstream-ignored", "gradient-divided-by-m"):
            if not CATALOGUE[name].applies(case.op, output):
                continue
            got = wrong(case, name, output)
            assert diagnose(case, arrays, output, got, expected) == name
            got.flat[got.size // 2] += 1
            assert diagnose(case, arrays, output, got, expected) == UNEXPLAINED


def test_rounding_is_no_slip() -> None:
    case = Case.parse("conv_forward:f32:m2h9w7c3_f2k4_s2p1:normal:17")
    arrays = draw(case)
    # The last channel is less than the rounding error: that it is not in the sum cannot be told.
    arrays["W"][:, :, -1] *= 1e-9
    expected = reference(case, doubles(arrays))["Z"]
    got = (expected * (1 + 2.0**-23)).astype(np.float32)
    assert diagnose(case, arrays, "Z", got, expected) == UNEXPLAINED


def test_right_numbers_with_another_fault() -> None:
    case = Case.parse("relu:f32:m2h9w7c3:small:5")
    arrays = draw(case)
    right = reference(case, doubles(arrays))["A"]
    assert diagnose(case, arrays, "A", right.astype(np.float32), right, modified=True) == INPUT_MODIFIED
    assert diagnose(case, arrays, "A", right, right) == DTYPE_NOT_KEPT
    assert diagnose(case, arrays, "A", -right, right, modified=True) == "sign-flipped"
    case = Case.parse("relu:f32:m1h1w1c1:nan:0")
    # NaN less NaN is NaN, as if the second call had added the right result to the first.
    nan = np.full((1, 1, 1, 1), np.nan)
    assert diagnose(case, draw(case), "A", nan, nan, rerun=lambda more: {"A": nan}) == DTYPE_NOT_KEPT


def test_conventions_of_the_post_that_meet_in_one_output() -> None:
    case = Case.parse("affine_activation_backward:f32:m3i5o4_relu:small:5")
    arrays = draw(case)
    arrays["A_prev"] = np.abs(arrays["A_prev"])
    arrays["W"], arrays["b"] = np.abs(arrays["W"]), np.zeros_like(arrays["b"])
    right = reference(case, doubles(arrays))["dW"]

    def post() -> np.ndarray:
        z = arrays["A_prev"] @ arrays["W"] + arrays["b"]
        return arrays["A_prev"].T @ (arrays["dA"] * (z >= 0)) / np.float32(3)

    assert diagnose(case, arrays, "dW", post(), right) == "gradient-divided-by-m"
    # Z[0, 1] = 0: now neither convention alone explains dW.
    arrays["A_prev"][0] = 1
    arrays["W"][:, 1] = (1, -1, 1, -1, 0)
    right = reference(case, doubles(arrays))["dW"]
    both = diagnose(case, arrays, "dW", post(), right)
    assert set(both.split("+")) == {"relu-gradient-at-zero", "gradient-divided-by-m"}


def test_thousands_of_failures_take_seconds() -> None:
    """Established slips are tried first, and fruitless searches end."""
    some = [c for c in cases("conv_backward", 30) if c.family == "small"]
    reruns = 0

    def rerun(more: Case) -> dict[str, np.ndarray]:
        nonlocal reruns
        reruns += 1
        return {"dW": wrong(more, "filter-flipped", "dW")}

    named, nameless = Diagnoser(rerun), Diagnoser(rerun)
    found: list[str] = []
    begin = time.monotonic()
    for number in range(500):
        case = some[number % len(some)]
        arrays = draw(case)
        expected = reference(case, doubles(arrays))["dW"]
        found.append(named.diagnose(case, arrays, "dW", wrong(case, "filter-flipped", "dW"), expected))
        got = np.sqrt(np.abs(expected) + 1)
        assert nameless.diagnose(case, arrays, "dW", got, expected) == UNEXPLAINED
    assert time.monotonic() - begin < 20
    assert set(found) == {"filter-flipped"}
    assert reruns <= 10 + 2 * SEARCHES


@pytest.mark.filterwarnings("ignore::cnnref.ProbabilityWarning")
def test_what_is_named_in_a_batch_does_not_depend_on_the_batches_before() -> None:
    """A worker has judged others, or none: whatever it was, a run has the same bytes."""
    op = "softmax_cross_entropy_backward"

    def named(judge: Judge, dtype: str) -> list[str | None]:
        judge.forget()
        cases = [case for case in generate([OPERATIONS[op]], [dtype], 20, 0) if not case.beyond]
        return [record.diagnosis for case in cases for record in judge(case)]

    after, alone = Judge(here("cnnref.blog")), Judge(here("cnnref.blog"))
    assert set(named(after, "f32")) > {None}
    assert named(after, "f64") == named(alone, "f64")
