"""The suite fails every planted fault, names operation and output, and says which slip it is."""

from __future__ import annotations

from collections import Counter

import pytest

from conformance.bounds import Arithmetic
from conformance.generate import generate
from conformance.implementation import Implementation
from conformance.judge import Judge
from conformance.operations import OPERATIONS
from tests.planted import FAULTS, Fault, implementation

#: Of the failures of all faults together, and of the faults by their commonest diagnosis.
SHARE = 0.9
CASES = 40

# NumPy warns of the mean of an empty batch; NaN is the right answer there.
pytestmark = pytest.mark.filterwarnings("ignore:Mean of empty slice")


def judged(fault: Fault, seed: int) -> Counter[tuple[str, str]]:
    """How often each output failed with each diagnosis."""
    judge = Judge(Implementation(str(fault), implementation(fault), Arithmetic.declared(None, None)))
    records = (
        record
        for case in generate([OPERATIONS[fault.op]], [fault.dtype], CASES, seed)
        for record in judge(case)
    )
    return Counter((r.output, str(r.diagnosis)) for r in records if r.status == "failed")


@pytest.fixture(scope="module")
def diagnoses() -> dict[str, Counter[tuple[str, str]]]:
    return {str(fault): judged(fault, seed=20260) for fault in FAULTS}


def test_enough_faults_on_every_operation() -> None:
    assert len(FAULTS) >= 60
    assert len({str(fault) for fault in FAULTS}) == len(FAULTS)
    assert {fault.op for fault in FAULTS} == set(OPERATIONS)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_fault_fails_where_it_is(fault: Fault, diagnoses: dict[str, Counter[tuple[str, str]]]) -> None:
    failed = {output for output, _ in diagnoses[str(fault)]}
    assert failed == set(fault.outputs)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_no_fault_is_given_the_name_of_another(
    fault: Fault, diagnoses: dict[str, Counter[tuple[str, str]]]
) -> None:
    names = {name for _, name in diagnoses[str(fault)]}
    assert names <= {fault.slip, "unexplained"}


def test_diagnosis_names_nine_of_ten(diagnoses: dict[str, Counter[tuple[str, str]]]) -> None:
    named = {
        str(fault): sum(n for (_, name), n in diagnoses[str(fault)].items() if name == fault.slip)
        for fault in FAULTS
    }
    total = {fault: sum(counts.values()) for fault, counts in diagnoses.items()}
    assert sum(named.values()) >= SHARE * sum(total.values())
    first = [fault for fault in named if named[fault] > total[fault] / 2]
    assert len(first) >= SHARE * len(FAULTS)
