"""The run: correct code passes at every seed, each kind of wrong behaviour is one failed case."""

import json
import textwrap
from dataclasses import replace

import numpy as np
import pytest

from conformance.adapters import numpy_loops
from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.generation.generate import generate
from conformance.implementations.implementation import Implementation, LoadError, load
from conformance.operations import OPERATIONS, select
from conformance.report.summary import Summary, problems
from conformance.runs.options import Options
from conformance.runs.run import run
from conformance.runs.workers import Workers
from conformance.verdict.judge import Judge, Trial
from conformance.verdict.record import case_status

BOTH = ("f32", "f64")


def changed(**functions):
    """The NumPy adapter with some functions replaced, or taken out (None)."""
    target = type("Changed", (), {})()
    for name in OPERATIONS:
        function = functions.get(name, getattr(numpy_loops, name))
        if function is not None:
            setattr(target, name, function)
    return Implementation("changed", target, Arithmetic())


def judge(implementation, pattern, count=20, seed=0):
    judged = Judge(implementation)
    return [judged(case) for case in generate(select([pattern]), BOTH, count, seed)]


def failed(found):
    return {record.output for records in found for record in records if record.status == "failed"}


@pytest.mark.parametrize("seed", range(20))
def test_correct_code_raises_nothing(seed):
    judged = Judge(load("numpy_loops"))
    for case in generate(OPERATIONS.values(), BOTH, 12, seed):
        for record in judged(case):
            assert record.status == "passed", record.line()


def test_statuses_and_outputs_of_a_wrong_gradient():
    def conv_backward(dZ, cache):
        dA, dW, db = numpy_loops.conv_backward(dZ, cache)
        return dA, dW[::-1].copy(), db

    assert failed(judge(changed(conv_backward=conv_backward), "conv_backward")) == {"dW"}


@pytest.mark.filterwarnings("ignore")
def beyond(records):
    """Whether a case has options, which these implementations do not declare."""
    return Case.parse(records[0].case).beyond


def test_what_is_missing_is_absent_and_its_gradient_is_judged_all_the_same():
    implementation = changed(conv_forward=None, softmax=None, sigmoid=None, cross_entropy_cost=None)
    (status,) = {case_status(records) for records in judge(implementation, "conv_forward")}
    assert status == "absent"
    for pattern in ("conv_backward", "softmax_backward", "sigmoid_backward", "*cross_entropy_backward"):
        plain = [records for records in judge(implementation, pattern) if not beyond(records)]
        assert {case_status(records) for records in plain} == {"passed"}


def test_an_exception_is_a_failure_with_its_text():
    def relu(Z):
        return int("row 7\nof 3"), Z

    records = judge(changed(relu=relu), "relu", 1)[0]
    assert records[0].status == "failed"
    assert records[0].reason.startswith("raised ValueError: invalid literal for int() with base 10: 'row 7")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda Z: np.maximum(Z, 0), "returned one array of shape .*, expected .A, cache."),
        (lambda Z: (np.maximum(Z, 0).astype(np.complex64), Z), "dtype is complex64, expected"),
        (lambda Z: (np.repeat(np.maximum(Z, 0), 2, 0), Z), "shape is"),
        (lambda Z: (Z.tolist(), Z), "is a list, expected a NumPy array"),
    ],
)
def test_an_answer_of_another_form_is_a_failure(answer, reason):
    records = judge(changed(relu=answer), "relu", 1)[0]
    assert records[0].status == "failed"
    assert __import__("re").search(reason, records[0].reason)


def test_an_input_changed_in_place_is_a_failure():
    def relu(Z):
        return np.maximum(Z, 0, out=Z), Z

    found = judge(changed(relu=relu), "relu")
    assert any("changed its input Z" in records[0].reason for records in found)


def test_memory_that_was_never_written_is_a_failure():
    def pad3d(input, stride=1):
        m, h, w, c = input.shape
        output = np.empty((m, h + 2 * stride, w + 2 * stride, c), input.dtype)
        output[:, stride : stride + h, stride : stride + w] = input
        return output

    assert failed(judge(changed(pad3d=pad3d), "pad3d")) == {"output"}


def test_outputs_are_allocated_over_nan():
    def pad3d(input, stride=1):
        return np.empty((1, 4, 5, 4), input.dtype)

    trial = Trial(changed(pad3d=pad3d), Case.parse("pad3d:f32:m1h2w3c4_p1:small:0"))
    assert np.isnan(trial.outcome.outputs["output"]).all()


def test_bits_that_change_between_calls_are_a_failure():
    calls = []

    def softmax(X):
        calls.append(1)
        probs, cache = numpy_loops.softmax(X)
        return np.nextafter(probs, X.dtype.type(len(calls) % 2)), cache

    found = [r for records in judge(changed(softmax=softmax), "softmax", 60) for r in records]
    assert any("it gave different bits" in r.reason for r in found if r.diagnosis == "nondeterministic")


def suspected(trial):
    return trial._right.verdict("dA_prev", trial.outcome.outputs["dA_prev"]).suspect


def test_a_statistical_suspicion_is_confirmed_with_fresh_data():
    case = Case.parse("affine_backward:f32:m5i3o65:normal:1")

    def biased(dZ, cache):
        dA, dW, db = numpy_loops.affine_backward(dZ, cache)
        terms = 65 * 2.0**-24 * (np.abs(dZ).astype(np.float64) @ np.abs(cache[1]).T.astype(np.float64))
        return (dA + 0.9 * terms).astype(np.float32), dW, db

    trial = Trial(changed(affine_backward=biased), case)
    assert suspected(trial)
    assert trial.records(None)[0].status == "failed"

    calls = []

    def once(dZ, cache):
        calls.append(1)
        return (biased if len(calls) == 1 else numpy_loops.affine_backward)(dZ, cache)

    trial = Trial(changed(affine_backward=once), case)
    assert suspected(trial)
    assert trial.records(None)[0].status == "passed"


@pytest.fixture
def module(tmp_path):
    """Writes a module under test beside the NumPy adapter's functions."""

    def write(text):
        path = tmp_path / "kernels.py"
        path.write_text("from conformance.adapters.numpy_loops import *\n" + textwrap.dedent(text))
        return str(path)

    return write


def test_a_process_that_dies_is_one_failed_case(module, tmp_path):
    path = module(
        """
        import os
        inner = relu
        def relu(Z):
            if Z.shape[-1] == 9:
                os.abort()
            return inner(Z)
        """
    )
    result = run(Options(path, ("relu",), BOTH, 30, 0), tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    cases = [str(case) for case in generate(select(["relu"]), BOTH, 30, 0)]
    assert [line["case"] for line in lines] == cases
    dead = [line for line in lines if line["status"] == "failed"]
    assert dead
    assert all("c9" in line["case"] and "SIGABRT" in line["reason"] for line in dead)
    assert result.summary["failed"] == len(dead)
    assert result.summary["passed"] == 60 - len(dead)


def test_a_call_that_hangs_is_one_failed_case(module):
    path = module(
        """
        import time
        inner = relu
        def relu(Z):
            if Z.shape[-1] == 9:
                time.sleep(3600)
            return inner(Z)
        """
    )
    cases = [Case.parse(f"relu:f32:m2h3w4c{c}:small:0") for c in (5, 9, 8)]
    found = {str(case): records[0] for _, case, records in Workers(path, 1, time_limit=8.0).judge(cases)}
    assert [found[str(case)].status for case in cases] == ["passed", "failed", "passed"]
    assert found[str(cases[1])].reason.startswith("no answer within 8 seconds")


def test_two_runs_write_the_same_lines(tmp_path):
    options = Options("numpy_loops", ("conv_backward", "softmax"), BOTH, 60, 3)
    for name in "ab":
        assert run(options, tmp_path / name).agrees
    first, second = ((tmp_path / name / "results.jsonl").read_bytes() for name in "ab")
    assert first == second
    assert first.count(b"\n") == 2 * 60 * (3 + 1)


def test_a_module_that_cannot_be_loaded_is_said_so():
    for spec, reason in (
        ("no.such.module", "no such module"),
        ("no_such_file.py", "no such file"),
        ("json", "none of the functions"),
        ("numpy:nothing", "has no attribute 'nothing'"),
    ):
        with pytest.raises(LoadError, match=reason):
            load(spec)


def test_attribute_of_a_file(module):
    path = module("class kernels:\n    precision = 'tf32'\n    relu = staticmethod(relu)\n")
    found = load(f"{path}:kernels")
    assert (found.has("relu"), found.has("sigmoid"), found.arithmetic.name) == (True, False, "tf32")


def summed(found):
    summary = Summary()
    for records in found:
        summary.add(Case.parse(records[0].case), records)
    return summary


ABOUT = {"implementation": "x", "versions": {}, "oracle": "", "seed": 0}


def test_summary_adds_up_or_stops():
    summary = summed(judge(load("numpy_loops"), "relu", 5))
    found = summary.to_dict(listed=10, **ABOUT)
    assert (found["passed"], found["failed"], found["absent"]) == (10, 0, 0)
    assert found["operations"]["relu"]["A"]["cases"] == 10
    with pytest.raises(AssertionError, match="11 cases were listed"):
        summary.to_dict(listed=11, **ABOUT)


def test_a_run_that_compared_nothing_proves_nothing():
    summary = summed(judge(changed(relu=None), "relu", 5))
    assert problems(summary) == [
        "Nothing was compared: the implementation has none of the operations asked for."
    ]


def test_an_implementation_that_refuses_everything_has_the_operation(tmp_path):
    path = tmp_path / "refuses.py"
    path.write_text("def relu(Z):\n    raise NotImplementedError('this one not')\n")
    summary = summed(judge(load(str(path)), "relu", 5))
    assert problems(summary) == ["Nothing was compared: the implementation refused every case."]


def test_what_is_not_declared_is_named_where_nothing_was_compared():
    only_half = replace(changed(), dtypes=("f16",))
    (sentence,) = problems(summed(judge(only_half, "relu", 5)))
    assert "the implementation declares no dtype f32 and no dtype f64 (" in sentence


def test_a_run_that_could_not_have_shown_a_fault_proves_nothing():
    empty = [Case.parse("conv_forward:f32:m0h5w4c3_f2k6_s1p0:normal:0")]
    summary = summed([Judge(load("numpy_loops"))(case) for case in empty])
    (sentence,) = problems(summary)
    assert sentence.startswith("No case of conv_forward.Z could have shown a dropped term")


def test_blind_cases_are_those_that_no_exact_case_covers():
    judged = Judge(load("numpy_loops"))
    records = judged(Case.parse("affine_forward:f32:m2i40o3:normal:1"))
    dim = [record.but(detectability=0.5) for record in records]
    summary = summed([dim])
    assert summary.blind == 1
    case = Case.parse("affine_forward:f32:m2i5o3:small:1")
    summary.add(case, judged(case))
    assert summary.blind == 0
