"""``repro --script``: a script that shows the failure without this package."""

from __future__ import annotations

import subprocess
import sys

import pytest

from conformance import cli, script
from conformance.case import Case
from conformance.generate import generate
from conformance.implementation import load
from conformance.judge import Trial
from conformance.operations import OPERATIONS

WRONG = """
import numpy as np
def relu(Z):
    return np.maximum(Z, 0), Z
def relu_backward(dA, cache):
    return dA * (cache >= 0)
def affine_backward(dZ, cache):
    A, W, b = cache
    return dZ @ W.T, A.T @ dZ / len(A), dZ.sum(0)
"""


@pytest.fixture
def wrong(tmp_path):
    path = tmp_path / "kernels.py"
    path.write_text(WRONG)
    return path


def executed(path, folder):
    """Run a script where the package cannot be imported."""
    code = (
        "import sys, runpy\n"
        "class No:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] in ('conformance', 'torch'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, No())\n"
        f"runpy.run_path({str(path)!r}, run_name='__main__')\n"
    )
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_repro_writes_a_script_of_the_smallest_case(wrong, tmp_path, capsys):
    out = tmp_path / "shows.py"
    arguments = ["repro", "relu_backward:f32:m2h3w5c4:zeros:3", "--impl", str(wrong), "--script", str(out)]
    assert cli.main(arguments) == 1
    shown = capsys.readouterr().out
    assert "smallest case: relu_backward:f32:m1h1w1c1:zeros:" in shown
    done = executed(out, tmp_path)
    assert done.returncode == 1, done.stderr
    assert "dZ: 1 of 1 elements wrong" in done.stdout
    wrong.write_text(WRONG.replace(">= 0", "> 0"))  # mended, the same script passes
    assert executed(out, tmp_path).returncode == 0


def test_a_wrong_shape_shows(wrong, tmp_path):
    trial = Trial(load(str(wrong)), Case.parse("affine_backward:f64:m3i4o2:normal:1"))
    out = tmp_path / "shows.py"
    out.write_text(script.write(trial, trial.records(None), str(wrong)))
    done = executed(out, tmp_path)
    assert done.returncode == 1
    assert "db: shape and dtype are" in done.stdout
    assert "dA_prev: 0 of 12 elements wrong" in done.stdout


@pytest.mark.parametrize("op", OPERATIONS)
def test_a_right_kernel_passes_its_script_with_data_of_any_size(op, tmp_path):
    pytest.importorskip("cnnref")
    implementation = load("cnnref")
    case = list(generate([OPERATIONS[op]], ["f32"], 60, 3))[-1]
    trial = Trial(implementation, case)
    text = script.write(trial, trial.records(None), "cnnref")
    namespace = {"__name__": "__main__"}
    with pytest.raises(SystemExit) as ended:
        exec(compile(text, "script", "exec"), namespace)
    assert ended.value.code == 0
    for name, array in trial.arrays.items():
        assert namespace[name].tobytes() == array.tobytes() if name not in case.operation.outputs else True


def test_a_program_has_no_script(tmp_path, capsys):
    arguments = ["repro", "relu:f32:m1h1w1c1:normal:0", "--impl", "exec:./k"]
    assert cli.main([*arguments, "--script", str(tmp_path / "x.py")]) == 2
    assert "is a program" in capsys.readouterr().err
