"""The process that the holders of an implementation are forked from: it has NumPy, and nothing of a judge.

It is a program started afresh, so that neither memory nor descriptors of the judge are in it. Asked for one,
it forks a process that holds an implementation (`served`), and says how that ended; asked to end it, or when
the judge is gone, it kills that process and all that it has started, however far they went to be forgotten.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import weakref
from collections.abc import Sequence

from conformance.implementations import guard
from conformance.implementations.processes import LOST

#: What the nursery is told, and what it answers with: how a process ended.
START, END = b"start", b"end"
_ENDED = struct.Struct("=i")

#: Seconds until a process that was killed is gone.
_DYING = 5.0

_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from conformance.implementations.nursery import main; main(int(sys.argv[1]))"
)


class Nursery:
    """The judge's side.

    Parameters
    ----------
    wrapped : sequence of str, optional
        A command that runs the command behind it, in a sandbox.
    """

    def __init__(self, wrapped: Sequence[str] = ()) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), json.dumps(sys.path)]
        # Memory that the C library hands out holds another byte each time: an answer that was in it is none.
        environment = {**os.environ, "MALLOC_PERTURB_": str(random.SystemRandom().randint(1, 255))}
        try:
            self._process = subprocess.Popen(
                [*wrapped, *program], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                stdout=_errors(), env=environment, start_new_session=True,
            )  # fmt: skip
        finally:
            theirs.close()
        self._ending = weakref.finalize(self, _close, self._socket, self._process, os.getpid())
        self._running = False

    def fileno(self) -> int:
        """The descriptor to wait for: something there is the end of the process."""
        return self._socket.fileno()

    def start(self, channel: socket.socket) -> None:
        """Start a process with that end of a channel.

        Raises
        ------
        OSError
            If the nursery is gone.
        """
        socket.send_fds(self._socket, [START], [channel.fileno()])
        self._running = True

    def ended(self, patience: float = 0.0) -> int | None:
        """How the process ended, in the way of `subprocess`; None if it has not within so many seconds."""
        if not self._running or not select.select([self._socket], [], [], patience)[0]:
            return None
        with contextlib.suppress(OSError):
            message = self._socket.recv(_ENDED.size)
            if len(message) == _ENDED.size:
                self._running = False
                return int(_ENDED.unpack(message)[0])
        self.close()
        return LOST

    @property
    def gone(self) -> bool:
        """Whether it can start no more."""
        return not self._ending.alive

    def end(self) -> None:
        """End the process, and all that it started."""
        if self._running and not self.gone:
            with contextlib.suppress(OSError):
                self._socket.send(END)
            if self.ended(_DYING) is None:
                self.close()
        self._running = False

    def close(self) -> None:
        """End everything."""
        self._ending()
        self._running = False


def _errors() -> int:
    """Where an implementation's prints go: standard output is the command's own."""
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return 2


def _close(control: socket.socket, process: subprocess.Popen[bytes], owner: int) -> None:
    control.close()  # at which it ends its process, and itself
    if os.getpid() != owner:
        return
    try:
        process.wait(_DYING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(descriptor: int) -> None:
    """Live as a nursery."""
    import numpy  # noqa: F401  what every implementation has

    from conformance.implementations import served

    guard.unreadable()
    guard.adopting()
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    sys.argv = ["conformance"]
    while True:
        try:
            word, descriptors, _, _ = socket.recv_fds(control, len(START), 1)
        except ConnectionError:
            os._exit(0)
        if not word:
            os._exit(0)
        if word != START or not descriptors:
            continue
        parent, pid = os.getpid(), os.fork()
        if not pid:
            control.close()
            served.serve(socket.socket(fileno=descriptors[0]), parent)
            return
        os.close(descriptors[0])
        if not _watch(control, pid):
            os._exit(0)


def _watch(control: socket.socket, pid: int) -> bool:
    """See a process to its end; whether the judge is still there then."""
    wanted, word = True, b""
    process = os.pidfd_open(pid)
    try:
        ready = select.select([control.fileno(), process], [], [])[0]
        if control.fileno() in ready:
            with contextlib.suppress(ConnectionError):
                word = control.recv(len(START))
            wanted = word == END
            _kill(pid)
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(process)
    _kill(pid)
    _bury()
    if wanted:
        with contextlib.suppress(OSError):
            control.send(_ENDED.pack(os.waitstatus_to_exitcode(status)))
    return wanted


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(group, signal.SIGKILL)


def _bury() -> None:
    """Kill what the process has left behind: it has come to this one."""
    while True:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as children:
            left = [int(word) for word in children.read().split()]
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
