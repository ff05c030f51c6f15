"""Files that others wrote: no code in them runs, damage is told with its place, sizes are checked."""

import ast
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cnnref
import conformance
from cnnref import blog
from conformance.cases.case import Case
from conformance.cli import main
from conformance.generation.generate import generate
from conformance.implementations.implementation import load
from conformance.operations import OPERATIONS, select
from conformance.report.digest import rows
from conformance.runs import gate
from conformance.runs.options import SweepError
from conformance.runs.shards import LONGEST_LINE, read_case, read_record
from conformance.verdict.judge import Judge

ROOT = Path(__file__).resolve().parents[2]

#: What none of our modules may do with what it reads.
FORBIDDEN_CALLS = {"eval", "exec"}
#: But this: it runs the part of the user's own file that `Model` needs, in a process for that alone.
RUNS_THE_FILE = "reference.py"
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}


def sources():
    packages = (Path(package.__file__).parent for package in (conformance, cnnref))
    return [path for package in packages for path in sorted(package.rglob("*.py"))]


@pytest.mark.parametrize("path", sources(), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_no_pickle_and_no_eval(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            forbidden = FORBIDDEN_CALLS - ({"exec"} if path.name == RUNS_THE_FILE else set())
            assert node.func.id not in forbidden, f"{path}:{node.lineno}"
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = {a.name.split(".")[0] for a in node.names}
            names.add((getattr(node, "module", "") or "").split(".")[0])
            assert not names & FORBIDDEN_MODULES, f"{path}:{node.lineno}"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert isinstance(node.value, ast.Constant), f"{path}:{node.value.lineno}"
            assert node.value.value is False, f"{path}:{node.value.lineno}"


GOOD = "conv_backward:f32:m2h9w7c3_f3k4_s2p1:normal:17"


CHANGED = st.builds(lambda i, c: GOOD[:i] + c + GOOD[i + 1 :], st.integers(0, len(GOOD)), st.characters())


@settings(max_examples=600, deadline=None, database=None)
@given(st.one_of(st.text(), st.text(alphabet="0123456789:_abcdefghijkmnopsw.-"), CHANGED))
def test_a_case_line_is_a_case_or_a_value_error(text):
    try:
        case = Case.parse(text)
    except ValueError:
        return
    assert Case.parse(str(case)) == case
    assert str(case) == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("m2", "m" + "9" * 5000),
        GOOD.replace(":17", ":" + "1" * 5000),
        GOOD.replace("normal", "../../etc/passwd"),
        GOOD.replace("m2", "m\uff12"),
        GOOD.replace("conv_backward", "__import__"),
        GOOD + "\nrelu",
        "",
        ":" * 100_000,
    ],
)
def test_hostile_case_lines(text, capsys):
    with pytest.raises(ValueError, match="case"):
        Case.parse(text)
    assert main(["repro", text or " "]) == 2
    assert capsys.readouterr().err.count("\n") <= 2 + text.count("\n")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"{}",
        b"[]",
        b"null",
        b'{"implementation": 1}',
        pickle.dumps({"a": 1}),
        b'{"implementation": "x", "options": {}, "operations": [], "families": {}, "corners": {},'
        b' "known_failures": []}',
        b'{"implementation": "x", "options": {"ops": [], "dtypes": [], "cases": 1e999, "seed": 0},'
        b' "operations": {}, "families": {}, "corners": {}, "known_failures": []}',
        b'{"implementation": "x", "options": {"ops": [], "dtypes": [], "cases": "9", "seed": 0},'
        b' "operations": {"a": {"f32": {"Z": {"cases": 1, "max_error_ulp": "x", "max_bound_fraction": 0}}}},'
        b' "families": {}, "corners": {}, "known_failures": []}',
    ],
)
def test_hostile_baselines(content, tmp_path, capsys):
    path = tmp_path / "baseline.json"
    path.write_bytes(content)
    with pytest.raises(gate.BaselineError, match="baseline"):
        gate.read(path)
    assert main(["gate", "--baseline", str(path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Traceback" not in said


@pytest.fixture(scope="module")
def lines():
    judge = Judge(load("numpy_loops"))
    cases = list(generate(select(["conv_backward"]), ("f32",), 3, 0))
    return cases, [record.line().encode() + b"\n" for case in cases for record in judge(case)]


@settings(max_examples=400, deadline=None, database=None)
@given(st.data())
def test_a_damaged_record_is_never_taken_for_a_record(lines, data):
    line = data.draw(st.sampled_from(lines[1]))
    at = data.draw(st.integers(0, len(line) - 2))
    byte = data.draw(st.integers(0, 255))
    changed = line[:at] + bytes([byte]) + line[at + 1 :]
    try:
        record = read_record(changed)
    except SweepError:
        return
    assert record.line().encode() + b"\n" == changed  # another record, whole and readable


@pytest.mark.parametrize(
    "line",
    [b"[" * 60_000 + b"\n", b"{}\n", b"\n", b"NaN\n", b'{"case": "\\ud800"}\n', pickle.dumps(1) + b"\n"],
)
def test_lines_that_are_no_records(line):
    with pytest.raises(SweepError):
        read_record(line)


def test_an_endless_line_is_not_read(tmp_path, lines):
    path = tmp_path / "results.jsonl"
    with open(path, "wb") as file:
        file.truncate(1 << 33)  # eight gigabytes of zeros, no memory and no line feed
    with open(path, "rb") as file:
        with pytest.raises(SweepError, match="torn or too long"):
            read_case(file, lines[0][0])
        assert file.tell() <= 2 * LONGEST_LINE


def test_a_damaged_line_of_a_report_is_told_with_its_number(tmp_path, lines):
    path = tmp_path / "results.jsonl"
    path.write_bytes(b"".join([*lines[1][:4], b'{"case": \n', *lines[1][4:]]))
    with pytest.raises(ValueError, match=r"results.jsonl, line 5: not a record"):
        list(rows(path))


def test_what_a_module_prints_or_names_is_not_run(tmp_path):
    """A module whose errors hold escape sequences, markup and format strings: nothing is injected."""
    path, out = tmp_path / "hostile.py", tmp_path / "out"
    path.write_text(
        "__version__ = '<script>alert(1)</script>'\n"
        "def relu(Z):\n"
        "    raise ValueError('<script>alert(2)</script> {0} %s \\x1b[2J \\ud800 {{ 7*7 }}')\n"
        "TEXT = '<script>alert(3)</script> {0} %s \\x1b[2J \\ud800 {{ 7*7 }}'\n"
        "def sigmoid(Z):\n"
        "    exec('raise ValueError(TEXT)')\n"
    )
    command = [sys.executable, "-m", "conformance", "run", "--impl", str(path), "--ops", "relu", "sigmoid"]
    done = subprocess.run(
        [*command, "--cases", "5", "--out", str(out)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    page = (out / "report.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(2)" in page
    assert "&lt;script&gt;alert(3)" in page
    for name in ("results.jsonl", "report.html", "report.md", "junit.xml", "summary.json"):
        assert b"\x1b" not in (out / name).read_bytes(), name
    records = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    found = {(record["op"], record["status"]) for record in records}
    assert found == {("relu", "refused"), ("sigmoid", "failed")}


def test_there_is_something_to_check():
    assert len(sources()) > 50
    assert set(OPERATIONS) == set(blog.__all__)
