"""Programs behind pipes that break the protocol: one failed case each, and the program is started anew."""

import signal
import sys
import time

import numpy as np
import pytest

from conformance.cases.case import Case
from conformance.implementations.program import Program, ProgramError

#: Answers rightly, except to a case with as many rows as a mistake has its number.
PROGRAM = """
import os, subprocess, sys, time
import numpy as np
read, write = sys.stdin.buffer, sys.stdout.buffer
for line in read:
    if line == b"functions\\n":
        write.write(b"functions relu\\n")
        write.flush()
        continue
    extents = [int(word) for word in read.readline().split()[4:]]
    Z = np.frombuffer(read.read(4 * int(np.prod(extents))), "<f4").reshape(extents)
    head = b"ok 1\\narray A f32 4 %d %d %d %d\\n" % tuple(extents)
    data = np.maximum(Z, 0).tobytes()
    if extents[0] == 2:
        MISTAKE
    write.write(head + data)
    write.flush()
"""

MISTAKES = {
    "a signal without a name": ("os.kill(os.getpid(), 40)", "died of signal 40"),
    "surplus bytes": ("data += b'more'", "wrote 'more' after its answer, expected nothing"),
    "the answer twice": ("data += head + data", "wrote 'ok 1' after its answer"),
    "an extent that is none": ("head = b'ok 1\\narray A f32 4 2 x 1 3\\n'", "expected array NAME"),
    "an extent with a sign": ("head = b'ok 1\\narray A f32 4 2 +1 1 3\\n'", "expected array NAME"),
    "nothing, enormously": (
        "head, data = b'ok 1\\narray A f32 2 0 ' + b'9' * 19 + b'\\n', b'rest of it'",
        "announces more than",
    ),
    "too large an extent": ("head = b'ok 1\\narray A f32 4 2 1 1 9999999999\\n'", "announces more than"),
    "another output": ("head = head.replace(b'A', b'B')", "with a name of A"),
    "a wrong count": ("head = head.replace(b'ok 1', b'ok 2')", "expected ok 1"),
    "too little": ("data = data[:-1]", "no answer within 5.4 seconds"),
    "a line without an end": ("head = b'x' * 50_000", "expected a line of text"),
    "a long line": ("head = b'x' * 50_000 + b'\\n' + head", "expected a line of text"),
    "a child that keeps its output open": (
        "subprocess.Popen(['sleep', '30']); os._exit(3)",
        "ended with exit status 3",
    ),
    "killed each time": ("os.kill(os.getpid(), 9)", r"died of signal 9 \(SIGKILL\)"),
}


def relu(program, m):
    case = Case.parse(f"relu:f32:m{m}h1w1c3:small:0")
    Z = np.arange(-1, 3 * m - 1, dtype=np.float32).reshape(m, 1, 1, 3)
    assert np.array_equal(program.answer(case, {"Z": Z})["A"], np.maximum(Z, 0))


def program(mistake, time_limit=6.0):
    return Program([sys.executable, "-c", PROGRAM.replace("MISTAKE", mistake)], time_limit)


@pytest.mark.parametrize(("mistake", "message"), MISTAKES.values(), ids=MISTAKES)
def test_the_cases_after_a_broken_answer_are_answered(mistake, message):
    asked = program(mistake)
    relu(asked, 1)
    for _ in range(2):
        with pytest.raises(ProgramError, match=message):
            relu(asked, 2)
        relu(asked, 3)
        relu(asked, 1)
    asked.close()


def test_what_comes_late_is_not_the_next_answer():
    """The program is asked for the other case only when its surplus is there."""
    asked = program("write.write(head + data); write.flush(); time.sleep(0.3); head, data = b'ok 1', b''")
    relu(asked, 2)
    time.sleep(1.0)
    with pytest.raises(ProgramError, match="wrote 'ok 1' before it was asked"):
        relu(asked, 3)
    relu(asked, 3)
    asked.close()


def test_a_program_that_is_killed_from_outside_is_asked_again(tmp_path):
    """By the system, for want of memory say: the case is not lost."""
    once = f"if not os.path.exists({str(tmp_path / 'once')!r}): open({str(tmp_path / 'once')!r}, 'w'); "
    asked = program(once + "os.kill(os.getpid(), 9)")
    relu(asked, 1)
    relu(asked, 2)
    assert (tmp_path / "once").exists()
    asked.close()


def test_a_large_request_is_written_while_the_answer_is_read():
    """A program that answers before it has read all blocks nobody, nor does one that never reads."""
    head = "array A f32 4 1 1 1 400000"
    early = (
        f"print('ok 1\\n{head}', flush=True); write.write(bytes(1600000)); write.flush(); read.read(1600040)"
    )
    code = PROGRAM.replace("    extents =", f"    {early}; continue\n    extents =")
    case, Z = Case.parse("relu:f32:m1h1w1c400000:small:0"), np.zeros((1, 1, 1, 400_000), np.float32)
    asked = Program([sys.executable, "-c", code], 20.0)
    assert asked.answer(case, {"Z": Z})["A"].shape == Z.shape
    asked.close()
    deaf = Program(
        [sys.executable, "-c", PROGRAM.replace("    extents =", "    time.sleep(60)\n    extents =")], 2.0
    )
    with pytest.raises(ProgramError, match=r"no answer within 1\.8 seconds"):
        deaf.answer(case, {"Z": Z})
    deaf.close()


def test_the_name_of_a_signal_is_said_where_it_has_one():
    asked = program(f"os.kill(os.getpid(), {int(signal.SIGUSR1)})")
    with pytest.raises(ProgramError, match=r"died of signal \d+ \(SIGUSR1\)"):
        relu(asked, 2)
    asked.close()
