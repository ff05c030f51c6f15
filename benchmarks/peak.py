"""What this machine can do: multiply-adds and bytes a second, by ``peak.c``, apart from every library."""

from __future__ import annotations

import math
import os
import shlex
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import cost
from benchmarks.row import Row

FLAGS = ["-O3", "-march=native", "-ffp-contract=fast", "-fopenmp"]


@dataclass(frozen=True)
class Peak:
    """The measured peaks.

    Attributes
    ----------
    fma : dict
        Floating-point operations a second by (dtype, threads).
    copy : dict
        Bytes read and written a second by threads, then by the bytes copied: caches are faster than memory.
    """

    fma: dict[tuple[str, int], float] = field(default_factory=dict)
    copy: dict[int, dict[int, float]] = field(default_factory=dict)

    def best(self, other: Peak) -> Peak:
        """The greater rate of two measurements, each: something else may have had a processor in one."""
        copy = {
            threads: {size: max(rate, other.copy[threads][size]) for size, rate in rates.items()}
            for threads, rates in self.copy.items()
        }
        return Peak({key: max(rate, other.fma[key]) for key, rate in self.fma.items()}, copy)

    def copy_at(self, bytes_moved: float, threads: int) -> float:
        """Bytes a second for a copy of that size, between the measured sizes by their logarithm."""
        measured = self.copy[threads]
        sizes = sorted(measured)
        size = min(max(bytes_moved, sizes[0]), sizes[-1])
        above = next(s for s in sizes if s >= size)
        below = max(s for s in sizes if s <= size)
        if above == below:
            return measured[above]
        share = math.log(size / below) / math.log(above / below)
        return measured[below] ** (1 - share) * measured[above] ** share

    def shares(self, row: Row, seconds: float) -> dict[str, float]:
        """Rates of a row and their shares of the peaks: the larger share is what bounds it."""
        flops, moved = cost.flops(row), cost.moved(row)
        found = {"flops": flops / seconds, "bytes": moved / seconds}
        if (row.dtype, row.threads) in self.fma:
            found["of_fma"] = found["flops"] / self.fma[row.dtype, row.threads]
        if row.threads in self.copy:
            found["of_copy"] = found["bytes"] / self.copy_at(moved, row.threads)
        return found


def measure() -> Peak:
    """Compile ``peak.c`` for this machine and run it; an empty Peak where there is no C compiler."""
    source = Path(__file__).with_name("peak.c")
    compiler = shlex.split(os.environ.get("CC", "gcc"))
    peak = Peak()
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder, "peak"))
        try:
            subprocess.run([*compiler, *FLAGS, str(source), "-o", program], check=True, capture_output=True)
            printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return peak
    for line in printed.splitlines():
        kind, what, threads, rate = line.split()
        if kind == "fma":
            peak.fma[what, int(threads)] = float(rate)
        else:
            peak.copy.setdefault(int(threads), {})[int(what)] = float(rate)
    return peak
