"""What the run ran on, and who else was running."""

from __future__ import annotations

import os
import platform
import time
from importlib import import_module, util
from typing import Any

from conformance.report.made import processor


def _clocks() -> list[float] | None:
    """Seconds of all processors together since the machine started: the columns of ``/proc/stat``."""
    try:
        with open("/proc/stat") as file:
            return [float(x) / os.sysconf("SC_CLK_TCK") for x in file.readline().split()[1:9]]
    except OSError:  # not on Linux
        return None


def _busy() -> float | None:
    """Seconds that all processors together have been busy since the machine started."""
    clocks = _clocks()
    return None if clocks is None else sum(clocks) - clocks[3] - clocks[4]


def stolen() -> float:
    """Seconds that the hypervisor has had a processor which this machine wanted; 0 where none says so."""
    clocks = _clocks()
    return clocks[7] if clocks is not None else 0.0


def busy_elsewhere(seconds: float = 1.0) -> float:
    """Processors that other processes keep busy while this one sleeps: 0 on a quiet machine."""
    before = _busy()
    time.sleep(seconds)
    after = _busy()
    return float("nan") if before is None or after is None else max(0.0, after - before) / seconds


def describe() -> dict[str, Any]:
    """Processor, their number, Python."""
    name = processor() or platform.processor() or platform.machine()
    return {"processor": name, "processors": os.cpu_count(), "python": platform.python_version()}


def epoch() -> dict[str, Any] | None:
    """The training epoch against eager PyTorch, where ``benchmarks/epoch.py`` is there to measure it."""
    if util.find_spec("benchmarks.epoch") is None:
        return None
    found: dict[str, Any] = import_module("benchmarks.epoch").compare()
    return found
