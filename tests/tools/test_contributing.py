"""CONTRIBUTING.md, "Add an operation", followed literally in a copy of the tree."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STEP = re.compile(
    r"^(?:Make `(?P<new>[^`]+)`|In `(?P<file>[^`]+)`, after `(?P<line>[^`]+)`):\n\n"
    r"```\w+\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def follow(tree, text):
    """Do what the steps say; returns how many there were."""
    steps = list(STEP.finditer(text))
    for step in steps:
        if step["new"]:
            path = tree / step["new"]
            assert not path.exists(), f"{step['new']} is there already"
            path.write_text(step["code"])
            continue
        path = tree / step["file"]
        lines = path.read_text().splitlines(keepends=True)
        found = [number for number, line in enumerate(lines) if line.lstrip().startswith(step["line"])]
        assert len(found) == 1, f"{step['file']}: {step['line']!r} starts {len(found)} lines"
        lines.insert(found[0] + 1, step["code"])
        path.write_text("".join(lines))
    return len(steps)


def run(tree, *command):
    environment = os.environ | {"PYTHONPATH": str(tree), "CNNREF_ISA": "baseline"}
    return subprocess.run(
        [sys.executable, *command], cwd=tree, env=environment, capture_output=True, text=True, check=False,
        timeout=600,
    )  # fmt: skip


def build(tree):
    # One instruction set is enough to see whether the steps hold.
    script = (
        "import runpy, sys, setuptools; from setuptools import Extension;"
        "sys.argv = ['setup.py', '--quiet', 'build_ext', '--inplace'];"
        "real = setuptools.setup;"
        "setuptools.setup = lambda ext_modules, **k: real("
        "ext_modules=[e for e in ext_modules if e.name.endswith('baseline.threshold')], **k);"
        "runpy.run_path('setup.py', run_name='__main__')"
    )
    done = run(tree, "-c", script)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the sources and of what is built, with the steps done."""
    place = tmp_path_factory.mktemp("tree")
    skip = shutil.ignore_patterns("__pycache__", "_avx*")
    for name in ("cnnref", "conformance"):
        shutil.copytree(ROOT / name, place / name, ignore=skip)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, place)
    assert follow(place, (ROOT / "CONTRIBUTING.md").read_text()) >= 3
    build(place)
    return place


def test_the_suite_knows_of_an_operation_in_one_place():
    steps = list(STEP.finditer((ROOT / "CONTRIBUTING.md").read_text()))
    assert [
        step["new"] or step["file"] for step in steps if "conformance" in (step["new"] or step["file"])
    ] == ["conformance/operations/threshold.py"]


def judged(tree, *options):
    return run(
        tree, "-m", "conformance", "run", "--ops", "threshold*", "--cases", "40", "--workers", "1",
        "--out", str(tree / "report"), *options,
    )  # fmt: skip


def test_the_new_operation_agrees(tree):
    for options in ((), ("--dtype", "f16", "bf16")):
        done = judged(tree, *options)
        assert done.returncode == 0, done.stdout + done.stderr[-2000:]
        assert "160 cases, 160 passed, 0 failed, 0 absent" in done.stdout
    assert str(tree) in run(tree, "-c", "import cnnref; print(cnnref.__file__)").stdout


def test_it_fails_when_it_is_broken_as_the_text_says(tree):
    path = tree / "cnnref" / "threshold.pyx"
    before = path.read_text()
    assert before.count("0 >= z[i]") == 1
    path.write_text(before.replace("0 >= z[i]", "0 > z[i]"))
    build(tree)
    done = judged(tree)
    assert done.returncode == 1, done.stdout
    assert "threshold_backward.dZ" in done.stdout
