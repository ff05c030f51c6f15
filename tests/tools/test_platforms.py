"""What is said of platforms, Pythons and compilers agrees; the commands that try them say what they lack."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "ci" / "pythons").is_file(), reason="not a source tree")


def rows():
    """The README's table: ``{what: state}``."""
    section = (ROOT / "README.md").read_text().partition("\n## Where it runs\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| ([^|]+) \| (tested|built|untested|refused) \| ", section, re.MULTILINE)
    return dict(found)


def pythons(state):
    """The versions of the table's rows of that state."""
    return {
        version
        for what, said in rows().items()
        if said == state and "free-threaded" not in what
        for version in re.findall(r"\b3\.\d+\b", what)
    }


def test_every_state_is_in_the_table():
    assert set(rows().values()) == {"tested", "built", "untested", "refused"}


def test_the_classifiers_are_what_is_tested():
    project = (ROOT / "pyproject.toml").read_text()
    said = set(re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project))
    assert said == pythons("tested")
    systems = set(re.findall(r'"Operating System :: (.+)"', project))
    assert systems == {"POSIX :: Linux"}
    assert [what for what, state in rows().items() if state == "untested" and "macOS" in what]


def test_the_wheels_are_of_the_table_s_pythons_and_machines():
    project = (ROOT / "pyproject.toml").read_text()
    (built,) = re.findall(r'^build = "(.+)"$', project, re.MULTILINE)
    wheels = {f"{name[2]}.{name[3:-2]}" for name in built.split()}
    assert wheels == pythons("tested") | pythons("built")
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    machines = workflow["jobs"]["wheels"]["strategy"]["matrix"]["os"]
    assert {re.split("-", name)[0] for name in machines} == {"ubuntu", "macos"}
    assert any(name.endswith("-arm") for name in machines)


def test_the_bits_of_the_readme_are_those_of_the_table():
    count = sum(map(len, yaml.safe_load((ROOT / "tests" / "data" / "bits.json").read_text()).values()))
    (line,) = [
        what for what in (ROOT / "README.md").read_text().splitlines() if "aarch64" in what and "bits" in what
    ]
    assert f"{count:,} of {count:,} outputs" in line


def test_each_python_is_listed_once(tmp_path):
    """By what it says of itself, whatever it is called."""
    for name, said in (
        ("python3.10", "3.10"),
        ("python3.12", "3.10"),
        ("python3.13", "3.13"),
        ("python3.13t", "3.13t"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {said}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "python3.11").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python3.11").chmod(0o755)
    (tmp_path / "python3.14").symlink_to("nowhere")
    for tool in ("bash", "dirname", "id"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    done = subprocess.run(
        [ROOT / "ci" / "pythons", "--list"], env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip
    assert [Path(line).name for line in done.stdout.split()] == ["python3.10", "python3.13", "python3.13t"]


def test_what_is_missing_for_arm_is_said_before_anything_is_built(tmp_path):
    for tool in ("bash", "dirname"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    done = subprocess.run(
        [ROOT / "ci" / "arm"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("ci/arm: aarch64-linux-gnu-gcc not found; it is in Debian's")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("compiler", ["clang", "clang-16", "clang-19"])
def test_clang_is_taken_with_openmp_and_for_every_instruction_set(compiler):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    done = subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext", "--help"], cwd=ROOT,
        env=os.environ | {"CC": compiler}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "cnnref: " not in done.stderr
