"""What is kept between calls, or changed before them: named, and shown by the line that a run prints."""

import contextlib
import io
import subprocess
import sys

import pytest

from conformance.cases.case import Case
from conformance.commands import cli
from conformance.diagnosis.findings import find
from conformance.faults.conditions import condition
from conformance.generation.generate import generate
from conformance.implementations.implementation import load
from conformance.operations import OPERATIONS
from conformance.report.text import rerun
from conformance.verdict.again import first_failing
from conformance.verdict.judge import Judge

#: Gradients that add up from call to call, as without ``zero_grad``.
ADDING = """
_sums = {}

def affine_forward(A_prev, W, b):
    return A_prev @ W + b, (A_prev, W, b)

def affine_backward(dZ, cache):
    A_prev, W, b = cache
    _sums[W.shape, W.dtype] = _sums.get((W.shape, W.dtype), 0) + A_prev.T @ dZ
    return dZ @ W.T, _sums[W.shape, W.dtype], dZ.sum(0, keepdims=True)
"""

#: A forward function that writes into what it was given, which is in the cache.
WRITING = """
def affine_forward(A_prev, W, b):
    Z = A_prev @ W + b
    A_prev += 1
    return Z, (A_prev, W, b)

def affine_backward(dZ, cache):
    A_prev, W, b = cache
    return dZ @ W.T, A_prev.T @ dZ, dZ.sum(0, keepdims=True)
"""

#: Wrong in the third of different shapes alone: no two calls of one case show it.
THIRD = """
_shapes = set()

def affine_forward(A_prev, W, b):
    _shapes.add(A_prev.shape)
    return A_prev @ W + b + (len(_shapes) > 2), (A_prev, W, b)
"""


def module(folder, text):
    path = folder / "kept.py"
    path.write_text(text)
    return str(path)


@pytest.fixture
def adding(tmp_path):
    return module(tmp_path, ADDING)


def records(spec, op, count=40):
    implementation = load(spec)
    with contextlib.closing(implementation):
        judge = Judge(implementation)
        cases = generate([OPERATIONS[op]], ["f32"], count, 0)
        return [r for case in cases for r in judge(case) if r.status == "failed"]


def test_gradients_that_add_up_have_their_name(adding):
    found = records(adding, "affine_backward")
    assert {r.output for r in found} == {"dW"}
    names = [r.diagnosis for r in found if Case.parse(r.case)["m"]]
    assert len(names) > 5
    assert names.count("accumulator-kept-between-calls") > 0.9 * len(names)
    assert "nondeterministic" not in names


def test_the_line_of_what_adds_up_fails_and_says_which_call(adding, tmp_path):
    case, out, said = "affine_backward:f32:m2i3o2:small:1", tmp_path / "shows.py", io.StringIO()
    with contextlib.redirect_stdout(said):
        assert cli.main(["repro", case, "--impl", adding, "--script", str(out)]) == 1
    text = said.getvalue()
    assert "call 2          the first of the process is right" in text
    assert "diagnosis: accumulator-kept-between-calls." in text
    assert "instead of once" not in text, "the terms of a sum over calls say nothing"
    done = subprocess.run([sys.executable, str(out)], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 1, done.stderr


def test_the_line_of_what_is_right_passes(tmp_path, capsys):
    right = module(tmp_path, WRITING.replace("    A_prev += 1\n", ""))
    assert cli.main(["repro", "affine_backward:f32:m2i3o2:small:0", "--impl", right]) == 0
    assert "call " not in capsys.readouterr().out


def test_what_other_cases_leave_behind_is_shown_by_the_run(tmp_path):
    spec = module(tmp_path, THIRD)
    with contextlib.closing(load(spec)) as implementation:
        judge = Judge(implementation)
        for m in (1, 2, 3):
            (record,) = judge(Case.parse(f"affine_forward:f32:m{m}i3o2:small:0"))
        assert (record.status, record.diagnosis) == ("failed", "depends-on-earlier-calls")
        finding = find(implementation, record)
        assert not finding.alone
        assert not first_failing(implementation.fresh(), Case.parse(record.case)).failed
    assert rerun(finding.to_dict(), spec) == f"conformance run --impl {spec} --ops affine_forward"


def test_who_changed_an_input_is_named(tmp_path):
    spec = module(tmp_path, WRITING)
    forward, backward = records(spec, "affine_forward", 8), records(spec, "affine_backward", 8)
    assert {r.diagnosis for r in (*forward, *backward)} == {"input-modified"}
    assert {r.reason for r in forward} == {"changed its input A_prev"}
    of_output = {r.output: r.reason for r in backward}
    assert of_output["dA_prev"] == of_output["db"] == "affine_forward changed its input A_prev"
    assert of_output["dW"].endswith("; affine_forward changed its input A_prev")


def test_the_numbers_of_a_condition_are_of_the_cases_asked_about():
    failed = [Case.parse(f"softmax:f32:m2n{n}:normal:0") for n in range(8, 30)]
    passed = [Case.parse(f"softmax:f32:m2n{n}:normal:0") for n in range(1, 8)]
    found = condition(failed, passed)
    assert "(all 22 such cases fail, none of 7 others)" in found.sentence()
    of_some = found.of(failed[:5], passed[:3]).sentence()
    assert of_some.endswith("from 8 classes on (all 5 such cases fail, none of 3 others)")
