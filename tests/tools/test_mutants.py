"""ci/mutants: which places are mutated, and that the score counts what it says."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from ci.mutation import mutants, reach, score, switch
from ci.mutation.__main__ import every
from conformance.operations import OPERATIONS

ROOT = Path(__file__).resolve().parents[2]

SOURCE = '''"""A module: a + b is not code."""
from cnnref.kernels.base.types cimport real

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


def test_operators_bounds_offsets_and_constants_are_mutated():
    found = {m.after.strip() for m in mutants.mutants("x.pyx", SOURCE)}
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


def test_only_code_is_mutated():
    lines = {m.line for m in mutants.mutants("x.pyx", SOURCE)}
    assert lines == {5, 11, 12, 13, 14}


def test_a_mutant_changes_one_line_and_refuses_another_source():
    for mutant in mutants.mutants("x.pyx", SOURCE):
        after = mutant.applied(SOURCE).split("\n")
        changed = [(a, b) for a, b in zip(SOURCE.split("\n"), after, strict=True) if a != b]
        assert changed == [(mutant.before, mutant.after)]
    with pytest.raises(ValueError, match="any more"):
        mutant.applied(SOURCE.replace("out", "into"))


EXPRESSIONS = """'Read as Python too.'

def f(x, n):
    out, a = [0] * n, n - 1
    for i in range(1, a + 1):
        if i < 3 and x[i] >= min(0, x[a - i]):
            out[i] += x[i] * -x[n - i] + len(x[i - 1:n // 2])
        elif not out and n == 3: return [n % 2, n]
        out[
            a - i
        ] -= 2
    return out if n > 2 or x[0] else [a * 2 + 1]
"""
OTHERS = """
cdef enum:
    LANES = 16

cdef int f(const real* x) noexcept nogil:
    cdef real sums[5]
    sums[2] *= x[3]
"""


def test_a_switched_source_does_what_the_chosen_mutant_does():
    numbered = dict(enumerate(mutants.mutants("x.pyx", EXPRESSIONS), 1))
    text, alone = switch.switched(EXPRESSIONS, numbered)
    assert not alone
    assert len(text.split("\n")) == len(EXPRESSIONS.split("\n"))
    assert f"from cnnref._mutant cimport {switch.NAME}" in text

    def answers(source, number=0):
        names = {switch.NAME: number}
        exec(source.replace(f"from cnnref._mutant cimport {switch.NAME}", ""), names)
        found = []
        for x in ([], [1], [0, 2], [3, -1, 2], [5, 0, -2, 7], [1, -3, 4, 2, 9, -6]):
            try:
                found.append(names["f"](x, len(x)))
            except (IndexError, ZeroDivisionError, TypeError) as error:
                found.append(type(error))
        return found

    plain = answers(EXPRESSIONS)
    assert answers(text) == plain
    different = 0
    for number, mutant in numbered.items():
        assert answers(text, number) == answers(mutant.applied(EXPRESSIONS)), mutant.diff
        different += answers(text, number) != plain
    assert different > 30


def test_what_is_no_expression_is_built_alone():
    numbered = dict(enumerate(mutants.mutants("x.pyx", OTHERS), 1))
    text, alone = switch.switched(OTHERS, numbered)
    assert {numbered[n].after.strip() for n in numbered.keys() - alone} == {
        "sums[3] *= x[3]", "sums[1] *= x[3]", "sums[2] *= x[4]", "sums[2] *= x[2]",
    }  # fmt: skip
    assert "LANES = 16\n" in text
    assert "cdef real sums[5]\n" in text
    assert "] *= x[" in text


def test_the_sources_have_mutants_enough_and_every_module_its_operations():
    assert len(every([])) >= 150
    assert reach.operations_of(["pool"]) == ["pool_forward", "pool_backward"]
    assert set(reach.operations_of(["_arrays"])) == set(OPERATIONS)
    kernels = {path.stem for path in (ROOT / "cnnref").glob("*.pyx") if not path.stem.startswith("_")}
    assert kernels - {"threads"} <= reach.OPERATIONS.keys()
    assert set(reach.operations_of(kernels - {"threads"})) == set(OPERATIONS)
    assert all(path.exists() for path in reach.tests_of(reach.TESTS))


def test_what_a_module_reaches_is_told_without_loading_cnnref():
    code = """import sys; from ci.mutation.reach import operations_of
print(*operations_of(["_arrays"])); sys.exit("cnnref" in sys.modules)"""
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(told.stdout.split()) == set(OPERATIONS)


def test_survivors_fail_unless_they_are_explained(monkeypatch, capsys):
    some = every(["pool.pyx"])[:3]
    done = {m.key: {"status": "killed"} for m in some}
    assert score.report(some, done, 3) == 0
    done[some[0].key] = {"status": "survived"}
    assert score.report(some, done, 3) == 1
    assert some[0].diff in capsys.readouterr().out
    monkeypatch.setattr(score, "equivalents", lambda: {some[0].key: "for speed alone"})
    assert score.report(some, done, 3) == 0
    assert "2 of 3 killed, 1 equivalent, 0 survived" in capsys.readouterr().out


def test_an_equivalent_needs_a_reason(monkeypatch, tmp_path):
    assert all(score.equivalents().values())
    path = tmp_path / "equivalent.txt"
    path.write_text("x.pyx: a => b\n")
    monkeypatch.setattr(score, "EQUIVALENT", path)
    with pytest.raises(ValueError, match="no reason"):
        score.equivalents()


def test_what_is_listed_and_is_no_mutant_any_more_is_said(monkeypatch, capsys):
    some = every(["pool.pyx"])[:3]
    monkeypatch.setattr(score, "equivalents", lambda: {some[0].key: "speed", "pool.pyx: a => b": "speed"})
    assert score.stale(some) == 1
    assert capsys.readouterr().out.endswith("no such mutant any more: pool.pyx: a => b\n")
    assert score.stale(some[:0]) == 1
    monkeypatch.setattr(score, "equivalents", lambda: {some[0].key: "speed"})
    assert score.stale(some) == 0


def test_no_mutant_of_lines_that_are_gone_is_listed():
    assert score.stale(every(["*"])) == 0


@pytest.mark.parametrize(
    "script", sorted(str(path.relative_to(ROOT)) for path in (ROOT / "ci").rglob("*.py"))
)
def test_what_a_command_imports_of_the_project_is_there(script):
    """Commands that run for minutes import the suite where they need it: no test comes so far."""
    for node in ast.walk(ast.parse((ROOT / script).read_text())):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(
            ("ci.", "cnnref.", "conformance.")
        ):
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
