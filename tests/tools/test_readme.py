"""The README alone: what it shows runs, from the report to a module with a mistake in it."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def commands(start):
    """The lines after ``$`` in the README that begin with `start`, without their comments."""
    found = re.findall(rf"^\$ ({re.escape(start)}.*)$", README, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in found]


def conformance(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "conformance", *arguments], cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=300, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_it_fits_on_a_screen_before_the_details():
    first = README.partition("\n## ")[0]
    assert len(first.splitlines()) <= 32
    for word in ("ci/report", "ci/test", "docs/report.png", "It is for you"):
        assert word in first


def test_every_file_it_names_is_there():
    linked = re.findall(r"\]\(([^)#:]+)\)", README)
    named = re.findall(r"`((?:ci|examples|tests)/[\w./-]+)", README)
    assert len(linked) >= 4
    for path in [*linked, *named]:
        assert (ROOT / path).exists(), path


def test_the_python_runs():
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    scope = {}
    for block in blocks:
        exec(block, scope)
    assert scope["dW"].shape == scope["W"].shape
    assert scope["Z"].shape == (2, 28, 28, 8)


@pytest.mark.parametrize("line", commands("conformance"), ids=" ".join)
def test_every_command_parses(line):
    from conformance.commands import cli

    cli.parser().parse_args(line[1:])


def test_the_module_with_a_mistake(tmp_path):
    (line,) = (words for words in commands("conformance run") if "examples/mistake/mykernels.py" in words)
    done = conformance(*line[1:], "--out", str(tmp_path))
    assert done.returncode == 1, done.stderr
    assert re.search(r"affine_backward\.dW: \d+ of \d+ failed: gradient-divided-by-m", done.stdout)
    failing = {
        (op, output)
        for op, outputs in json.loads((tmp_path / "summary.json").read_text())["operations"].items()
        for output, figures in outputs.items()
        if figures["failed"]
    }
    assert failing == {("affine_backward", "dW")}
    page = (tmp_path / "report.html").read_text()
    assert "gradient-divided-by-m" in page
    # What is wrong can be run again by the line that the report shows.
    case = re.search(r"conformance repro (?:&#39;|')(affine_backward[^&']+)(?:&#39;|')", page)[1]
    again = conformance("repro", case, "--impl", "examples/mistake/mykernels.py")
    assert again.returncode == 1
    assert "gradient-divided-by-m" in again.stdout


def test_the_report_of_cnnref(tmp_path):
    """What `ci/report` runs once it has built, with fewer cases."""
    script = (ROOT / "ci" / "report").read_text()
    (words,) = re.findall(r'^exec \.venv/bin/conformance (.*) "\$@"$', script, re.MULTILINE)
    done = conformance(*words.split(), "--cases", "20", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failed" in done.stdout
    assert f"Report: {tmp_path / 'report.html'}" in done.stdout
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_install_is_what_the_readme_says():
    # ci/wheel does it for real: an empty environment, the wheel, the tests. Here: the extras exist.
    text = (ROOT / "pyproject.toml").read_text()
    extras = set(re.findall(r"'\.\[(\w+)\]'", README))
    assert extras >= {"conformance", "train"}
    for extra in extras:
        assert re.search(rf"^{extra} = \[", text, re.MULTILINE), extra
