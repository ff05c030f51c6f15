"""Invalid input: the table says what was done with it, and nothing fails by it."""

from collections import Counter

import pytest

from conformance.commands.errors import table
from conformance.implementations.implementation import load
from conformance.operations import OPERATIONS
from conformance.verdict.invalid import DOES, answers

_CARELESS = """
import os
import numpy as np

def softmax(X):
    if X.dtype.kind == "c":
        os.kill(os.getpid(), 11)
    if X.ndim == 3:
        raise ValueError("softmax: X has 3 axes, expected 2")
    e = np.exp(X - X.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True), X
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    module = tmp_path_factory.mktemp("careless") / "careless.py"
    module.write_text(_CARELESS)
    target = load(str(module))
    try:
        return list(answers(target, [OPERATIONS["softmax"], OPERATIONS["relu"]]))
    finally:
        target.close()


def test_each_input_is_answered_refused_or_the_end_of_the_process(found):
    assert {answer.op for answer in found} == {"softmax"}  # it has no relu
    does = {answer.what: answer.does for answer in found}
    assert does["an axis too many"] == "refuses by name"
    assert does["text"] == "refuses"
    assert does["complex numbers"] == "crashes"
    assert does["one more along the last axis"] == "answers"
    assert {answer.does for answer in found} == set(DOES)


def test_the_table_counts_and_names_what_was_not_refused(found):
    text, counts = table(found), Counter(answer.does for answer in found)
    row = next(line for line in text.splitlines() if line.split()[0] == "softmax").split()
    assert row[1:] == [str(counts[does]) for does in DOES]
    assert "X: complex numbers" in text


def test_hyperparameters_are_tried_too():
    target = load("numpy_loops")
    try:
        found = list(answers(target, [OPERATIONS["pool_forward"]]))
    finally:
        target.close()
    assert {"stride", "f", "mode", "A_prev"} <= {answer.argument for answer in found}
