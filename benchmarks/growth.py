"""Growth: the time of a convolution against batch, image size and channels: straight lines, one hopes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks import cost
from benchmarks.measure import Plan, alternate
from benchmarks.row import Row
from benchmarks.worker import Worker

_BASE: dict[str, int | str] = {"m": 8, "h": 28, "w": 28, "c": 64, "f": 3, "k": 64, "s": 1, "p": 1}

#: What grows: the axis of the plot, the letters that take its values, the values.
AXES: dict[str, tuple[str, tuple[str, ...], tuple[int, ...]]] = {
    "batch": ("samples", ("m",), (2, 4, 8, 12, 16, 24, 32)),
    "image": ("pixels of an image", ("h", "w"), (14, 20, 28, 34, 40, 48, 56)),
    "input channels": ("input channels", ("c",), (16, 32, 64, 96, 128, 192, 256)),
    "filters": ("filters", ("k",), (16, 32, 64, 96, 128, 192, 256)),
}


@dataclass(frozen=True)
class Line:
    """Times along one axis with the straight line through them.

    Attributes
    ----------
    function, axis, label : str
        What was called, the key of `AXES`, and the label of the horizontal axis.
    x, seconds : list of float
    slope, intercept, r_squared : float
        The least-squares line, seconds against x, and the share of the variance that it explains.
    """

    function: str
    axis: str
    label: str
    x: list[float]
    seconds: list[float]
    slope: float
    intercept: float
    r_squared: float


def fit(x: list[float], y: list[float]) -> tuple[float, float, float]:
    """(slope, intercept, R squared) of the least-squares line."""
    slope, intercept = np.polyfit(x, y, 1)
    rest = np.asarray(y) - (slope * np.asarray(x) + intercept)
    spread = np.asarray(y) - np.mean(y)
    return float(slope), float(intercept), float(1 - (rest @ rest) / (spread @ spread))


def measure(worker: Worker, plan: Plan) -> list[Line]:
    """Time both directions along every axis on the worker's threads.

    The points of a line take turns, as peers do elsewhere: a slow phase of the machine does not bend it.
    """
    lines = []
    for function in ("conv_forward", "conv_backward"):
        for axis, (label, letters, values) in AXES.items():
            base = Row(function, f"growth-{axis}", dict(_BASE), threads=worker.threads)
            timers: dict[str, Any] = {}
            for value in values:
                row = replace(base, sizes=_BASE | dict.fromkeys(letters, value))
                timers[str(value)] = _timer(worker, row)
            times = alternate(timers, replace(plan, rounds=5, budget=plan.budget * 2))
            seconds = [float(np.median(times[str(value)])) for value in values]
            x = [float(value ** len(letters)) for value in values]
            lines.append(Line(function, axis, label, x, seconds, *fit(x, seconds)))
    return lines


def _timer(worker: Worker, row: Row) -> Any:
    def seconds(repetitions: int) -> float:
        worker.prepare(row)
        return worker.seconds(repetitions)

    return seconds


def rate(line: Line) -> float:
    """Floating-point operations a second that the slope stands for: what each further unit costs."""
    letters = AXES[line.axis][1]
    unit = Row(line.function, "", _BASE | dict.fromkeys(letters, 1))
    if line.axis == "image":  # a pixel more in each image: the padding makes it one output more
        unit = replace(unit, sizes=unit.sizes | {"h": 1, "w": 1})
    return cost.flops(unit) / line.slope
