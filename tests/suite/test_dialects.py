"""A right module of each dialect passes, and planted faults have the names of the contract's form."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.generation.generate import generate
from conformance.implementations.dialects import Reading, adapted
from conformance.implementations.implementation import Implementation
from conformance.operations import OPERATIONS
from conformance.verdict.judge import Judge
from tests.planted import FAULTS, Fault, implementation
from tests.suite.worn import WORN

CASES = 10
#: So many of a fault's failures are compared.
FAILURES = 2

#: Faults that show otherwise: a change of a copy, and gradients whose shape autograd refuses.
_OTHERWISE = ("input-modified", "weight-gradient-transposed", "bias-gradient-not-summed-over-batch")

#: What every dialect has.
SHARED = (
    "conv_forward", "conv_backward", "pool_forward", "pool_backward", "affine_forward", "affine_backward",
    "relu", "relu_backward", "sigmoid", "sigmoid_backward", "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
)  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore::RuntimeWarning")


def twenty() -> list[Fault]:
    """Two faults of each function that every dialect has."""
    fitting = [fault for fault in FAULTS if fault.slip not in _OTHERWISE]
    return [fault for op in SHARED for fault in [f for f in fitting if f.op == op][:2]]


def right() -> SimpleNamespace:
    from conformance.adapters import numpy_loops

    return SimpleNamespace(**{n: x for n, x in vars(numpy_loops).items() if not n.startswith("_")})


def judge_of(dialect: str, functions: Any) -> Judge:
    """Judges the functions, worn as a module of the dialect."""
    if dialect == "jax":
        pytest.importorskip("jax")
    target, found = adapted(WORN[dialect](functions), OPERATIONS, Reading(dialect))
    assert found == dialect
    return Judge(
        Implementation(
            dialect, target, Arithmetic.declared(None, None), options=target.options, dialect=dialect
        )
    )


def plain(op: str, dtype: str, count: int) -> list[Case]:
    """Cases without options, which not every dialect takes, and empty arrays, which PyTorch refuses."""
    cases = generate([OPERATIONS[op]], [dtype], 4 * count, 3)
    return [c for c in cases if not c.beyond and 0 not in dict(c.params).values()][:count]


@pytest.fixture(scope="module")
def failing() -> dict[str, list[tuple[Case, dict[str, tuple[str, str | None]]]]]:
    """Of each fault cases in which it fails in the contract's form, with status and diagnosis."""
    found = {}
    for fault in twenty():
        judge = Judge(Implementation("it", implementation(fault), Arithmetic.declared(None, None)))
        shown: list[Any] = []
        for case in plain(fault.op, fault.dtype, 40):
            records = {r.output: (r.status, r.diagnosis) for r in judge(case)}
            if any(status == "failed" for status, _ in records.values()):
                shown.append((case, records))
            if len(shown) == FAILURES:
                break
        assert shown, fault
        found[str(fault)] = shown
    return found


@pytest.mark.parametrize("dialect", WORN)
def test_right_functions_pass(dialect: str) -> None:
    judge, judged = judge_of(dialect, right()), set()
    count = 2 if dialect == "jax" else CASES // 2  # which compiles for each shape
    for op in OPERATIONS:
        for dtype in ("f32", "f64"):
            for case in plain(op, dtype, count):
                for record in judge(case):
                    assert record.status in ("passed", "absent"), record
                    judged |= {op} if record.status == "passed" else set()
    assert judged >= set(SHARED)


@pytest.mark.parametrize("dialect", WORN)
@pytest.mark.parametrize("fault", twenty(), ids=str)
def test_a_fault_has_the_name_that_it_has_in_the_contract_s_form(
    dialect: str, fault: Fault, failing: dict[str, Any]
) -> None:
    judge = judge_of(dialect, implementation(fault))
    for case, expected in failing[str(fault)]:
        records = judge(case)
        if {r.status for r in records} == {"absent"} and case.word("mode") == "average":
            continue
        assert {r.output: (r.status, r.diagnosis) for r in records} == expected, case


def test_there_are_twenty_faults_and_more() -> None:
    assert len(twenty()) == len({str(fault) for fault in twenty()}) == 2 * len(SHARED) >= 20
