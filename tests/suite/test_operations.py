"""The table of operations is whole: each has all that a run needs, before a run looks for it in vain."""

import numpy as np
import pytest

from conformance.bounds.table import bounds
from conformance.cases.case import Case
from conformance.faults import CATALOGUE
from conformance.faults.core import reference
from conformance.generation import generate as generate_module
from conformance.generation.arrays import draw
from conformance.generation.families import FAMILIES
from conformance.implementations.implementation import load
from conformance.operations import OPERATIONS
from conformance.oracle import evaluate
from conformance.verdict.judge import Judge


def first(op: str) -> Case:
    return generate_module.Drawing(OPERATIONS[op], "f64", 0).further(0)


def test_each_name_is_its_own():
    assert all(name == operation.name for name, operation in OPERATIONS.items())


@pytest.mark.parametrize("op", OPERATIONS)
def test_an_operation_has_data_an_answer_a_bound_and_slips(op):
    case, outputs = first(op), set(OPERATIONS[op].outputs)
    assert any(op in family.operations for family in FAMILIES.values())
    arrays = draw(case)
    assert list(arrays) == list(OPERATIONS[op].arrays)
    expected = evaluate(case, arrays)
    assert set(expected) == outputs
    assert set(bounds(case, arrays, expected)) == outputs
    wide = {name: a if name == "Y" else np.asarray(a, np.float64) for name, a in arrays.items()}
    assert set(reference(case, wide)) == outputs
    for output in outputs:
        assert any(slip.applies(op, output) for slip in CATALOGUE.values()), output


@pytest.mark.parametrize("op", OPERATIONS)
def test_an_operation_has_a_call_and_is_compared(op):
    records = Judge(load("cnnref"))(first(op))
    assert {record.output: record.status for record in records} == dict.fromkeys(
        OPERATIONS[op].outputs, "passed"
    )


def test_families_are_of_known_operations():
    assert {op for family in FAMILIES.values() for op in family.operations} == set(OPERATIONS)


def test_an_operation_without_a_family_is_an_error_that_says_so(monkeypatch):
    others = {name: family for name, family in FAMILIES.items() if "relu" not in family.operations}
    monkeypatch.setattr(generate_module, "FAMILIES", others)
    with pytest.raises(AssertionError, match="no data family goes with relu"):
        list(generate_module.generate([OPERATIONS["relu"]], ["f32"], 1, 57))  # a seed that nobody has listed
