"""What a run says of failures on a terminal: the worst in full, the others as a count and where to read."""

import contextlib
import io
import re
from types import SimpleNamespace

import pytest

from conformance.adapters import numpy_loops as right
from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.commands import terminal
from conformance.commands.tell import _told, _worst_first, tell
from conformance.diagnosis.findings import find
from conformance.generation.generate import generate
from conformance.implementations.implementation import Implementation, here
from conformance.operations import OPERATIONS as ENTRIES
from conformance.report import found
from conformance.report.summary import Summary
from conformance.runs.after_run import Seen
from conformance.runs.options import Result
from conformance.verdict.judge import Judge

#: Four wrong functions: no answer, another type, a known fault, wrong values.
WRONG = """
import numpy as np
from conformance.adapters.numpy_loops import affine_forward as right

class Tensor:
    pass

def relu(Z):
    return None

def sigmoid(Z):
    return Tensor(), Z

def affine_forward(A_prev, W, b):
    Z, cache = right(A_prev, W, b)
    return Z - b, cache

def tanh(Z):
    return np.tanh(Z) + Z**2, Z
"""


OPERATIONS = ("relu", "tanh", "affine_forward", "sigmoid")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What is said of a run of `WRONG`, its folder, and what judges it: all in this process."""
    folder = tmp_path_factory.mktemp("told")
    (folder / "wrong.py").write_text(WRONG)
    implementation = here(str(folder / "wrong.py"))
    judge, summary, seen = Judge(implementation), Summary(), Seen()
    for case in generate([ENTRIES[name] for name in OPERATIONS], ["f32"], 6, 0):
        records = judge(case)
        summary.add(case, records)
        seen.add(records)
    findings = [find(implementation, record).to_dict() for record in seen.failures]
    spec, listed = str(folder / "wrong.py"), 6 * len(OPERATIONS)
    about = {"versions": {}, "oracle": "", "seed": 0, "seconds": 1.0, "dialect": "contract"}
    result = Result(summary.to_dict(listed=listed, implementation=spec, findings=findings, **about))
    (folder / "report.html").touch()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        tell(result, folder)
    return said.getvalue(), folder, judge


def test_three_failures_are_told_and_the_others_counted(told):
    text, folder, _ = told
    assert len(re.findall(r"^  \w+\.\w+: \d+ of \d+ failed: ", text, re.MULTILINE)) == 3
    rest = re.search(r"^  and (\d+) further failures?, of (\S+): (.*)$", text, re.MULTILINE)
    assert rest is not None
    assert int(rest[1]) > 0
    assert rest[2].partition(".")[0] in OPERATIONS
    assert rest[3] == str(folder / "report.html")


def test_what_has_a_reason_in_the_record_says_it(told):
    text, _, _ = told
    assert "unexplained" not in text
    assert re.search(r"relu\.A: 6 of 6 failed: returned a NoneType, .* \(6\)$", text, re.MULTILINE)
    assert re.search(r"sigmoid\.A: 6 of 6 failed: .*Tensor.*\(6\)$", text, re.MULTILINE)


def test_a_wrong_value_stands_beside_the_right_one_and_the_line_that_shows_it(told):
    text, folder, judge = told
    block = text[text.index("  affine_forward.Z:") :]
    assert "The bias is not added" in block
    values = re.search(r"Z\[0,0\] is (\S+), expected ([^\s,]+)(?:, at most \S+ off| exactly)", block)
    assert values is not None
    line = re.search(r"^    conformance repro '(affine_forward:\S+)' --impl (\S+)$", block, re.MULTILINE)
    assert line is not None
    assert line[2] == str(folder / "wrong.py")
    (record,) = judge(Case.parse(line[1]))
    assert record.status == "failed"
    assert float(values[1]) == pytest.approx(float(record.got), rel=1e-5)
    assert float(values[2]) == pytest.approx(float(record.expected), rel=1e-5)
    assert values[1] != values[2]


def test_where_no_value_is_wrong_none_is_shown(tmp_path):
    """A call that changes what it was given may well return what is right."""

    def pool_forward(A_prev, hparameters):
        answer = right.pool_forward(A_prev, dict(hparameters))
        hparameters["stride"] = 7
        return answer

    target = SimpleNamespace(pool_forward=pool_forward)
    implementation = Implementation("changes", target, Arithmetic.declared(None, None))
    (record,) = Judge(implementation)(Case.parse("pool_forward:f32:m1h2w2c1_f2s1_max:small:0"))
    assert record.diagnosis == "hyperparameters-changed"
    finding = find(implementation, record)
    assert not finding.place
    assert "hyperparameters" in finding.reason


FINDING = {
    "rule": "",
    "entry": "",
    "condition": "",
    "reason": "died of signal 11",
    "place": "",
    "shrunk": "s",
}


def test_an_unexplained_failure_is_labelled_by_its_reason_then_its_condition():
    assert found.label("unexplained", FINDING) == "died of signal 11"
    assert found.sentence("unexplained", FINDING) == "died of signal 11"
    plain = FINDING | {"reason": ""}
    assert found.label("unexplained", plain | {"condition": "only with groups"}) == "named by its condition"
    assert found.label("unexplained", plain) == "unexplained"
    assert found.label("unexplained", plain | {"entry": "A[0] is 1, expected 2"}) == "no known fault"
    assert found.label("unexplained", None) == "unexplained"
    assert found.label("bias-forgotten", FINDING) == "bias-forgotten"
    assert len(found.label("unexplained", FINDING | {"reason": "x " * 200})) < 80


def test_text_is_as_wide_as_the_terminal_and_commands_are_whole(monkeypatch, capsys, tmp_path):
    sentence = "only where " + " and ".join(f"the extent {n} differs from {n + 1}" for n in range(9))
    finding = FINDING | {"case": "relu:f32:x", "output": "A", "diagnosis": "unexplained", "reason": ""}
    case = "relu:f32:m2h3w4c5:normal:" + "7" * 60
    figures = {"passed": 5, "failed": 4, "cases": 9, "diagnoses": {"unexplained": 4}}
    summary = {
        "implementation": "m", "dialect": "contract", "cases": 9, "passed": 5, "failed": 4, "absent": 0,
        "refused": 0, "comparisons": 9, "seconds": 1.0, "operations": {"relu": {"A": figures}},
        "conditions": {}, "findings": [finding | {"condition": sentence, "shrunk": case}],
        "detectability": {}, "states": {}, "faults": [], "remarks": [],
    }  # fmt: skip
    assert terminal.wrapped("a " * 100, "  ") == ["a " * 100]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    tell(Result(summary), tmp_path)
    lines = capsys.readouterr().out.splitlines()
    start = next(i for i, line in enumerate(lines) if "wrong only where" in line)
    block = lines[start : next(i for i, line in enumerate(lines) if "conformance repro" in line)]
    assert len(block) > 4
    assert all(len(line) <= 60 and line.startswith("    ") for line in block)
    assert " ".join(line.strip() for line in block) == f"wrong {sentence}"
    assert f"    conformance repro '{case}' --impl m" in lines


def test_lines_of_source_stay_lines():
    reason = "raised IndexError: too far\n  net.py, line 3, in relu\n       2  # before\n  >    3  x[9]"
    summary = {
        "operations": {"relu": {"A": {"passed": 1, "failed": 1, "cases": 2}}}, "conditions": {},
        "implementation": "net.py",
    }  # fmt: skip
    group = SimpleNamespace(op="relu", output="A", diagnosis="raised-IndexError", failures=1)
    finding = {"reason": reason, "place": "", "condition": "", "shrunk": "relu:f32:m1h1w1c1:normal:0"}
    assert list(_told(summary, group, finding))[2:-1] == [
        "    raised IndexError: too far",
        "      net.py, line 3, in relu",
        "           2  # before",
        "      >    3  x[9]",
    ]


def test_what_takes_the_process_with_it_is_told_first():
    """However many wrong values there are: what asks for the end of a program ends the caller's."""
    outputs = {
        "tanh": {"A": {"failed": 90, "diagnoses": {"sign-flipped": 90}}},
        "relu": {"A": {"failed": 60, "diagnoses": {"sign-flipped": 58, "raised-SystemExit": 2}}},
        "sigmoid": {"A": {"failed": 3, "diagnoses": {"sign-flipped": 2, "unexplained": 1}}},
        "silu": {"A": {"failed": 8, "diagnoses": {"sign-flipped": 8}}},
    }
    died = FINDING | {
        "case": "sigmoid:f32:x", "output": "A", "diagnosis": "unexplained",
        "reason": "the process died of signal 11 (SIGSEGV) in this case",
    }  # fmt: skip
    summary = {"operations": outputs, "findings": [died]}
    groups = [(g.op, g.failures) for g in _worst_first(summary, found.by_group(summary))]
    assert groups == [
        ("relu", 2), ("sigmoid", 1), ("tanh", 90), ("relu", 58), ("silu", 8), ("sigmoid", 2)
    ] or groups[:3] == [("relu", 2), ("sigmoid", 1), ("tanh", 90)]  # fmt: skip
