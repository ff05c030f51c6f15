"""What `ci/release` relies on, without building anything."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "ci" / "release").is_file(), reason="not a source tree")


def test_the_version_stands_in_one_place_and_has_its_changes():
    versions = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert len(versions) == 1
    assert re.search(rf"^## {re.escape(versions[0])}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    said = [path for package in ("cnnref", "conformance") for path in (ROOT / package).rglob("*.py")]
    assert not [path for path in said if re.search(r'__version__ = "\d', path.read_text())]


def test_the_example_that_is_tried_is_the_readme_s_first():
    """As the script takes it: what a user would paste runs with NumPy alone."""
    (program,) = re.findall(r"^awk '(.*)' README.md", (ROOT / "ci" / "release").read_text(), re.MULTILINE)
    done = subprocess.run(
        ["awk", program, ROOT / "README.md"], capture_output=True, text=True, check=True, timeout=20
    )
    scope = {}
    exec(done.stdout, scope)
    assert scope["dW"].shape == scope["W"].shape
    assert set(re.findall(r"^import (\w+)", done.stdout, re.MULTILINE)) == {"numpy", "cnnref"}


def test_nothing_is_published_but_from_a_tag_and_with_the_switch_on():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    publish = workflow["jobs"]["publish"]
    assert publish["if"] == "vars.PUBLISH == 'true' && startsWith(github.ref, 'refs/tags/v')"
    assert publish["permissions"] == {"id-token": "write"}
    assert set(publish["needs"]) == set(workflow["jobs"]) - {"publish"}
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert commands
    for command in commands:
        assert (ROOT / command).is_file(), command


def test_the_commands_are_bash_that_parses():
    for path in sorted((ROOT / "ci").iterdir()):
        if path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/env bash"):
            done = subprocess.run(
                ["bash", "-n", path], capture_output=True, text=True, check=False, timeout=20
            )
            assert done.returncode == 0, done.stderr
