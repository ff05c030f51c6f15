"""The sandbox as it is: what a module tries to leave on the disk is not there, whichever command calls it."""

import socket

import pytest

from conformance.cli import main
from conformance.implementations import sandbox

try:
    sandbox.command()
    MISSING = ""
except sandbox.SandboxError as error:
    MISSING = str(error)

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

#: A relu that is wrong if it has a network, and that writes down where it was.
KERNELS = """
import os, socket
import numpy as np
try:
    open({marks!r}, "a").write("here")
except OSError:
    pass
try:
    socket.create_connection(("127.0.0.1", {port}), 2.0).close()
    reached = True
except OSError:
    reached = False
others = [name for name in os.listdir("/proc") if name.isdecimal()]

def relu(Z):
    return np.maximum(Z, 0) + (reached or len(others) > 8), Z
"""

COMMANDS = {
    "run": ["run", "--ops", "relu", "--cases", "2", "--workers", "1", "--isolate", "--out", "OUT"],
    "repro": ["repro", "relu:f32:m2h3w4c5:ties:7"],
    "probe": ["probe"],
    "search": ["search", "--ops", "relu", "--dtype", "f32", "--seconds", "0.1"],
    "matrix": ["matrix", "--ops", "relu", "--cases", "12", "--out", "OUT"],
}


@pytest.fixture(scope="module")
def port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def kernels(tmp_path, port):
    path = tmp_path / "kernels.py"
    path.write_text(KERNELS.format(marks=str(tmp_path / "marks"), port=port))
    return path


def status(arguments, kernels):
    words = [str(kernels.parent / "out") if word == "OUT" else word for word in arguments]
    return main([*words, "--impl", str(kernels)])


@pytest.mark.parametrize("command", COMMANDS)
def test_it_writes_nothing_and_reaches_nobody(command, kernels, capsys):
    code = status([*COMMANDS[command], "--sandbox"], kernels)
    said = capsys.readouterr().out
    assert not (kernels.parent / "marks").exists()
    assert "failed" not in said or ", 0 failed" in said or "0 outputs fail" in said
    if command in ("repro", "probe"):
        assert code == 0


def test_without_it_the_same_module_is_wrong(kernels, capsys):
    assert status(COMMANDS["repro"], kernels) == 1
    assert (kernels.parent / "marks").exists()
    assert "A: failed" in capsys.readouterr().out
