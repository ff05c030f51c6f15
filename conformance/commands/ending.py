"""How a command ends, whatever happens in it: a status, and one line that says what went wrong.

0 and 1 are verdicts. What the command itself could not do is 2, a defect of this package too; Ctrl-C is 130.
Who closes standard output, as ``| head`` does, changes no verdict: the rest is not printed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from conformance.commands.terminal import refusal
from conformance.commands.usage import INTERRUPTED, UNUSABLE, UsageError

#: Set to anything but nothing, it shows where in the code an error came from.
TRACEBACK = "CONFORMANCE_TRACEBACK"

#: The commands that leave what they have compared when they are interrupted, and how they go on.
_RESUMED = {
    "run": "; what was compared until then is in results.jsonl: the same command with --resume goes on",
    "gate": "; what was compared until then is in results.jsonl",
}


def status_of(command: str, action: Callable[[], int]) -> int:
    """The exit status of `command`; what it could not do is said on standard error."""
    with _reader(), _heard_everywhere():
        try:
            status = action()
            if sys.stdout is not None:
                sys.stdout.flush()
            return status
        except KeyboardInterrupt:
            refuse(command, f"interrupted{_RESUMED.get(command, '')}")
            return INTERRUPTED
        except Exception as error:
            if os.environ.get(TRACEBACK):
                traceback.print_exc()
            return refuse(command, _sentence(error))


@contextlib.contextmanager
def _heard_everywhere() -> Iterator[None]:
    """Hear Ctrl-C in a destructor as well, where Python prints and forgets what is raised."""
    again: list[threading.Timer] = []

    def heard(told: Any) -> None:
        if told.exc_type is not KeyboardInterrupt:
            before(told)
            return
        # A moment later: raised here, it would be forgotten as well.
        main = threading.main_thread().ident
        again.append(threading.Timer(0.02, signal.pthread_kill, [main, signal.SIGINT]))
        again[-1].start()

    before, sys.unraisablehook = sys.unraisablehook, heard
    try:
        yield
    finally:
        sys.unraisablehook = before
        for timer in again:
            timer.cancel()


def refuse(command: str, message: str) -> int:
    """Say why a command could not run as asked; returns the status for it."""
    print(refusal(f"conformance {command}".rstrip(), message), file=sys.stderr)
    return UNUSABLE


def _sentence(error: Exception) -> str:
    """What could not be done, in one line."""
    if isinstance(error, _refusals()):
        return str(error)
    if isinstance(error, MemoryError):
        return f"not enough memory{f': {error}' if str(error) else ''}"
    if isinstance(error, FileExistsError):
        return f"{error.filename}: is a file, expected a folder"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    if isinstance(error, ImportError) and error.name and error.name.partition(".")[0] != "conformance":
        return f"{error.name} cannot be imported ({_short(error)}): pip install 'cnnref[conformance]'"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"internal error: {type(error).__name__}: {_short(error)} ({Path(last.filename).name}, "
        f"line {last.lineno}); {TRACEBACK}=1 shows the traceback"
    )


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:197]}..."


def _refusals() -> tuple[type[Exception], ...]:
    """The errors whose message says what to do; asked for when there is one, for their modules load much."""
    from conformance.conventions import ConventionError
    from conformance.implementations.loading import LoadError
    from conformance.implementations.sandbox import SandboxError
    from conformance.runs.gate import BaselineError
    from conformance.runs.options import SweepError
    from conformance.verdict.document import SchemaError

    return UsageError, LoadError, ConventionError, BaselineError, SweepError, SchemaError, SandboxError


class _Outlet:
    """Standard output that may have been closed by who reads it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """As the stream does; nothing if nobody reads it."""
        with self._heard():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """As the stream does; nothing if nobody reads it."""
        with self._heard():
            self._stream.flush()

    @contextlib.contextmanager
    def _heard(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())  # what is in its buffer too
            os.close(nowhere)


@contextlib.contextmanager
def _reader() -> Iterator[None]:
    """Print to an `_Outlet`."""
    if sys.stdout is None:
        yield
        return
    outlet: Any = _Outlet(sys.stdout)
    try:
        with contextlib.redirect_stdout(outlet):
            yield
    finally:
        with contextlib.suppress(OSError):  # a full disk has been told of, if the command got so far
            outlet.flush()
