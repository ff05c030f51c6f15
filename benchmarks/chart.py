"""bench.svg: every row's ratio by group; growth.svg: the growth lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.layers import AIMS
from benchmarks.summary import ratios

_COLOURS = {1: "#3b6ea5", 2: "#d1782c"}


def groups(records: list[dict[str, Any]], path: Path) -> None:
    """Draw every row's ratio by group."""
    figure, axes = _plot().subplots(figsize=(9, 4.5))
    _groups(axes, records)
    _save(figure, path)


def growth(lines: list[Any], path: Path) -> None:
    """Draw the growth lines; no file where nothing was measured."""
    if not lines:
        return
    figure, both = _plot().subplots(1, 2, figsize=(9, 4.5))
    for axes, function in zip(both, ("conv_forward", "conv_backward"), strict=True):
        _lines(axes, [line for line in lines if line.function == function], function)
    _save(figure, path)


def _plot() -> Any:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    return plt


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None}, facecolor="white", dpi=150)
    _plot().close(figure)


def _groups(axes: Any, records: list[dict[str, Any]]) -> None:
    """Ratios as points, the geometric mean as a bar across them, the aim as a dotted line."""
    for place, (group, aim) in enumerate(AIMS.items()):
        for threads, colour in _COLOURS.items():
            values = ratios(records, group=group, threads=threads)
            if not values:
                continue
            centre = place + (threads - 1.5) * 0.4
            scatter = np.random.default_rng(0).uniform(-0.13, 0.13, len(values))
            axes.plot(centre + scatter, values, ".", color=colour, alpha=0.5, rasterized=True)
            mean = float(np.exp(np.mean(np.log(values))))
            axes.plot([centre - 0.18, centre + 0.18], [mean, mean], color=colour, lw=3)
        axes.plot([place - 0.42, place + 0.42], [aim, aim], ":", color="black")
    axes.axhline(1, color="black", lw=0.8)
    for threads, colour in _COLOURS.items():
        axes.plot([], [], "o", color=colour, label=f"{threads} thread{'s' * (threads > 1)}")
    axes.plot([], [], ":", color="black", label="aim (geometric mean)")
    axes.set_yscale("log")
    axes.set_xticks(range(len(AIMS)), [group.replace(" ", "\n", 1) for group in AIMS])
    axes.set_ylabel("PyTorch time / cnnref time")
    axes.legend(fontsize=8)
    axes.set_title("Every row; above 1 cnnref is faster")


def _lines(axes: Any, lines: list[Any], function: str) -> None:
    """Times over the extent that grows, as a share of its largest, so that one plot holds them."""
    for line in lines:
        x = np.asarray(line.x)
        (dots,) = axes.plot(
            x / x.max(), 1e3 * np.asarray(line.seconds), "o", ms=4, label=f"{line.label} to {x.max():g}"
        )
        ends = np.array([0, x.max()])
        axes.plot(
            ends / x.max(), 1e3 * (line.slope * ends + line.intercept), "-", lw=1, color=dots.get_color()
        )
    axes.set_xlabel("share of the largest extent")
    axes.set_ylabel("ms")
    axes.set_title(f"Growth of {function}")
    axes.set_xlim(0)
    axes.set_ylim(0)
    if lines:
        axes.legend(fontsize=8)
