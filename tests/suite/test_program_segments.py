"""Programs that ask for segments: plain Python that has nothing but the protocol's page."""

import re
import shutil
import sys

import numpy as np
import pytest

from conformance.cases.case import Case
from conformance.cli import main
from conformance.implementations.program import Program, ProgramError

#: Finds its arguments in one descriptor and puts its answer into the other.
PROGRAM = """
import array, os, sys
read, write = sys.stdin.buffer, sys.stdout.buffer
given, answers = map(int, os.environ["CONFORMANCE_SEGMENTS"].split())
for line in read:
    if line == b"functions\\n":
        write.write(b"INTRODUCTION\\nfunctions relu\\n")
        write.flush()
        continue
    kind = line.split()[2].decode()
    words = read.readline().split()
    axes = int(words[3])
    *extents, at = map(int, words[4:])
    assert len(extents) == axes
    size = 8 if kind == "f64" else 4
    for extent in extents:
        size *= extent
    Z = array.array("d" if kind == "f64" else "f", os.pread(given, size, at))
    A = array.array(Z.typecode, [x if x > 0 or x != x else 0.0 for x in Z])
    if size:
        os.pwrite(answers, A.tobytes(), 64)
    head = "ok 1\\narray A %s %d %s 64\\n" % (kind, axes, " ".join(map(str, extents)))
    if extents[0] == 2:
        MISTAKE
    write.write(head.encode())
    write.flush()
"""

MISTAKES = {
    "no offset": ("head = head.replace(' 64', '')", "expected array NAME f32|f64|i64 AXES EXTENT ... OFFSET"),
    "another place": ("head = head.replace(' 64', ' 4096')", "is not in the segment of the answers: 0 of 24"),
    "the last answer, not written again": ("os.ftruncate(answers, 0)", "answers: 0 of 24 bytes"),
    "an enormous one": ("head = 'ok 1\\narray A f32 1 9999999999 64\\n'", "announces more than"),
    "bytes as well": ("head += 'more'", "wrote 'more' after its answer"),
    "a negative place": ("head = head.replace(' 64', ' -64')", "expected array NAME"),
}


def program(mistake="pass", introduction="protocol 2 segments"):
    text = PROGRAM.replace("MISTAKE", mistake).replace("INTRODUCTION", introduction)
    return Program([sys.executable, "-c", text], 6.0)


def relu(asked, m):
    case = Case.parse(f"relu:f32:m{m}h1w1c3:small:0")
    Z = np.arange(-1, 3 * m - 1, dtype=np.float32).reshape(m, 1, 1, 3)
    assert np.array_equal(asked.answer(case, {"Z": Z})["A"], np.maximum(Z, 0))


@pytest.mark.parametrize(("mistake", "message"), MISTAKES.values(), ids=MISTAKES)
def test_the_cases_after_a_broken_answer_are_answered(mistake, message):
    asked = program(mistake)
    relu(asked, 1)
    for _ in range(2):
        with pytest.raises(ProgramError, match=re.escape(message)):
            relu(asked, 2)
        relu(asked, 3)
    assert asked.segments
    asked.close()


def test_what_an_earlier_case_left_is_no_answer():
    """The segment of the answers is empty when a case is asked for."""
    silent = "os.pwrite(answers, A.tobytes(), 64)"
    text = PROGRAM.replace(silent, f"seen = globals().setdefault('seen', 0) + 1; seen > 1 or {silent}")
    text = text.replace("MISTAKE", "pass").replace("INTRODUCTION", "protocol 2 segments")
    asked = Program([sys.executable, "-c", text], 6.0)
    relu(asked, 2)
    with pytest.raises(ProgramError, match="answers: 0 of 24 bytes"):
        relu(asked, 2)
    asked.close()


def test_nobody_seals_a_segment():
    asked = program("import fcntl; fcntl.fcntl(given, 1033, 8)  # F_ADD_SEALS, F_SEAL_WRITE")
    relu(asked, 1)
    with pytest.raises(ProgramError, match="PermissionError"):
        relu(asked, 2)
    asked.close()


@pytest.mark.parametrize("said", ["protocol 3", "protocol", "protocol 1 segments", "protocol 2 files"])
def test_another_version_is_refused_by_name(said):
    with pytest.raises(ProgramError, match=f"answered '{said}', expected protocol 1, protocol 2 or"):
        program(introduction=said).has("relu")


def test_a_run_of_it_agrees(tmp_path, capsys):
    path = tmp_path / "kernels.py"
    path.write_text(PROGRAM.replace("MISTAKE", "pass").replace("INTRODUCTION", "protocol 2 segments"))
    spec = f"exec:{shutil.which(sys.executable)} {path}"
    asked = ["run", "--impl", spec, "--ops", "relu", "--cases", "20", "--workers", "1"]
    assert main([*asked, "--out", str(tmp_path / "out")]) == 0, capsys.readouterr().out
