"""The pytest plugin: each case a test by its one-line name, the same tests in every process."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KERNELS = """
import numpy as np
def relu(Z):
    return np.maximum(Z, 0), Z
def relu_backward(dA, cache):
    return dA * (cache >= 0)
"""


def run(tmp_path, *arguments):
    (tmp_path / "kernels.py").write_text(KERNELS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "conformance.pytest_plugin"),
            *("-p", "no:cacheprovider", "--rootdir", str(tmp_path), *arguments),
        ],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


FEW = (
    "--conformance-cases",
    "8",
    "--conformance-dtype",
    "f32",
    "--conformance-ops",
    "relu,relu_backward,softmax",
)


def test_each_case_is_a_test(tmp_path):
    status, out = run(tmp_path, "--conformance-impl", "kernels", *FEW, "-rsf")
    assert status == 1
    assert "conformance::relu_backward:f32:" in out
    assert "[relu-gradient-at-zero]" in out
    assert "conformance repro relu_backward:f32:" in out
    assert "Traceback" not in out
    assert "8 skipped" in out
    assert "has no softmax" in out


def test_names_choose_and_nothing_is_added_without_the_option(tmp_path):
    status, out = run(tmp_path, "--conformance-impl", "kernels", *FEW, "-k", "relu and not relu_backward")
    assert (status, "8 passed, 16 deselected" in out) == (0, True)
    assert run(tmp_path)[0] == 5  # no tests collected


def test_an_option_that_cannot_be_used_is_one_line(tmp_path):
    status, out = run(tmp_path, "--conformance-impl", "nothing_here")
    assert (status, "no such module" in out, "Traceback" in out) == (4, True, False)
    status, out = run(tmp_path, "--conformance-impl", "kernels", "--conformance-ops", "conv3d")
    assert (status, "no operation matches" in out) == (4, True)


def test_xdist_runs_the_same_tests(tmp_path):
    if importlib.util.find_spec("xdist") is None:
        pytest.skip("pytest-xdist is not installed")
    alone = run(tmp_path, "--conformance-impl", "kernels", *FEW)[1].splitlines()[-1]
    several = run(tmp_path, "--conformance-impl", "kernels", *FEW, "-n", "2")[1].splitlines()[-1]
    assert alone.split(" in ")[0] == several.split(" in ")[0]


def test_the_entry_point_is_declared():
    declared = {(entry.name, entry.value) for entry in entry_points(group="pytest11")}
    assert ("conformance.pytest_plugin", "conformance.pytest_plugin") in declared
