"""What the build refuses, in one sentence and before anything is translated."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
#: setup.py on a machine that is only said to be there.
ELSEWHERE = """
import runpy, sys, sysconfig
if {target!r}: sysconfig.get_platform = lambda: {target!r}
sysconfig.get_config_vars()["CFLAGS"] += {cflags!r}
if {size!r}: sys.maxsize = {size!r}
sys.argv = ["setup.py", "--quiet", "build_ext", "--help"]
runpy.run_path("setup.py", run_name="__main__")
"""


def built(target="", size=0, cflags="", **environment):
    """The exit status of ``setup.py`` and what it wrote to standard error."""
    if not (TREE / "setup.py").is_file():
        pytest.skip("not a source tree")
    program = ELSEWHERE.format(target=target, size=size, cflags=cflags)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=TREE,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"target": "win-amd64"}, "Windows is not supported; build it in WSL"),
        ({"target": "linux-i686", "size": 2**31 - 1}, "linux-i686 is a 32-bit machine; a 64-bit Python"),
        (
            {"CC": "no-such-compiler -O2"},
            "'no-such-compiler' is not on PATH; install gcc or clang, or set CC",
        ),
        ({"CC": "false"}, "the C compiler 'false' builds no program: exit status 1"),
    ],
)
def test_refused_in_a_sentence(arguments, said):
    status, stderr = built(**arguments)
    assert status == 1
    assert stderr.startswith("cnnref: ")
    assert said in stderr
    assert len(stderr.splitlines()) == 1


def compiler(folder, refused):
    """A compiler that does not know one flag."""
    path = folder / "cc"
    refusing = f'case " $* " in *" {refused} "*) echo "cc: error: no {refused}" >&2; exit 1;; esac'
    path.write_text(f'#!/bin/sh\n{refusing}\nexec gcc "$@"\n')
    path.chmod(0o755)
    return str(path)


def test_without_openmp_it_says_so(tmp_path):
    status, stderr = built(CC=compiler(tmp_path, "-fopenmp"))
    assert status == 0
    assert "has no OpenMP, so every call runs on one thread: cc: error: no -fopenmp" in stderr


def test_an_instruction_set_is_not_dropped_in_silence(tmp_path):
    status, stderr = built(target="linux-x86_64", CC=compiler(tmp_path, "-mavx512bw"))
    assert status == 0
    assert "cnnref: not built for avx512: cc: error: no -mavx512bw" in stderr


def test_openmp_of_homebrew_is_named(tmp_path):
    status, stderr = built(target="macosx-14.0-arm64", CC=compiler(tmp_path, "-fopenmp"))
    assert status == 0
    assert "(`brew install libomp`)" in stderr


def test_what_is_built_for_two_architectures_is_tried_for_both(tmp_path):
    """Homebrew's OpenMP is of one, and would end a universal build at its last step."""
    both, log, path = "-arch arm64 -arch x86_64", tmp_path / "log", tmp_path / "cc"
    path.write_text(
        f'#!/bin/sh\necho "$@" >>"{log}"\ncase "$*" in *"{both}"*-lomp*|*-fopenmp*) exit 1; esac\n'
    )
    path.chmod(0o755)
    status, stderr = built("macosx-11.0-universal2", cflags=f" {both} -g", CC=str(path), LIBOMP="/opt/omp")
    assert status == 0
    assert "has no OpenMP (`brew install libomp`), so every call runs on one thread" in stderr
    probes = log.read_text().splitlines()
    assert probes
    assert all(line.startswith(f"{both} -Werror") for line in probes)
    assert any("-I/opt/omp/include -L/opt/omp/lib -lomp" in line for line in probes)
    assert not any("-mavx2" in line for line in probes)
