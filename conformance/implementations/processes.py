"""Children that run code nobody vouches for: they end with the run, and all that they start with them."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import multiprocessing
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait
from typing import Any

import msgspec

from conformance.implementations.channel import Answering, BrokenChannelError, Channel, Message

#: What multiprocessing says of a process whose fork server was killed, which alone knows the exit status.
LOST = 255

#: Exit codes of a process that somebody else may have ended: the system for want of memory, a user, a queue.
OUTSIDE = frozenset({-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP, LOST})

_PR_SET_PDEATHSIG = 1

_STARTING = threading.Lock()


def context() -> Any:
    """How children are started: by a fork server, which knows nothing of what this process holds."""
    return multiprocessing.get_context("forkserver")


def bind_to_parent() -> None:
    """Make this child the head of a session that ends, all of it, with the process that started the child.

    The signal is the kernel's answer to the end of a pipe whose other end the parent alone holds. It needs no
    thread, so that a loop in C that never gives up the interpreter's lock ends as well, and it goes to the
    process group: to what the implementation forks, and to a program behind pipes.
    """
    os.setsid()
    parent = multiprocessing.parent_process()
    assert parent is not None
    watch = parent.sentinel
    fcntl.fcntl(watch, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(watch, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(watch, fcntl.F_SETFL, fcntl.fcntl(watch, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([watch], [], [], 0)[0]:  # it ended before that was said
        os.kill(os.getpid(), signal.SIGKILL)
    _leave_the_server(parent.pid)


def _leave_the_server(parent: int | None) -> None:
    """Keep no descriptor of multiprocessing's own: one byte written there by a kernel ends the fork server.

    That server ends when nobody holds its pipe any more, so that children which hold none end with it,
    whatever they have done to the descriptor of the watch. Where there is no server, the parent's thread that
    started the child may end long before the parent, and nothing is to follow from that.
    """
    if os.getppid() != parent:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    server: Any = forkserver._forkserver
    tracker: Any = resource_tracker._resource_tracker
    for holder, name in ((server, "_forkserver_alive_fd"), (tracker, "_fd")):
        descriptor = getattr(holder, name, None)
        if descriptor is not None:
            os.close(descriptor)
            setattr(holder, name, None)
    server._forkserver_address = server._forkserver_pid = None  # one of its own, should it need any


def start(process: Any) -> None:
    """Start a child; once more if the fork server was killed meanwhile.

    Ctrl-C reaches the whole process group: what starts here would end in the middle of its own start, and say
    so.
    """
    resource_tracker.ensure_running()  # whose own start takes the mask back
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _no_main():
            try:
                process.start()
            except (EOFError, ConnectionError):
                process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """Nothing of what is run here is needed in children, which multiprocessing would have run it once more.

    So a script that calls `conformance.check` need not guard its last lines.
    """
    with _STARTING:
        main = vars(sys.modules["__main__"])
        kept: dict[str, Any] = {name: main.pop(name) for name in ("__spec__", "__file__") if name in main}
        main["__spec__"] = None
        try:
            yield
        finally:
            main.update(kept)


def end(process: Any) -> None:
    """Kill a child that is bound to this process, and what it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join(5)


def cause(exitcode: int | None) -> str:
    """How a process ended, in words."""
    if exitcode is not None and exitcode < 0:
        try:
            return f"signal {-exitcode} ({signal.Signals(-exitcode).name})"
        except ValueError:
            return f"signal {-exitcode}"
    return f"exit status {exitcode}"


class Question:
    """A child that computes one thing, sends it and ends.

    Parameters
    ----------
    context : BaseContext
        How it is started.
    function : callable
        What it calls; what that returns is the answer.
    *arguments : object
        What it is called with.
    """

    def __init__(self, context: Any, function: Callable[..., Any], *arguments: Any) -> None:
        self._channel = Channel()
        self._process = context.Process(
            target=_reply, args=(self._channel.theirs, function, arguments), daemon=True
        )
        start(self._process)
        self._channel.theirs.close()

    def answer(self, decoder: msgspec.msgpack.Decoder[Message], patience: float) -> Message | None:
        """What the child has sent; None if it ended without, or nothing came for so many seconds."""
        until, found, dead = time.monotonic() + patience, None, False
        with contextlib.suppress(EOFError, BrokenChannelError):
            while found is None and not dead and (left := until - time.monotonic()) > 0:
                wait([self._channel.fileno(), self._process.sentinel], left)
                dead = not self._process.is_alive()
                found = self._channel.receive(self._process.pid, decoder)
        return found

    def exitcode(self, patience: float) -> int | None:
        """How the child ended, if need be because it was killed after so many seconds."""
        self._process.join(patience)
        self.close()
        code: int | None = self._process.exitcode
        return code

    def close(self) -> None:
        """End the child."""
        end(self._process)
        self._channel.close()


def _reply(theirs: socket.socket, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    bind_to_parent()
    channel = Answering(theirs)
    channel.send(function(*arguments))
