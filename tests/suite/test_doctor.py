"""What a run tells of itself and what it keeps: doctor, sandbox, hidden cases, a seed from the system."""

import json
import os
import re
import sys

import pytest

from conformance.cli import main
from conformance.commands import doctor
from conformance.commands.run_options import seed
from conformance.operations import OPERATIONS

WRONG = "import numpy as np\ndef relu(Z):\n    return np.abs(Z), Z\n"
#: A line of a case.
LINE = re.compile(r"relu:f(32|64):m\d")


@pytest.fixture
def wrong(tmp_path):
    path = tmp_path / "kernels.py"
    path.write_text(WRONG)
    return str(path)


def test_the_doctor_tells_what_is_recognised(capsys, wrong):
    assert main(["doctor", "--impl", wrong]) == 0
    out = capsys.readouterr().out
    for sentence in (
        f"functions       1 of {len(OPERATIONS)}: relu",
        "judge           no other process reads its memory",
        "of its own: forked from one that has NumPy alone",
        "it has imported neither torch nor jax",
        "layout          NHWC",
        "Nothing is wrong",
    ):
        assert sentence in out


def test_the_doctor_tells_what_is_wrong_and_what_to_do(capsys, monkeypatch):
    assert main(["doctor", "--impl", "no.such.module"]) == 2
    assert "doctor: loading: no such module" in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.setattr(doctor, "_COMPILED", ("conformance.no_such",))
    assert main(["doctor"]) == 2
    out = capsys.readouterr().out
    assert "doctor: jinja2: not installed (for the report): pip install 'cnnref[conformance]'" in out
    assert "doctor: conformance.no_such: ModuleNotFoundError" in out
    assert "not looked at before the installation is right" in out


def test_little_memory_and_few_files_are_wrong(monkeypatch):
    patient = doctor._Patient()
    monkeypatch.setattr(doctor, "_available", lambda: 500 << 20)
    monkeypatch.setattr(doctor, "_FILES", 1 << 62)
    monkeypatch.setattr(doctor.os, "sched_getaffinity", lambda of: range(8))
    doctor._limits(patient)
    assert [sentence.partition(":")[0] for sentence in patient.wrong] == ["memory", "open files"]
    assert "--workers 1" in patient.wrong[0]


def test_without_bubblewrap_a_sandbox_is_refused(capsys, monkeypatch, tmp_path, wrong):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["run", "--impl", wrong, "--ops", "relu", "--sandbox", "--out", str(tmp_path / "out")]) == 2
    assert "--sandbox: bwrap is not installed; install bubblewrap" in capsys.readouterr().err


def test_everything_of_an_implementation_runs_in_the_sandbox(monkeypatch, tmp_path):
    """Where what stands for bubblewrap marks what it starts."""
    (tmp_path / "bin").mkdir()
    stand_in = tmp_path / "bin" / "bwrap"
    stand_in.write_text('#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nIN_SANDBOX=1 exec "$@"\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    path, marks = tmp_path / "kernels.py", tmp_path / "marks"
    path.write_text(f"{WRONG}import os\nopen({str(marks)!r}, 'a').write(os.environ.get('IN_SANDBOX', '0'))\n")
    out = tmp_path / "out"
    asked = ["run", "--impl", str(path), "--ops", "relu", "--cases", "5", "--workers", "1", "--out", str(out)]
    assert main([*asked, "--sandbox"]) == 1
    assert json.loads((out / "summary.json").read_text())["findings"]
    assert set(marks.read_text()) == {"1"}
    assert len(marks.read_text()) >= 2  # the judge's, and that of who looks into failures


def test_hidden_cases_are_nowhere(capfd, tmp_path, wrong):
    out = tmp_path / "out"
    asked = ["run", "--impl", wrong, "--ops", "relu", "--cases", "5", "--workers", "1", "--out", str(out)]
    assert main([*asked, "--hidden", "--seed", "random"]) == 1
    said = capfd.readouterr()
    assert "10 cases" in said.out
    assert re.search(r"^Seed: \d+, taken from the system", said.out, re.M)
    assert [path.name for path in out.iterdir()] == ["summary.json"]
    written = (out / "summary.json").read_text()
    assert json.loads(written)["operations"]["relu"]["A"]["failed"] > 0
    assert not LINE.search(said.out + said.err + written)
    assert main([*asked, "--hidden", "--resume"]) == 2
    assert "--hidden: leaves no results" in capfd.readouterr().err


def test_a_seed_from_the_system_is_another_each_time():
    assert len({seed("random") for _ in range(5)}) > 1
    assert all(0 <= seed("random") < 10**9 for _ in range(100))
    assert seed("17") == 17
