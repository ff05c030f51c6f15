"""ci/mutants: which places are mutated, and that the score counts what it says."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

SOURCE = '''"""A module: a + b is not code."""
from cnnref._types cimport real

cdef enum:
    LANES = 16


cdef inline void step(const real* x, Py_ssize_t n, real* out) noexcept nogil:
    """Adds 1 + 1."""
    cdef Py_ssize_t i
    cdef Py_ssize_t last = n - 1  # n + 2
    for i in range(n):
        if i < last and x[i] >= <real>0:
            out[i] += x[i] * -x[n - i]
'''


@pytest.fixture(scope="module")
def modules():
    sys.path.insert(0, str(ROOT / "ci"))
    try:
        yield importlib.import_module("mutation"), importlib.import_module("mutants")
    finally:
        sys.path.remove(str(ROOT / "ci"))


def test_operators_bounds_offsets_and_constants_are_mutated(modules):
    mutation, _ = modules
    found = {m.after.strip() for m in mutation.mutants("x.pyx", SOURCE)}
    assert {
        "LANES = 15",
        "LANES = 17",
        "cdef Py_ssize_t last = n + 1  # n + 2",
        "cdef Py_ssize_t last = n - 2  # n + 2",
        "for i in range(n - 1):",
        "if i <= last and x[i] >= <real>0:",
        "if i < last or x[i] >= <real>0:",
        "if i < last and x[i] > <real>0:",
        "if i < last and x[i] >= <real>1:",
        "out[i] -= x[i] * -x[n - i]",
        "out[i] += x[i] + -x[n - i]",
        "out[i] += x[i] * -x[n + i]",
    } == found


def test_only_code_is_mutated(modules):
    mutation, _ = modules
    lines = {m.line for m in mutation.mutants("x.pyx", SOURCE)}
    assert lines == {5, 11, 12, 13, 14}


def test_a_mutant_changes_one_line_and_refuses_another_source(modules):
    mutation, _ = modules
    for mutant in mutation.mutants("x.pyx", SOURCE):
        after = mutant.applied(SOURCE).split("\n")
        changed = [(a, b) for a, b in zip(SOURCE.split("\n"), after, strict=True) if a != b]
        assert changed == [(mutant.before, mutant.after)]
    with pytest.raises(ValueError, match="any more"):
        mutant.applied(SOURCE.replace("out", "into"))


def test_the_sources_have_mutants_enough_and_every_module_its_operations(modules):
    _, mutants = modules
    assert len(mutants.every([])) >= 150
    assert all(mutants.operations_of(m) for m in ("conv", "pool", "softmax", "_arrays"))
    assert mutants.operations_of("pool") == ["pool_forward", "pool_backward"]


def test_survivors_fail_unless_they_are_explained(modules, monkeypatch, capsys):
    _, mutants = modules
    some = mutants.every(["pool.pyx"])[:3]
    done = {m.key: {"status": "killed"} for m in some}
    assert mutants.report(some, done, 3) == 0
    done[some[0].key] = {"status": "survived"}
    assert mutants.report(some, done, 3) == 1
    assert some[0].diff in capsys.readouterr().out
    monkeypatch.setattr(mutants, "equivalents", lambda: {some[0].key: "for speed alone"})
    assert mutants.report(some, done, 3) == 0
    assert "2 of 3 killed, 1 equivalent, 0 survived" in capsys.readouterr().out


def test_an_equivalent_needs_a_reason(modules, monkeypatch, tmp_path):
    _, mutants = modules
    assert all(mutants.equivalents().values())
    path = tmp_path / "equivalent.txt"
    path.write_text("x.pyx: a => b\n")
    monkeypatch.setattr(mutants, "EQUIVALENT", path)
    with pytest.raises(ValueError, match="no reason"):
        mutants.equivalents()
