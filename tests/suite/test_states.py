"""Honest counts: in which state an operation is, from the records to the exit status and every report."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from child import ROOT

from conformance.cases.case import Case
from conformance.commands import cli
from conformance.commands.merge import merge
from conformance.report.states import States, named
from conformance.runs.options import Options, Shard, Sweep
from conformance.runs.run import run
from conformance.verdict.record import blank

MODULE = """
    import numpy as np
    from conformance.adapters import numpy_loops as n
    calls = [0]
    def conv_forward(A_prev, W, b, hparameters):
        if A_prev.shape[1] != A_prev.shape[2]:
            raise ValueError("square images only")
        return n.conv_forward(A_prev, W, b, hparameters)
    def pool_forward(A_prev, hparameters, mode="max"):
        f = hparameters["f"]
        assert f == hparameters["stride"] and A_prev.shape[1] % f == A_prev.shape[2] % f == 0
        return n.pool_forward(A_prev, hparameters, mode)
    def relu(Z):
        if Z.size % 80:
            raise NotImplementedError
        return n.relu(Z)
    def sigmoid(Z):
        np.copyto(np.zeros(Z.shape[1] + 2), np.zeros(Z.shape[2] + 2))
        return n.sigmoid(Z)
    def affine_forward(A_prev, W, b):
        return n.affine_forward(A_prev, W, b)
"""
OPS = ("conv_forward", "pool_forward", "relu", "sigmoid", "affine_forward", "softmax")
DECLARED = 'accepts = {"conv_*": "square", "pool_*": ("tiles", "apart")}\n'


def written(folder, extra="", change=("", "")):
    assert change[0] in MODULE
    path = folder / "kernels.py"
    path.write_text(textwrap.dedent(MODULE).replace(*change) + extra)
    return path


def options(path, *ops, cases=60):
    return Options(str(path), ops or OPS, ("f32",), cases, 0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("states")
    path = written(folder)
    result = run(options(path), folder / "whole", sweep=Sweep(workers=2))
    return path, folder / "whole", result


def test_each_operation_is_in_its_state(whole):
    summary, states = whole[2].summary, whole[2].summary["states"]
    assert sum(summary[name] for name in ("passed", "failed", "absent", "refused")) == summary["cases"]
    assert {op: (found["state"], found["rule"]) for op, found in states.items()} == {
        "conv_forward": ("too-little", "square"),
        "pool_forward": ("too-little", "tiles and apart"),
        "relu": ("too-little", states["relu"]["rule"]),
        "sigmoid": ("disagrees", None),
        "affine_forward": ("agrees", None),
        "softmax": ("absent", None),
    }
    for op in ("conv_forward", "pool_forward", "affine_forward"):
        assert states[op]["compared"] == 60
    assert states["relu"]["refused"] > states["relu"]["compared"] / 4
    assert not whole[2].agrees


def test_an_error_that_nobody_decided_is_named_with_its_condition(whole):
    conditions = whole[2].summary["conditions"]
    assert list(conditions) == ["sigmoid"]
    assert "h differs from w" in conditions["sigmoid"]["raised-ValueError"]


def test_every_report_says_the_state(whole):
    _, folder, result = whole
    page, markdown = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    assert re.search(r"forward<br>\s*<span class=\"badge too-little\">.*?too little \(square alone\)", page)
    assert "too little \\(square alone\\)" in markdown or "too little (square alone): conv" in markdown
    suites = {suite.get("name"): suite for suite in ET.parse(folder / "junit.xml").getroot()}
    value = suites["conv_forward"].find("properties/property").get("value")
    assert value == "too little (square alone)"
    assert int(suites["conv_forward"].get("skipped")) > 0
    failures = [
        case.find("failure").get("message") for case in suites["run"] if case.find("failure") is not None
    ]
    assert any("answers square images alone" in message for message in failures)
    assert any('accepts = "square" in the module says so' in doubt for doubt in result.doubts)


def test_further_cases_are_the_same_in_shards_and_after_a_kill(whole, tmp_path):
    path, folder, result = whole
    asked, records = options(path), (folder / "results.jsonl").read_bytes()
    parts = [tmp_path / "1", tmp_path / "2"]
    for number, part in enumerate(parts, 1):
        run(asked, part, sweep=Sweep(workers=1, shard=Shard(number, 2)))
    merged = merge(parts, tmp_path / "all")
    assert (tmp_path / "all" / "results.jsonl").read_bytes() == records
    assert merged.summary["states"]["conv_forward"] == result.summary["states"]["conv_forward"]
    again = tmp_path / "again"
    again.mkdir()
    (again / "run.json").write_bytes((folder / "run.json").read_bytes())
    last = records.rindex(b'"conv_forward:')  # within what follows from the last batch of convolutions
    (again / "results.jsonl").write_bytes(records[: last + 20])
    run(asked, again, sweep=Sweep(workers=2, resume=True))
    assert (again / "results.jsonl").read_bytes() == records


def test_what_is_declared_agrees_and_a_fault_inside_is_found(tmp_path, capsys):
    path, out = written(tmp_path, DECLARED), tmp_path / "out"
    words = [
        "run",
        "--impl",
        str(path),
        "--ops",
        "conv_forward",
        "pool_forward",
        "--cases",
        "40",
        "--out",
        str(out),
    ]
    assert cli.main(words) == 0
    assert "conv_forward (square alone), pool_forward (tiles and apart alone)" in capsys.readouterr().out
    states = json.loads((out / "summary.json").read_text())["states"]
    assert named(states["conv_forward"]) == "agrees (square alone)"
    assert states["conv_forward"] == {"state": "agrees", "compared": 80, "refused": 0, "rule": "square"}
    written(
        tmp_path, DECLARED, ("return n.conv_forward(A_prev, W,", "return n.conv_forward(A_prev, W[::-1],")
    )
    assert cli.main(words) == 1
    written(tmp_path, DECLARED, ("!= A_prev.shape[2]", "!= A_prev.shape[2] or len(A_prev) > 2"))
    assert cli.main(words) == 1  # a refusal in what it says that it answers
    said = capsys.readouterr().out
    assert "raised-ValueError" in said
    assert "only where samples is above 2" in said


def test_the_gate_compares_states(tmp_path, capsys):
    path, baseline = written(tmp_path), tmp_path / "baseline.json"
    words = [
        "gate",
        "--impl",
        str(path),
        "--ops",
        "conv_forward",
        "--dtype",
        "f32",
        "--baseline",
        str(baseline),
    ]
    words += ["--cases", "15", "--out", str(tmp_path / "out")]
    assert cli.main([*words, "--update"]) == 0
    assert json.loads(baseline.read_text())["states"] == {
        "conv_forward": {"state": "too-little", "rule": "square"}
    }
    assert cli.main(words) == 0  # no worse than it was
    assert cli.main([*words, "--cases", "1"]) == 0
    written(tmp_path, DECLARED)
    capsys.readouterr()
    cli.main(words)
    assert "the baseline has too little" not in capsys.readouterr().out  # better
    assert cli.main([*words, "--update"]) == 0
    written(tmp_path)
    capsys.readouterr()
    assert cli.main(words) == 1
    said = "conv_forward: too little (square alone), the baseline has agrees (square alone)"
    assert said in capsys.readouterr().out


def few(count, asked, dtypes=("f32",)):
    states = States()
    for number in range(count):
        for dtype in dtypes:
            case = Case.parse(f"relu:{dtype}:m1h2w3c4:small:{number}")
            states.add(case, [replace(blank(case, "A", "passed"), tier="equal")])
    return states.to_dict(asked)["relu"]["state"], list(states.doubts(asked))


@pytest.mark.parametrize(
    ("count", "asked", "state"),
    [
        (1, 1, "agrees"),
        (11, 12, "too-little"),
        (11, 11, "agrees"),
        (12, 200, "agrees"),
        (11, 200, "too-little"),
    ],
)
def test_fewer_than_twelve_of_a_dtype_are_too_little_if_as_many_were_asked_for(count, asked, state):
    found, doubts = few(count, asked)
    assert found == state
    assert bool(doubts) == (state != "agrees")


def test_nine_of_ten_faults_are_asked_of_a_long_run():
    case = Case.parse("relu:f32:m1h2w3c4:small:0")
    states = States()
    for _ in range(200):
        states.add(case, [replace(blank(case, "A", "passed"), tier="equal")])
    for caught, asked, state in ((90, 200, "agrees"), (89, 200, "too-little"), (89, 199, "agrees")):
        slips = {"operations": {"relu": {"slips": 100, "caught": caught}}}
        assert states.to_dict(asked, slips)["relu"]["state"] == state


def test_the_plugin_says_the_states_and_fails_for_them(tmp_path):
    for extra, status in (("", 1), (DECLARED, 0)):
        path = written(tmp_path, extra)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "conformance.pytest_plugin"),
                *("-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)),
                *("--conformance-impl", str(path), "--conformance-cases", "6"),
                *("--conformance-ops", "conv_forward", "--conformance-dtype", "f32"),
            ],
            cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        said = "answers square images alone (6 cases compared" if status else "conv_forward (square alone)"
        assert said in done.stdout
