"""Growth: the time of a call against batch, image size and channels: straight lines, one hopes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchmarks import cost
from benchmarks.measure import Plan, Timer, Turn, alternate
from benchmarks.row import Row
from benchmarks.worker import Worker

#: What grows: the label of the axis, the letters that take its values, the values.
Axis = tuple[str, tuple[str, ...], tuple[int, ...]]

_SAMPLES: Axis = ("samples", ("m",), (2, 4, 8, 12, 16, 24, 32))
_PIXELS: Axis = ("pixels of an image", ("h", "w"), (14, 20, 28, 34, 40, 48, 56))
_CHANNELS: Axis = ("channels", ("c",), (16, 32, 64, 96, 128, 192, 256))
_WIDTHS = (64, 128, 256, 384, 512, 768, 1024)


@dataclass(frozen=True)
class Subject:
    """Functions that grow from the same sizes, one axis at a time."""

    functions: tuple[str, ...]
    sizes: dict[str, int | str]
    axes: dict[str, Axis]


_IMAGES: dict[str, int | str] = {"m": 8, "h": 28, "w": 28, "c": 64}
_IMAGE_AXES = {"batch": _SAMPLES, "image": _PIXELS, "channels": _CHANNELS}

SUBJECTS = (
    Subject(
        ("conv_forward", "conv_backward"),
        {**_IMAGES, "f": 3, "k": 64, "s": 1, "p": 1},
        {
            "batch": _SAMPLES,
            "image": _PIXELS,
            "input channels": ("input channels", *_CHANNELS[1:]),
            "filters": ("filters", ("k",), _CHANNELS[2]),
        },
    ),
    Subject(("pool_forward", "pool_backward"), {**_IMAGES, "f": 2, "s": 2, "mode": "max"}, _IMAGE_AXES),
    Subject(("sigmoid", "relu_backward"), {**_IMAGES}, _IMAGE_AXES),
    Subject(
        ("batch_norm_forward", "batch_norm_backward"), {**_IMAGES, "statistics": "training"}, _IMAGE_AXES
    ),
    Subject(
        ("affine_forward", "affine_backward"),
        {"m": 64, "i": 512, "o": 256},
        {
            "batch": ("samples", ("m",), (16, 32, 64, 96, 128, 192, 256)),
            "inputs": ("inputs", ("i",), _WIDTHS),
            "outputs": ("outputs", ("o",), _WIDTHS),
        },
    ),
)


@dataclass(frozen=True)
class Line:
    """Times along one axis with the straight line through them.

    Attributes
    ----------
    function, axis, label : str
        What was called, the key in its subject's axes, and the label of the horizontal axis.
    x, seconds : list of float
    rate : float
        Floating-point operations a second that the slope stands for, or bytes where there are no products.
    slope, intercept, r_squared : float
        The least-squares line, seconds against x, and the share of the variance that it explains.
    """

    function: str
    axis: str
    label: str
    x: list[float]
    seconds: list[float]
    rate: float
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
    for subject in SUBJECTS:
        for function in subject.functions:
            for axis, (label, letters, values) in subject.axes.items():
                base = Row(function, f"growth-{axis}", subject.sizes, threads=worker.threads)
                grown = [replace(base, sizes=subject.sizes | dict.fromkeys(letters, v)) for v in values]
                timers: dict[str, Timer] = {str(i): _timer(worker, row) for i, row in enumerate(grown)}
                turns = alternate(timers, replace(plan, rounds=5, budget=plan.budget * 2))
                seconds = [float(np.median([turn.seconds for turn in turns[key]])) for key in timers]
                x = [float(value ** len(letters)) for value in values]
                slope, intercept, r_squared = fit(x, seconds)
                per_second = (work(grown[-1]) - work(grown[0])) / (x[-1] - x[0]) / slope
                lines.append(Line(function, axis, label, x, seconds, per_second, slope, intercept, r_squared))
    return lines


def _timer(worker: Worker, row: Row) -> Timer:
    def turn(repetitions: int) -> Turn:
        worker.prepare(row)
        return worker.turn(repetitions)

    return turn


def work(row: Row) -> float:
    """Floating-point operations of a row that has products, else the bytes that it moves."""
    return cost.flops(row) if counts_products(row.function) else cost.moved(row)


def counts_products(function: str) -> bool:
    """Whether the rate of a line is one of floating-point operations."""
    return function.startswith(("conv_", "affine_"))
