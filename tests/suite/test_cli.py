"""The commands: options, exit statuses, what they print and write."""

import json
import subprocess
import sys

import pytest

from conformance.commands import cli, run_options
from conformance.faults import CATALOGUE
from conformance.generation.families import FAMILIES
from conformance.operations import OPERATIONS

WRONG = """
import numpy as np
from conformance.adapters.numpy_loops import *

def relu_backward(dA, cache):
    return np.where(cache < 0, 0, dA).astype(dA.dtype)
"""


def options(*arguments):
    return run_options.options(cli.parser().parse_args(["run", *arguments]))


def test_defaults():
    found = options()
    assert (found.implementation, found.cases, found.seed) == ("cnnref", 200, 0)
    assert found.operations == tuple(OPERATIONS)
    assert found.dtypes == ("f32", "f64")


def test_lists_are_separated_by_commas_or_repeated():
    found = options("--ops", "relu,conv_*", "--ops", "pad3d", "--dtype", "float64", "--dtype", "f32,float32")
    assert found.operations == (
        "pad3d", "conv_single_step", "conv_forward", "conv_backward", "conv_transpose_forward",
        "conv_transpose_backward", "relu",
    )  # fmt: skip
    assert found.dtypes == ("f32", "f64")
    assert options("--dtype", "float64").dtypes == ("f64",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--ops", "convolve"], "no operation matches 'convolve'"),
        (["run", "--dtype", "f8"], "'f8' is not a dtype"),
        (["run", "--cases", "0"], "expected at least 1"),
        (["run", "--cases", "many"], "invalid int value"),
        (["run", "--seed", "-1"], "expected 0 to 999999999"),
        (["run", "--fast"], "unrecognized arguments: --fast"),
        (["gate"], "required: --baseline"),
        (["gate", "--baseline", "none.json"], "no such file; write it with --update"),
        (["repro", "conv"], "has 1 fields, expected 5"),
        (["repro", "relu:f32:m1h2w3c4:nothing:0", "--impl", "numpy_loops"], "no data family 'nothing'"),
        (["repro", "relu:f32:m1h2w3c4:small:0", "--impl", "no_such_module"], "no such module"),
        (["run", "--impl", "no_such_module", "--cases", "1"], "no such module"),
        ([], "required: COMMAND"),
    ],
)
def test_what_cannot_run_is_one_line_and_status_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        status = cli.main(arguments)
    except SystemExit as stop:
        status = stop.code
    out, err = capsys.readouterr()
    assert status == 2
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert err.startswith("conformance")


def test_run_writes_the_report_and_agrees(tmp_path, capsys):
    arguments = [
        "run",
        "--impl",
        "numpy_loops",
        "--ops",
        "relu",
        "relu_backward",
        "--cases",
        "30",
        "--out",
        str(tmp_path / "r"),
    ]
    assert cli.main(arguments) == 0
    assert {p.name for p in (tmp_path / "r").iterdir()} == {
        "results.jsonl", "summary.json", "report.html", "report.md", "junit.xml", "run.json",
    }  # fmt: skip
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert (summary["cases"], summary["passed"], summary["failed"], summary["absent"]) == (120, 120, 0, 0)
    assert "120 cases, 120 passed, 0 failed, 0 absent" in capsys.readouterr().out


def test_run_of_a_wrong_module_fails_and_repro_shows_where(tmp_path, capsys):
    path = tmp_path / "kernels.py"
    path.write_text(WRONG)
    arguments = ["run", "--impl", str(path), "--ops", "relu*", "--cases", "40", "--out", str(tmp_path / "r")]
    assert cli.main(arguments) == 1
    assert "relu_backward.dZ" in capsys.readouterr().out
    lines = [json.loads(line) for line in (tmp_path / "r" / "results.jsonl").read_text().splitlines()]
    wrong = [line for line in lines if line["status"] == "failed"]
    assert {line["op"] for line in wrong} == {"relu_backward"}

    assert cli.main(["repro", wrong[0]["case"], "--impl", str(path)]) == 1
    out = capsys.readouterr().out
    assert f"conformance repro {wrong[0]['case']} --impl {path}" in out
    assert "expected" in out
    assert "got" in out
    assert out.splitlines()[-1] == "failed"
    assert cli.main(["repro", wrong[0]["case"], "--impl", "numpy_loops"]) == 0


def test_a_module_with_none_of_the_operations_asked_for_fails(tmp_path, capsys):
    path = tmp_path / "kernels.py"
    path.write_text("def relu(Z):\n    return abs(Z), Z\n")
    arguments = ["run", "--impl", str(path), "--ops", "pad3d", "--cases", "2", "--out", str(tmp_path / "r")]
    assert cli.main(arguments) == 1
    assert "Nothing was compared" in capsys.readouterr().out


def test_gate_writes_compares_and_takes_its_options_from_the_baseline(tmp_path, capsys):
    baseline, out = str(tmp_path / "baseline.json"), str(tmp_path / "r")
    first = ["gate", "--baseline", baseline, "--impl", "numpy_loops", "--ops", "relu*", "--cases", "20"]
    assert cli.main([*first, "--out", out, "--update"]) == 0
    assert cli.main(["gate", "--baseline", baseline, "--out", out]) == 0
    path = tmp_path / "kernels.py"
    path.write_text(WRONG)
    capsys.readouterr()
    assert cli.main(["gate", "--baseline", baseline, "--impl", str(path), "--out", out]) == 1
    assert "gate: new failure: relu_backward.dZ in relu_backward:" in capsys.readouterr().out


def test_list_names_everything(capsys):
    assert cli.main(["list"]) == 0
    out = capsys.readouterr().out
    for name in (*OPERATIONS, *FAMILIES, *CATALOGUE, "numpy_loops"):
        assert name in out
    for heading in (
        f"Operations ({len(OPERATIONS)})",
        "Data families",
        "Corner cases",
        "Adapters",
        "Deviations known by name",
    ):
        assert heading in out


def test_python_dash_m_is_the_same_and_shows_no_bar(tmp_path):
    command = [
        sys.executable,
        "-m",
        "conformance",
        "run",
        "--impl",
        "numpy_loops",
        "--ops",
        "relu",
        "--cases",
        "15",
    ]
    done = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_without_the_extra_a_command_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name in ("torch", "tqdm") else name)
    assert cli.main(["run", "--ops", "relu"]) == 2
    refusal = "conformance run: torch, tqdm not installed: pip install 'cnnref[conformance]'"
    assert capsys.readouterr().err.strip() == refusal
    assert cli.main(["list"]) == 0
