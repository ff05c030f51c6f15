"""What the run ran on, and who else was running."""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress
from importlib import import_module, util
from typing import Any


def _busy() -> float | None:
    """Seconds that all processors together have been busy since the machine started."""
    try:
        with open("/proc/stat") as file:
            fields = [float(x) for x in file.readline().split()[1:9]]
    except OSError:  # not on Linux
        return None
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / os.sysconf("SC_CLK_TCK")


def busy_elsewhere(seconds: float = 1.0) -> float:
    """Processors that other processes keep busy while this one sleeps: 0 on a quiet machine."""
    before = _busy()
    time.sleep(seconds)
    after = _busy()
    return float("nan") if before is None or after is None else max(0.0, after - before) / seconds


def describe() -> dict[str, Any]:
    """Processor, their number, Python."""
    name = platform.processor() or platform.machine()
    with suppress(OSError), open("/proc/cpuinfo") as file:  # not on Linux: the name above
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        name = models[0] if models else name
    return {"processor": name, "processors": os.cpu_count(), "python": platform.python_version()}


def epoch() -> dict[str, Any] | None:
    """The training epoch against eager PyTorch, where ``benchmarks/epoch.py`` is there to measure it."""
    if util.find_spec("benchmarks.epoch") is None:
        return None
    found: dict[str, Any] = import_module("benchmarks.epoch").compare()
    return found
