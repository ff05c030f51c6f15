"""The search for the largest error, and the power of a run."""

from __future__ import annotations

import pytest

from conformance.cases.case import Case
from conformance.commands import cli
from conformance.generation.generate import generate
from conformance.generation.inside import alike
from conformance.generation.random import Stream
from conformance.generation.rules import parse
from conformance.operations import OPERATIONS, select
from conformance.runs import after_run, power
from conformance.runs.search import Found, climb, exchange, table

SLOPPY = """
import numpy as np
def affine_forward(A_prev, W, b):
    half = A_prev.shape[1] // 2
    return (A_prev[:, half:] @ W[half:] + b) + A_prev[:, :half] @ W[:half], (A_prev, W, b)
"""
WRONG = """
import numpy as np
def affine_forward(A_prev, W, b):
    return (A_prev @ W).astype(A_prev.dtype), (A_prev, W, b)
"""


@pytest.fixture
def kernels(tmp_path):
    paths = []
    for name, text in (("sloppy", SLOPPY), ("wrong", WRONG)):
        paths.append(tmp_path / f"{name}.py")
        paths[-1].write_text(text)
    return [str(path) for path in paths]


def test_the_climb_finds_more_than_its_start(kernels):
    start = climb(kernels[0], select(["affine_forward"]), ["f32"], 1e-9, 0)
    more = climb(kernels[0], select(["affine_forward"]), ["f32"], 2.0, 0)
    assert more.tried > start.tried
    assert more.worst["affine_forward", "Z", "f32"] > start.worst["affine_forward", "Z", "f32"]
    assert not more.failed


def test_implementations_are_ranked_right_ones_first(kernels, capsys):
    arguments = ["search", "--impl", *kernels[::-1], "--ops", "affine_forward", "--seconds", "0.5"]
    assert cli.main([*arguments, "--dtype", "f64"]) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"1. {kernels[0]}: 0 outputs fail")
    assert f"2. {kernels[1]}: 1 outputs fail" in out
    assert "affine_forward.Z f64: fails affine_forward:f64:" in out


def test_accuracy_ranks_those_that_are_right():
    key = ("relu", "A", "f32")
    coarse, fine = Found("coarse", {key: (0.9, "x")}), Found("fine", {key: (0.1, "x")})
    assert table([coarse, fine])[0].startswith("1. fine")


def test_what_one_is_worst_at_is_asked_of_the_others(kernels):
    """A slow implementation, which met few cases, is held to those that a fast one met."""
    slow, fast = (climb(kernels[0], select(["affine_forward"]), ["f32"], seconds, 0) for seconds in (1e-9, 2))
    key = ("affine_forward", "Z", "f32")
    assert slow.worst[key][0] < fast.worst[key][0]
    exchange([slow, fast])
    assert slow.worst[key] == fast.worst[key]
    assert slow.rank == fast.rank


def test_search_refuses_what_it_cannot_do(capsys):
    assert cli.main(["search", "--seconds", "0"]) == 2
    assert cli.main(["search", "--ops", "conv3d"]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_most_slips_would_be_caught_by_a_run():
    operations = select(["affine_backward", "pool_backward"])
    cases = list(generate(operations, ["f32", "f64"], 60, 0))
    found = power.measure(cases)
    assert found.slips > 40
    assert found.caught == found.slips - len(found.missed)
    assert found.caught >= 0.95 * found.slips, found.missed


def test_one_blind_case_catches_little_and_names_what_it_misses():
    case = Case.parse("relu_backward:f32:m2h3w4c5:normal:0")
    found = power.measure([case])
    assert "relu_backward.dZ relu-gradient-at-zero" in found.missed
    assert 0 < found.caught < found.slips
    assert "relu_backward.dZ" in after_run.told(found.to_dict())


def test_a_suite_that_passes_everything_catches_nothing(monkeypatch):
    from conformance.verdict.compare import Verdict

    monkeypatch.setattr(power, "compare", lambda *_: Verdict("passed", "equal"))
    found = power.measure(list(generate([OPERATIONS["relu"]], ["f32"], 5, 0)))
    assert found.caught == 0 < found.slips


def test_what_is_not_declared_is_not_in_the_denominator():
    """A fault that shows in an option alone counts where the option is declared, and nowhere else."""
    op = OPERATIONS["conv_forward"]
    cases = list(generate([op], ["f32", "f64"], 120, 0))
    plain = [case for case in cases if not case.beyond]
    beyond = [case for case in cases if case.beyond]
    bare, declared = power.measure(plain), power.measure(plain, [(case, ()) for case in beyond])
    assert "conv_forward.Z dilation-ignored" in bare.missed
    assert "conv_forward.Z dilation-ignored" not in declared.missed
    assert (declared.caught, declared.slips < bare.slips) == (bare.caught, True)
    few = power.measure(
        [Case.parse("conv_forward:f32:m2h5w7c3_f1k4_s1p0:small:0")], [(case, ()) for case in beyond]
    )
    assert few.caught < few.slips  # what the plain calls could have shown stays in it
    assert "conv_forward.Z stride-ignored" in few.missed


def test_a_fault_that_square_images_cannot_show_is_not_asked_of_them():
    rule = parse("square")
    cases = list(generate([OPERATIONS["relu"]], ["f32"], 60, 0))
    square = [found for case in cases if (found := alike(case, (rule,), Stream(str(case)), {}))]
    assert len(square) > 40
    found = power.measure(square, [(case, (rule,)) for case in cases])
    assert found.operations["relu"] == {"slips": found.slips, "caught": found.caught}
    assert found.caught == found.slips - len(found.missed) > 5
