"""Ctrl-C: a run keeps what it recorded; a long call ends, and other calls go on."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from calls import ELEMENTWISE, LOSSES
from child import ROOT, run

from conformance.implementations import channel, wire
from conformance.operations import OPERATIONS


def test_an_interrupted_run_stops_promptly_and_keeps_what_it_recorded(tmp_path):
    command = [sys.executable, "-m", "conformance", "run", "--impl", "numpy_loops", "--cases", "500"]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path)], cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True
    )
    results, until = tmp_path / "results.jsonl", time.monotonic() + 60
    while time.monotonic() < until and not (results.exists() and results.stat().st_size > 20_000):
        time.sleep(0.02)
    started = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    _, said = process.communicate(timeout=30)
    assert time.monotonic() - started < 5
    assert process.returncode == 130
    assert b"interrupted" in said
    assert b"--resume goes on" in said
    assert b"Traceback" not in said
    lines = results.read_text().splitlines()
    assert len(lines) > 20
    assert all(json.loads(line)["status"] for line in lines)


IN_A_DESTRUCTOR = """
import os, signal, sys, time
from conformance.commands.ending import status_of

class Held:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)  # where Python looks whether a signal came

def action():
    held = Held()
    del held
    time.sleep(10)
    return 0

sys.exit(status_of("run", action))
"""


def test_ctrl_c_is_heard_in_a_destructor():
    done = subprocess.run(
        [sys.executable, "-c", IN_A_DESTRUCTOR],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )
    assert done.returncode == 130
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("line", ["Segment()", "Segment().close()"])
def test_ctrl_c_between_any_two_lines_closes_nothing_twice(line, monkeypatch):
    told, at = [], 0  # of a descriptor that is closed twice the hook hears
    monkeypatch.setattr(sys, "unraisablehook", lambda said: told.append(said.exc_value))
    for at in range(200):
        left = at

        def trace(frame, event, _argument):
            nonlocal left
            if not frame.f_code.co_filename.endswith("wire.py"):
                return None
            frame.f_trace_opcodes = True
            left -= event == "opcode"
            if event == "opcode" and left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
            return trace

        sys.settrace(trace)
        try:
            eval(line, {"Segment": wire.Segment})
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        if left >= 0:  # it ended before
            break
    assert 5 < at < 199
    channel.Channel.__new__(channel.Channel).__del__()  # interrupted before there was a socket
    assert not [error for error in told if not isinstance(error, KeyboardInterrupt)]


LONG = """
import json, os, signal, sys, threading, time
import numpy as np, cnnref
x, w, b = (np.full(s, 0.5, np.float32) for s in ((32, 160, 160, 64), (5, 5, 64, 128), (1, 1, 1, 128)))
same, dZ = {"stride": 1, "pad": 2}, np.full((32, 160, 160, 128), 0.5, np.float32)
m, n = np.full((7000, 7000), 0.5), np.full((1, 7000), 0.5)
image = x.reshape(8, 320, 320, 64)
pool, wide = {"f": 60, "stride": 1}, np.full((8, 261, 261, 64), 0.5, np.float32)
calls = {
    "conv_forward": lambda: cnnref.conv_forward(x, w, b, same),
    "dW": lambda: cnnref.conv_backward(dZ, (x, w, b, same)),
    "dA_prev": lambda: cnnref.conv_backward(x, (dZ, w.reshape(5, 5, 128, 64), b[..., :64], same)),
    "affine_forward": lambda: cnnref.affine_forward(m, m, n),
    "affine_backward": lambda: cnnref.affine_backward(m, (m, m, n)),
    "pool_forward": lambda: cnnref.pool_forward(image, pool),
    "pool_backward": lambda: cnnref.pool_backward(wide, (image, pool), "average"),
}
small = lambda: cnnref.conv_forward(x[:1], w, b, same)[0].tobytes()
before, found = small(), {}
for name, call in calls.items():
    sent = []
    interrupt = lambda: (sent.append(time.process_time()), os.kill(os.getpid(), signal.SIGINT))
    timer = threading.Timer(0.2, interrupt)
    timer.start()
    try:
        call()
        timer.join()
        found[name] = "returned"
        time.sleep(0.1)
    except KeyboardInterrupt:
        found[name] = time.process_time() - sent[0]
assert small() == before
print(json.dumps(found))
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_ctrl_c_ends_a_long_call(threads):
    """Each call takes several seconds of processor time, of which little is spent after the signal."""
    found = json.loads(run(LONG, timeout=240, OMP_NUM_THREADS=threads))
    assert len(found) == 7
    assert not [name for name, seconds in found.items() if seconds == "returned"]
    assert max(found.values()) < 2, found


PENDING = """
import ctypes, functools, json, signal, time
import numpy as np, cnnref
rng = np.random.default_rng(0)
x = rng.random((16, 128, 128, 32), np.float32)
rows, labels = x.reshape(65536, 128), np.zeros(65536, int)
channel, w = x[:1, :1, :1], rng.random((3, 3, 32, 32), np.float32)
norm, same = {"training": True}, {"stride": 1, "pad": 1}
pools = {"plain": {"f": 2, "stride": 2}, "padded": {"f": 3, "stride": 1, "pad": 1}}
losses = {"label_smoothing": 0.1}
entropy = cnnref.cross_entropy_cost(rows, labels, **losses)[1]
part = functools.partial
calls = {
    "pad3d": part(cnnref.pad3d, x), "pad3d_backward": part(cnnref.pad3d_backward, x),
    "arr2col": part(cnnref.arr2col, x), "col2arr": part(cnnref.col2arr, x.reshape(16, -1), x),
    "conv_forward": part(cnnref.conv_forward, x, w, channel, same),
    "conv_backward": part(cnnref.conv_backward, x, (x, w, channel, same)),
    "conv_transpose_forward": part(cnnref.conv_transpose_forward, x, w, channel, same),
    "conv_transpose_backward": part(cnnref.conv_transpose_backward, x, (x, w, channel, same)),
    "affine_forward": part(cnnref.affine_forward, rows, rows[:128], rows[:1]),
    "affine_backward": part(cnnref.affine_backward, rows, (rows, rows[:128], rows[:1])),
    "global_average_pool_forward": part(cnnref.global_average_pool_forward, x),
    "global_average_pool_backward": part(cnnref.global_average_pool_backward, x[:, :1, :1], x),
    "batch_norm_forward": part(cnnref.batch_norm_forward, x, channel, channel, None, None, norm),
    "batch_norm_forward, inference": part(
        cnnref.batch_norm_forward, x, channel, channel, channel, channel, {"training": False}
    ),
    "batch_norm_backward": part(
        cnnref.batch_norm_backward, x, (x, channel, channel, channel, None, None, norm)
    ),
    "prelu": part(cnnref.prelu, x, channel), "prelu_backward": part(cnnref.prelu_backward, x, (x, channel)),
    "layer_norm_forward": part(cnnref.layer_norm_forward, x, channel, channel),
    "layer_norm_backward": part(cnnref.layer_norm_backward, x, (x, channel, {})),
    "rms_norm_forward": part(cnnref.rms_norm_forward, x, channel),
    "rms_norm_backward": part(cnnref.rms_norm_backward, x, (x, channel, {})),
    "softmax": part(cnnref.softmax, rows), "softmax_backward": part(cnnref.softmax_backward, rows, rows),
    "narrow softmax": part(cnnref.softmax, x.reshape(-1, 32)),
    "log_softmax": part(cnnref.log_softmax, rows),
    "log_softmax_backward": part(cnnref.log_softmax_backward, rows, rows),
    "cross_entropy_cost": part(cnnref.cross_entropy_cost, rows, labels, **losses),
    "cross_entropy_backward": part(cnnref.cross_entropy_backward, entropy, **losses),
    "softmax_cross_entropy": part(cnnref.softmax_cross_entropy, rows, labels, **losses),
    "softmax_cross_entropy_backward": part(cnnref.softmax_cross_entropy_backward, entropy, **losses),
}
for name in ELEMENTWISE:
    calls[name] = part(getattr(cnnref, name), x, *[x] * name.endswith("_backward"))
for name in LOSSES:
    given = [(rows, rows)] if name.endswith("_backward") else [rows, rows]
    calls[name] = part(getattr(cnnref, name), *given)
for name, given in pools.items():
    for mode in ("max", "average"):
        A, cache = cnnref.pool_forward(x, given, mode)
        calls[f"{name} {mode} pool_forward"] = part(cnnref.pool_forward, x, given, mode)
        calls[f"{name} {mode} pool_backward"] = part(cnnref.pool_backward, A, cache, mode)
signalled = part(getattr(ctypes.CDLL(None), "raise"), signal.SIGINT)
unanswered = []
for name, call in calls.items():
    returned = part(unanswered.append, name)
    time.sleep(0.11)  # a call looks for signals ten times a second
    try:  # one after the other without Python code between them, which would answer the signal itself
        list(map(part.__call__, (signalled, call, returned)))
    except KeyboardInterrupt:
        continue
    raise AssertionError("no KeyboardInterrupt at all")
print(json.dumps([sorted(calls), unanswered]))
"""

#: Composed of others (with Python code between them), or of one window only.
NOT_LONG = {
    "affine_activation_forward", "affine_activation_backward", "conv_single_step", "create_mask_from_window",
    "distribute_value",
}  # fmt: skip


@pytest.mark.parametrize("threads", ["1", "2"])
def test_every_function_asks_whether_it_is_to_stop(threads):
    """A signal that has come when a call starts ends it before it returns, whatever the time that takes."""
    called, unanswered = json.loads(
        run(f"ELEMENTWISE, LOSSES = {ELEMENTWISE}, {LOSSES}{PENDING}", timeout=120, OMP_NUM_THREADS=threads)
    )
    assert unanswered == []
    functions = {name.split(",")[0].split()[-1] for name in called}
    assert functions | NOT_LONG >= set(OPERATIONS)


def test_a_signal_handler_may_call_and_a_call_goes_on_when_it_returns():
    code = """
import os, signal, threading, numpy as np, cnnref
x, w, b = (np.full(s, 0.5, np.float32) for s in ((16, 160, 160, 64), (5, 5, 64, 64), (1, 1, 1, 64)))
call = lambda x: cnnref.conv_forward(x, w, b, {"stride": 1, "pad": 2})[0].tobytes()
whole, part, seen = call(x), call(x[:1]), []
signal.signal(signal.SIGINT, lambda number, frame: seen.append(call(x[:1]) == part))
threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
while not seen:
    assert call(x) == whole
print(seen)
"""
    assert run(code) == "[True]"


def test_a_call_in_another_thread_is_not_stopped():
    code = """
import os, signal, threading, numpy as np, cnnref
x, w, b = (np.full(s, 0.5, np.float32) for s in ((16, 160, 160, 64), (5, 5, 64, 64), (1, 1, 1, 64)))
call = lambda: cnnref.conv_forward(x, w, b, {"stride": 1, "pad": 2})[0].tobytes()
whole, found = call(), []
other = threading.Thread(target=lambda: found.extend(call() == whole for _ in range(3)))
other.start()
threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    while True: call()
except KeyboardInterrupt:
    pass
other.join()
print(found)
"""
    assert run(code) == "[True, True, True]"
