"""What the kernel is asked for so that one process of a user cannot look into another, or outlive it."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER = 1, 4, 24, 36
_CAP_SYS_PTRACE = 19
_CAPABILITY_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def _prctl(option: int, value: int) -> bool:
    return bool(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0)


def unreadable() -> bool:
    """Let no other process of this user read or trace this one: not its memory, not its descriptors."""
    return _prctl(_PR_SET_DUMPABLE, 0)


def readable() -> None:
    """Be an ordinary process again, as a copy of one that was not."""
    _prctl(_PR_SET_DUMPABLE, 1)


def untracing() -> None:
    """Give up the right, which root has, to read processes that do not let themselves be read."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(
        _PR_CAPBSET_DROP, _CAP_SYS_PTRACE, 0, 0, 0
    )  # a program that root starts gets what is left here
    header, sets = _Header(_CAPABILITY_VERSION_3, 0), (_Sets * 2)()
    if libc.capget(ctypes.byref(header), sets):
        return
    kept = ~(1 << _CAP_SYS_PTRACE) & 0xFFFFFFFF
    for name in ("effective", "permitted", "inheritable"):
        setattr(sets[0], name, getattr(sets[0], name) & kept)
    libc.capset(ctypes.byref(header), sets)


def adopting() -> None:
    """Become the parent of what the processes started here leave behind."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def ending_with(parent: int) -> None:
    """End when the process that started this one ends, which was `parent`."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


_home = 0


def home() -> None:
    """Have this process be the one that answers."""
    global _home
    _home = os.getpid()


def stay() -> None:
    """End a forked copy of the process that answers, which would go on with its calls and fork in each."""
    if _home and os.getpid() != _home:
        os._exit(0)
