"""examples/github-actions.yml: what it runs there is, and its steps do what they say."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conformance.commands import cli

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "examples" / "github-actions.yml").read_text(encoding="utf-8")
JOBS = yaml.safe_load(TEXT)["jobs"]

#: Where the example says that cnnref's repository is.
REPOSITORY = "git+https://github.com/OWNER/cnnref"

#: A package with one function, as a user's repository has it.
KERNELS = "import numpy as np\n\n\ndef relu(Z):\n    return np.maximum(Z, 0), Z\n"


def lines(program):
    """The words of each line that starts `program`, with the environment of its job put in."""
    found = []
    for job in JOBS.values():
        for step in job["steps"]:
            for line in step.get("run", "").splitlines():
                line = re.sub(r"\$(\w+)", lambda m, job=job: job.get("env", {}).get(m[1], m[0]), line)
                words = shlex.split(line, comments=True)
                if words[:1] == [program]:
                    found.append(words[1:])
    return found


def test_every_command_is_one_that_is_looked_at_here():
    programs = {
        shlex.split(line)[0]
        for job in JOBS.values()
        for step in job["steps"]
        for line in step.get("run", "").splitlines()
    }
    assert programs == {"pip", "conformance", "pytest", "cat"}


def test_what_is_installed_is_on_an_index_or_in_a_repository():
    asked = [word for words in lines("pip") for word in words[1:]]
    ours = [word for word in asked if "cnnref" in word]
    assert ours == [f"cnnref[conformance] @ {REPOSITORY}"] * len(JOBS)
    assert set(asked) - set(ours) == {".", "pytest", "pytest-xdist"}


def test_pip_takes_the_requirement_of_the_example(tmp_path):
    """With this repository in the place of the one on the net, and without building the kernels."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    requirement = f"cnnref[conformance] @ git+file://localhost{ROOT}"
    command = "pip install --dry-run --no-deps --no-build-isolation --no-index --ignore-installed"
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), requirement], cwd=tmp_path,
        env={**os.environ, "CNNREF_EXTENSIONS": "0"}, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Would install cnnref-" in done.stdout


def test_the_commands_have_these_options():
    asked = lines("conformance")
    asked += [
        shlex.split(line.strip("# "))[1:]
        for line in TEXT.splitlines()
        if line.strip("# ").startswith("conformance gate")
    ]
    assert len(asked) == 2, "the gate, and how its baseline is written"
    for words in asked:
        assert cli.parser().parse_args(words).command == "gate"


def test_the_steps_do_what_they_say(tmp_path):
    """The gate with its baseline, the report that is shown, the cases as tests."""
    (tmp_path / "mypackage").mkdir()
    (tmp_path / "mypackage" / "__init__.py").write_text("")
    (tmp_path / "mypackage" / "kernels.py").write_text(KERNELS)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "PYTEST_ADDOPTS": ""}

    def ended(*words):
        return subprocess.run(
            [sys.executable, "-m", *words], cwd=tmp_path, env=environment,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    (gate,) = lines("conformance")
    first = ended("conformance", *gate, "--update", "--ops", "relu", "--cases", "12", "--dtype", "f32")
    assert first.returncode == 0, first.stderr
    done = ended("conformance", *gate)
    assert (done.returncode, "Gate: passed" in done.stdout) == (0, True), done.stdout + done.stderr
    ((report, *_),) = lines("cat")
    assert "mypackage.kernels" in (tmp_path / report).read_text()
    ((*words,),) = lines("pytest")
    few = ["--conformance-ops", "relu", "--conformance-dtype", "f32", "-p", "conformance.pytest_plugin"]
    done = ended("pytest", *words, *few, "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout
    assert "40 passed" in done.stdout
