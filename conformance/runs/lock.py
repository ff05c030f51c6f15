"""One writer to a directory: two runs into one would each be reported with records of the other."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from conformance.runs.options import SweepError

#: The file that is locked. A lock ends with the process that holds it, whether the file is left or not.
LOCK = "run.lock"


@contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Hold `directory`, which is made if need be, against other writers and readers.

    Raises
    ------
    SweepError
        If another process holds it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / LOCK
    descriptor = _open(path)
    try:
        _take(descriptor, fcntl.LOCK_EX, directory, "wait for its end, or give another --out")
        while not (path.exists() and os.path.samestat(path.stat(), os.fstat(descriptor))):
            os.close(descriptor)  # of a run that has ended since it was opened
            descriptor = _open(path)
            _take(descriptor, fcntl.LOCK_EX, directory, "wait for its end, or give another --out")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


@contextmanager
def reading(directories: list[Path]) -> Iterator[None]:
    """Hold directories against writers while they are read.

    Raises
    ------
    SweepError
        If one of them is being written to.
    """
    descriptors = []
    try:
        for directory in directories:
            with suppress(FileNotFoundError):  # no run, or one of an earlier version
                descriptors.append(os.open(directory / LOCK, os.O_RDONLY | os.O_CLOEXEC))
                _take(descriptors[-1], fcntl.LOCK_SH, directory, "wait for its end")
        yield
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _take(descriptor: int, kind: int, directory: Path, remedy: str) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        by = f" (process {owner})" if owner else ""
        raise SweepError(f"{directory}: another run is at work there{by}; {remedy}") from error
    except OSError:  # a file system without locks: what was changed meanwhile is seen at the end of a run
        return
