"""What an implementation does to the process that judges it, to its descriptors and to its children."""

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from conformance.cases.case import Case
from conformance.cli import main
from conformance.diagnosis.findings import find_all
from conformance.faults import KILLED
from conformance.faults.diagnose import explain
from conformance.generation.generate import generate
from conformance.implementations.channel import LARGEST, BrokenChannelError, Channel
from conformance.implementations.processes import Question, context
from conformance.operations import select
from conformance.runs.lock import LOCK, reading, writing
from conformance.runs.pool import in_order
from conformance.runs.run import Options, Sweep, run
from conformance.runs.shards import Shard, SweepError
from conformance.runs.share import KILLS
from conformance.runs.workers import Workers, batches
from conformance.verdict.record import blank

HEAD = """
import ctypes, os, re, signal, socket, stat, sys, threading, time
import numpy as np
def sockets():
    for fd in range(3, 256):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode): yield fd
        except OSError: pass
def writable(fd):
    try: return stat.S_ISFIFO(os.fstat(fd).st_mode) and os.write(fd, b"") == 0
    except OSError: return False
"""

GARBAGE = "[os.write(fd, b'\\x7f\\xff\\xff\\xf0') for fd in sockets()]; time.sleep(60)"
CLOSED = "the process closed the channel it answers on in this case"


@pytest.fixture
def module(tmp_path):
    """Writes an implementation of ReLU that does something with ``Z`` of three samples, once or always."""

    def write(mistake):
        path = tmp_path / "kernels.py"
        path.write_text(
            f"{HEAD}\ndef relu(Z):\n    if len(Z) == 3:\n        {mistake}\n    return np.maximum(Z, 0), Z\n"
        )
        return str(path)

    return write


CASES = [Case.parse(f"relu:f32:m{m}h2w3c4:small:{m}") for m in (1, 2, 3, 4, 5)]


def judged(path, cases=CASES, limit=20.0, **more):
    found = {}
    for number, case, records in Workers(path, 1, time_limit=limit, **more).judge(cases):
        assert number not in found
        assert case == cases[number]
        found[number] = records[0]
    assert sorted(found) == list(range(len(cases)))
    return [found[number] for number in sorted(found)]


def one_failed(records):
    """The reason of the third case, which must be the only failure."""
    assert [record.status for record in records] == ["passed", "passed", "failed", "passed", "passed"]
    return records[2].reason


def test_a_forked_copy_of_a_worker_answers_nothing(module, tmp_path):
    """It goes on where the implementation forked, with the worker's cases and channel."""
    path = module("os.fork()")
    cases = [Case.parse(f"relu:f32:m{m}h2w3c4:small:{seed}") for seed in range(60) for m in (1, 3)]
    assert {record.status for record in judged(path, cases)} == {"passed"}
    wrong = module("Z = Z - (Z.shape[1] == 7) if os.fork() else Z")
    cases = [Case.parse(f"relu:f32:m3h{h}w3c4:small:{seed}") for h in (2, 7, 3) for seed in range(50)]
    statuses = [record.status for record in judged(wrong, cases)]
    assert statuses == ["passed"] * 50 + ["failed"] * 50 + ["passed"] * 50


def test_a_fork_that_python_does_not_see_answers_nothing(module):
    assert {r.status for r in judged(module("ctypes.CDLL(None).fork()"))} == {"passed"}


def test_what_another_process_sends_is_no_answer():
    """The kernel says who sent it, whatever stands in it."""
    channel, decoder = Channel(), msgspec.msgpack.Decoder(str)
    message = msgspec.msgpack.encode("right")
    child = os.fork()
    if not child:
        channel.theirs.send(message)
        os._exit(0)
    os.waitpid(child, 0)
    assert channel.receive(os.getpid(), decoder) is None
    channel.theirs.send(message)
    assert channel.receive(os.getpid(), decoder) == "right"
    for wrong, text in (
        (b"\x7f\xff\xff\xf0", "4 bytes that are no answer"),
        (b"", "0 bytes that are no answer"),
        (msgspec.msgpack.encode(7), "2 bytes|1 bytes"),
        (b"\xda\x00\x02\xff\xfe", "5 bytes that are no answer"),
        (bytes(LARGEST + 1), "more than"),
    ):
        channel.theirs.send(wrong)
        with pytest.raises(BrokenChannelError, match=text):
            channel.receive(os.getpid(), decoder)
    channel.theirs.close()
    with pytest.raises(EOFError):
        channel.receive(os.getpid(), decoder)
    channel.close()


@pytest.mark.parametrize(
    ("mistake", "reason"),
    [
        (GARBAGE, "broke the channel .*no answer"),
        (
            "[os.write(fd, bytes(200_000)) for fd in sockets()]; time.sleep(60)",
            "broke the channel .*more than",
        ),
        ("[os.close(fd) for fd in sockets()]; time.sleep(60)", CLOSED),
        ("os.closerange(3, 256); time.sleep(60)", CLOSED),
        ("[os.dup2(1, fd) for fd in sockets()]; time.sleep(60)", CLOSED),
        ("[socket.socket(fileno=fd).shutdown(2) for fd in sockets()]; time.sleep(60)", CLOSED),
    ],
)
def test_writing_to_descriptors_is_one_failed_case(module, mistake, reason):
    """With a time limit that is not reached: nothing waits for the rest of a message."""
    started = time.monotonic()
    assert re.search(reason, one_failed(judged(module(mistake), limit=50.0)))
    assert time.monotonic() - started < 45


@pytest.mark.parametrize(
    "harmless",
    [
        "[os.set_blocking(fd, False) for fd in sockets()]",
        "sys.stdout = sys.stderr = None; os.close(1); os.close(2)",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "threading.Thread(target=time.sleep, args=(1000,)).start()",
        # every pipe, among them those by which multiprocessing's servers know that somebody is there
        "[os.write(fd, b'x') for fd in range(3, 256) if writable(fd)]",
    ],
)
def test_what_else_is_done_to_the_process_changes_no_verdict(module, harmless):
    assert {record.status for record in judged(module(harmless))} == {"passed"}


def test_a_finding_of_a_child_that_writes_to_its_descriptors_is_lost_alone(module):
    """The processes that look into failures hear a child in the same way."""
    path = module(GARBAGE)
    failed = [blank(CASES[i], "A", "failed", None, "wrong").but(diagnosis="unexplained") for i in (2, 0)]
    started = time.monotonic()
    found = find_all(path, failed, 1, 50.0)
    assert time.monotonic() - started < 45
    assert [finding.reason == "wrong" for finding in found] == [True, False]  # all that the record says


def _spin():
    while True:
        pass


def _send_garbage():
    for fd in range(3, 256):
        with contextlib.suppress(OSError):
            os.write(fd, b"\x7f\xff\xff\xf0")
    time.sleep(60)


def test_a_question_to_a_child_ends():
    decoder = msgspec.msgpack.Decoder(int)
    for function, patience in ((_spin, 3.0), (_send_garbage, 40.0), (sys.exit, 40.0)):
        child = Question(context(), function)
        started = time.monotonic()
        assert child.answer(decoder, patience) is None
        assert time.monotonic() - started < max(5.0, patience - 5)
        child.close()
    child = Question(context(), os.getpid)
    answer = child.answer(decoder, 40.0)
    assert answer not in (None, os.getpid())
    assert child.exitcode(20.0) == 0


#: Marks all that a run starts, however deep.
MARK = "CONFORMANCE_TEST_MARK"

SPINS = {
    "Python": "exec('while True: pass')",
    "C, with the interpreter's lock": "re.match(r'(a+)+$', 'a' * 80 + 'b')",
    "a C call": "ctypes.PyDLL(None).pause()",
    "deaf": "[signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15, 29)]; re.match(r'(a+)+$', 'a' * 80 + 'b')",
    "without descriptors": "os.closerange(0, 256); re.match(r'(a+)+$', 'a' * 80 + 'b')",
    "a forked copy": "os.fork() or re.match(r'(a+)+$', 'a' * 80 + 'b'); time.sleep(1000)",
}


def marked(mark):
    """The processes with that mark in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"{MARK}={mark}".encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.mark.parametrize("spin", SPINS.values(), ids=SPINS)
def test_all_that_a_run_started_ends_when_it_is_killed(module, tmp_path, spin):
    spinning = tmp_path / "spinning"
    path = module(f"open({str(spinning)!r}, 'w').close(); {spin}")
    killed_by(f"{path}", spinning, tmp_path)


def test_a_program_ends_when_the_run_is_killed(tmp_path):
    spinning, path = tmp_path / "spinning", tmp_path / "program.py"
    path.write_text(
        "print('functions relu', flush=True)\nimport re\n"
        f"open({str(spinning)!r}, 'w').close()\nre.match(r'(a+)+$', 'a' * 80 + 'b')\n"
    )
    killed_by(f"exec:{sys.executable} {path}", spinning, tmp_path)


def killed_by(spec, spinning, tmp_path):
    mark = str(tmp_path)
    asked = ["run", "--impl", spec, "--ops", "relu", "--cases", "60", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-m", "conformance", *asked], env={**os.environ, MARK: mark},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert until(spinning.exists, 180)
        assert len(marked(mark)) >= 3  # itself, the fork server, the worker
        process.kill()
        process.wait()
        assert until(lambda: not marked(mark), 60)
    finally:
        for pid in marked(mark):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("kills", [1, 3])
def test_a_worker_that_is_killed_now_and_then_is_no_failure(module, tmp_path, kills):
    """Nor does it change the records of the cases that it had answered, or was to answer."""
    log = tmp_path / "log"
    log.write_text("")
    path = module(
        f"log = open({str(log)!r}, 'a'); log.write('x'); log.close(); "
        f"os.path.getsize({str(log)!r}) <= {kills} and os.kill(os.getpid(), 9)"
    )
    assert {record.status for record in judged(path)} == {"passed"}
    assert len(log.read_text()) > kills + 1  # alone, and then with the others


def test_diagnoses_are_those_of_a_worker_that_was_not_killed(module, tmp_path):
    """They depend on the cases before in a batch, which is judged again as a whole."""
    once = tmp_path / "once"
    kill = f"os.path.exists({str(once)!r}) or open({str(once)!r}, 'w').close() or os.kill(os.getpid(), 9)"
    bodies = ["pass", kill]
    found = []
    for body in bodies:
        path = module(body)
        source = (
            Path(path)
            .read_text()
            .replace("np.maximum(Z, 0), Z", "np.maximum(Z, 0) / np.float32(1 + len(Z)), Z")
        )
        Path(path).write_text(source)
        cases = [Case.parse(f"relu:f32:m{1 + i % 4}h2w3c4:normal:{i}") for i in range(50)]
        found.append([record.line() for record in judged(path, cases, limit=60.0)])
    assert once.exists()
    assert found[0] == found[1]


def test_a_case_of_which_workers_are_killed_is_said_to_be_that(module):
    path = module("os.kill(os.getpid(), 9)")
    for isolate in (False, True):
        records = judged(path, isolate=isolate)
        reason = one_failed(records)
        assert reason.startswith("the process was killed by signal 9 (SIGKILL) in this case, and each time")
        assert "memory" in reason
        assert records[2].diagnosis == KILLED
        assert "killed from outside" in explain(KILLED)
    alone = module("len(seen) > 1 and os.kill(os.getpid(), 9)")
    source = (
        Path(alone).read_text().replace("def relu(Z):", "seen = set()\ndef relu(Z):\n    seen.add(len(Z))")
    )
    Path(alone).write_text(source)
    records = judged(alone)
    assert one_failed(records).startswith(
        f"the process was killed by signal 9 (SIGKILL) in this case, {KILLS} times"
    )


def test_a_crash_is_held_against_the_case_at_once(module, tmp_path):
    once = tmp_path / "once"
    path = module(f"os.path.exists({str(once)!r}) or open({str(once)!r}, 'w').close() or os.abort()")
    assert one_failed(judged(path)) == "the process died of signal 6 (SIGABRT) in this case"


def test_as_many_results_as_cases_or_none(tmp_path):
    """A pool that loses a case, answers twice or answers what nobody asked ends the run without a verdict."""
    cases = list(generate(select(["relu"]), ("f32",), 100, 0))

    class Lossy:
        ahead = 1000

        def __init__(self, change):
            self.change = change

        def judge_batches(self, queue):
            for batch in queue:
                if not batch:  # none at the moment, and nothing is at work here
                    return
                for number, case in self.change(batch):
                    yield number, case, [blank(case, "A", "passed")]

    def all_of(change):
        return list(in_order(Lossy(change), batches(cases)))

    assert len(all_of(lambda batch: batch)) == 100
    with pytest.raises(SweepError, match="cases were handed out and not judged"):
        all_of(lambda batch: batch[1:])
    for wrong in (
        lambda batch: batch + batch[:1],
        lambda batch: [(number + 100, case) for number, case in batch],
        lambda batch: [(batch[0][0], batch[1][1])],
    ):
        with pytest.raises(SweepError, match="which was not asked"):
            all_of(wrong)


def test_fewer_cases_than_asked_for_are_no_verdict(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Shard, "of", lambda self, *asked: batches([]))
    arguments = ["run", "--impl", "numpy_loops", "--ops", "relu", "--cases", "3", "--out", str(tmp_path)]
    assert main(arguments) == 2
    assert "6 cases were asked for and 0 judged" in capsys.readouterr().err
    assert not (tmp_path / "summary.json").exists()


def test_records_that_another_program_changes_are_no_verdict(tmp_path, capsys):
    results = tmp_path / "out" / "results.jsonl"
    path = tmp_path / "kernels.py"
    path.write_text(
        "import numpy as np\ndef relu(Z):\n"
        f"    if Z.shape[-1] == 9: open({str(results)!r}, 'a').write('{{}}\\n')\n"
        "    return np.maximum(Z, 0), Z\n"
    )
    asked = ["run", "--impl", str(path), "--ops", "relu", "--cases", "60", "--out", str(results.parent)]
    assert main(asked) == 2
    assert "was changed by another program" in capsys.readouterr().err


def test_two_runs_into_one_directory(tmp_path, capsys):
    """The second is refused, and what the first has written is still there."""
    out = tmp_path / "out"
    options = Options("numpy_loops", ("relu",), ("f32",), 20, 0)
    with writing(out):
        (out / "results.jsonl").write_text("the first run's\n")
        for more in ([], ["--resume"], ["--shard", "1/2"]):
            assert main(["run", "--impl", "numpy_loops", "--ops", "relu", "--out", str(out), *more]) == 2
            assert f"{out}: another run is at work there (process {os.getpid()})" in capsys.readouterr().err
        baseline = tmp_path / "baseline.json"
        asked = ["gate", "--baseline", str(baseline), "--update", "--ops", "relu", "--out", str(out)]
        assert main(asked) == 2
        with pytest.raises(SweepError, match="another run is at work"):
            run(options, out)
        assert (out / "results.jsonl").read_text() == "the first run's\n"
    assert not (out / LOCK).exists()
    run(options, out, sweep=Sweep(shard=Shard(1, 2)))  # and again, one after the other
    run(options, out, sweep=Sweep(shard=Shard(1, 2)))
    assert len((out / "results.jsonl").read_text().splitlines()) == 20


def test_shards_are_not_merged_while_one_is_written(tmp_path, capsys):
    parts = [tmp_path / "1", tmp_path / "2"]
    for index, part in enumerate(parts, 1):
        asked = ["--ops", "relu", "--cases", "60", "--shard", f"{index}/2", "--out", str(part)]
        assert main(["run", "--impl", "numpy_loops", *asked]) == 0
    whole = tmp_path / "whole"
    with writing(parts[0]):
        assert main(["merge", *map(str, parts), "--out", str(whole)]) == 2
        assert "another run is at work there" in capsys.readouterr().err
    with writing(whole):
        assert main(["merge", *map(str, parts), "--out", str(whole)]) == 2
    with reading(parts):  # two merges may read the same
        assert main(["merge", *map(str, parts), "--out", str(whole)]) in (0, 1)
    assert len((whole / "results.jsonl").read_text().splitlines()) == 120


def test_the_lock_of_a_killed_run_holds_nobody_up(tmp_path):
    code = f"""
import time
from pathlib import Path
from conformance.runs.lock import writing
with writing(Path({str(tmp_path)!r})):
    print("held", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(SweepError, match=rf"\(process {process.pid}\)"), writing(tmp_path):
        pass
    process.kill()
    process.wait()
    process.stdout.close()
    assert (tmp_path / LOCK).exists()
    with writing(tmp_path), open(tmp_path / LOCK) as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert file.read() == f"{os.getpid()}\n"
