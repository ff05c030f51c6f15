"""Sizes of real networks are left out for what an implementation takes, not for what one call of it took."""

from __future__ import annotations

from itertools import chain, repeat

import pytest

from conformance.generation.effort import size_of
from conformance.generation.generate import generate
from conformance.operations import OPERATIONS
from conformance.verdict.pace import Pace

CASE = next(case for case in generate([OPERATIONS["conv_forward"]], ["f32"], 100, 0) if size_of(case))


@pytest.mark.parametrize(
    ("taken", "left_out"),
    [
        ([3.0, 1e-4], False),  # the first call compiles
        ([1e-4], False),
        ([3.0, 3.0, 3.0], True),
    ],
)
def test_the_quickest_of_a_few_calls_decides(taken, left_out):
    calls = chain(taken, repeat(taken[-1]))
    assert (Pace(lambda _: next(calls)).too_slow(CASE) is not None) is left_out


def test_where_a_sixteenth_is_refused_the_size_is_asked_for():
    pace = Pace(lambda _: 0.0)  # what is not answered has taken no time
    pace.took(CASE, 9.0)
    assert pace.too_slow(CASE) is None
