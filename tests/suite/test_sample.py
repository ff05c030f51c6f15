"""A run of few cases takes corners in which a dropped term shows, so that it proves what it says."""

import pytest

from conformance.generation.corners import corners
from conformance.generation.effort import size_of
from conformance.generation.generate import generate
from conformance.generation.sample import sample
from conformance.implementations.implementation import load
from conformance.operations import OPERATIONS
from conformance.report.summary import Summary, problems
from conformance.verdict.judge import Judge

DTYPES = ("f32", "f64")


@pytest.mark.parametrize(("count", "seed"), [(1, 0), (6, 0), (3, 1)])
def test_a_run_of_few_cases_has_no_blind_one(count, seed):
    judge, summary = Judge(load("cnnref")), Summary()
    for case in generate(OPERATIONS.values(), DTYPES, count, seed):
        summary.add(case, judge(case))
    assert summary.comparisons > count * len(OPERATIONS)
    assert problems(summary) == []


def test_dim_corners_are_taken_for_want_of_others_alone():
    cases = [corner.case("f32") for corner in corners("leaky_relu")]
    long = {case for case in cases if (size_of(case) or "").startswith("size-outputs")}
    empty = {case for case in cases if 0 in dict(case.params).values()}
    dim = [case for case in cases if case.family in ("subnormal", "saturated") or case in long | empty]
    assert long
    assert 0 < len(dim) < len(cases)
    assert not set(sample(cases, len(cases) - len(dim))) & set(dim)
    assert len(set(sample(cases, len(cases) - len(dim) + 1)) & set(dim)) == 1
    assert sample(cases, len(cases)) == cases


def test_the_choice_does_not_depend_on_the_order():
    cases = [corner.case("f64") for corner in corners("conv_forward")]
    chosen = sample(cases, 20)
    assert chosen == [case for case in cases if case in set(chosen)]
    assert set(sample(cases[::-1], 20)) == set(chosen)
