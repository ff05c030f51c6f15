"""A sandbox for what holds an implementation: bubblewrap, where it is installed and may work."""

from __future__ import annotations

import shutil
import subprocess

#: It sees the files there are and may change none; it sees no other process and no network.
_COMMAND = (
    "bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--ro-bind", "/", "/",
    "--dev", "/dev", "--proc", "/proc", "--die-with-parent", "--",
)  # fmt: skip


class SandboxError(ValueError):
    """There is no sandbox; the message says what to do."""


def command() -> tuple[str, ...]:
    """What goes in front of a command that is to run in the sandbox.

    Raises
    ------
    SandboxError
        If bubblewrap is not installed, or may not make one.
    """
    if shutil.which(_COMMAND[0]) is None:
        raise SandboxError("--sandbox: bwrap is not installed; install bubblewrap, or leave --sandbox out")
    tried = subprocess.run([*_COMMAND, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        said = (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SandboxError(
            f"--sandbox: bubblewrap cannot make one here ({said}); allow user namespaces, or leave it out"
        )
    return _COMMAND
