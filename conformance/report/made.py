"""When, of what and where a run was made: what the page says and neither records nor summary do."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path

#: Seconds for git to say which commit is checked out.
_PATIENCE = 5.0


def made(implementation: str) -> dict[str, str]:
    """Date, revision of the implementation's repository, command line and machine, as far as they are known.

    Parameters
    ----------
    implementation : str
        As ``--impl`` names it.
    """
    name = processor() or platform.machine()
    found = {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "revision": revision(_place(implementation)),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "machine": f"{name}, {os.cpu_count() or 1} processors, {platform.platform(terse=True)}",
    }
    return {name: text for name, text in found.items() if text}


def revision(place: Path | None) -> str:
    """The commit checked out in the repository that `place` is in; empty if there is none.

    Nothing of the repository's own configuration is run for it: ``rev-parse`` has no hook.
    """
    if place is None or not place.is_dir():
        return ""
    asked = ["git", "-C", str(place), "rev-parse", "--verify", "--quiet", "HEAD"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.SubprocessError):  # no git, or it hangs
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _place(implementation: str) -> Path | None:
    """The folder of an implementation, without importing it; None of a program, or where it is unknown."""
    if implementation.startswith("exec:"):
        return None
    name = implementation.partition(":")[0]
    if name.endswith(".py"):
        return Path(name).resolve().parent
    try:
        # Only the outermost package is looked up: to find one within would import those around it.
        spec = find_spec(name.partition(".")[0])
    except (ImportError, ValueError):
        return None
    origin = spec.origin if spec else None
    return Path(origin).resolve().parent if origin and Path(origin).exists() else None


def processor() -> str:
    """The processor's name, as Linux has it; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "")
