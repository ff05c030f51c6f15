"""The error plots: one row for each output of an operation, drawn with matplotlib as inline SVG.

Text stays text and colours become CSS variables, so a plot follows the page's font and colour
scheme. The same errors give the same bytes: no date, no random identifier.
"""

from __future__ import annotations

import io
import math
import re
from html import escape
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from conformance.report.digest import Cell, Digest, Spread
from conformance.verdict.compare import FAR_ULP

# Stand-ins that no plot uses by chance; each becomes a variable of style.css.
_INK, _MUTED, _GRID, _FAILED = "#010101", "#020202", "#030303", "#040404"
_SERIES = ("#050505", "#060606", "#070707", "#080808")
_VARIABLES = {
    _INK: "--ink",
    _MUTED: "--muted",
    _GRID: "--line",
    _FAILED: "--failed",
    **{colour: f"--series-{i}" for i, colour in enumerate(_SERIES, 1)},
}
_MARKERS = ("o", "D", "s", "^")

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 8.5,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _MUTED,
    "xtick.color": _MUTED,
    "ytick.color": _INK,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "text.parse_math": False,
}

_ROW = 0.235  # inches a row takes
_MARGIN = 1.15  # inches of legend, axis and its label
_WIDTH = 4.9  # inches
_LETTER = 0.066  # inches that a letter of a row's name takes, where letters are wide

#: Shares of the bound above this are all as wrong; the axis is for those that pass.
_FAR = 100.0


def error_in_ulps(digest: Digest) -> str | None:
    """Draw the worst and the median error of each output in ULPs; None where nothing was measured."""
    rows = [(cell, cell.ulp) for cell in digest.cells.values() if cell.ulp]
    label = "error / ULP of the output's dtype"
    return _draw("ulp", "Error in ULPs by operation", label, rows, digest.dtypes, 1.0, FAR_ULP)


def share_of_bound(digest: Digest) -> str | None:
    """Draw the worst and the median error as a share of the bound; None where nothing was measured."""
    rows = [(cell, cell.share) for cell in digest.cells.values() if cell.share]
    label = "error / a-priori bound (above 1 fails)"
    title = "Error as a share of the bound by operation"
    return _draw("share", title, label, rows, digest.dtypes, 1e-3, _FAR)


def _draw(
    name: str,
    title: str,
    label: str,
    rows: list[tuple[Cell, dict[str, Spread]]],
    dtypes: list[str],
    linear: float,
    limit: float,
) -> str | None:
    """Draw `rows` on an axis linear below `linear`; what exceeds `limit` stands at the far end."""
    if not rows:
        return None
    worst = [spread.worst for _, errors in rows for spread in errors.values()]
    near = [item for item in worst if item <= limit]
    top = 10.0 ** math.ceil(math.log10(max([2.0, *near])))
    if len(near) < len(worst):
        top = limit
    edge = top * 10 if len(near) < len(worst) else top
    far = f"> {limit:,.0f}"
    with matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        # Left to itself, a Figure without pyplot has no global state and no window system behind it.
        height = _MARGIN + _ROW * len(rows)
        figure = Figure(figsize=(_WIDTH, height))
        left = (0.15 + _LETTER * max(len(_name(cell)) for cell, _ in rows)) / _WIDTH
        axes = figure.add_axes((left, 0.62 / height, 0.97 - left, 1 - _MARGIN / height))
        _scale(axes, linear, top, edge, label, far)
        _names(axes, [cell for cell, _ in rows])
        for series, dtype in enumerate(dtypes):
            offset = (series + 0.5) / len(dtypes) - 0.5
            found = [
                (row + offset / 2, errors[dtype], bool(cell.failed_dtypes[dtype]))
                for row, (cell, errors) in enumerate(rows)
                if dtype in errors
            ]
            _marks(axes, found, series, edge)
        if name == "share":
            axes.axvline(1, color=_FAILED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        _legend(figure, dtypes, name == "share", any(cell.counts["failed"] for cell, _ in rows))
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True)
    return _inline(stream.getvalue(), name, title)


def _scale(axes: Axes, linear: float, top: float, edge: float, label: str, far: str) -> None:
    """A logarithmic axis that also has a zero, and a far end where something lies beyond `top`."""
    axes.set_xscale("symlog", linthresh=linear, linscale=0.8)
    axes.set_xlim(0, edge * (1.6 if edge > top else 1))
    decades = range(round(math.log10(linear)), round(math.log10(top)) + 1)
    step = max(1, math.ceil(len(decades) / 6))
    # Counted from 10^0, so that the bound itself always has a tick.
    ticks = [0.0, *(10.0**d for d in decades if d % step == 0)]
    if edge > top:
        # The label of the far end takes the room of the last decade's.
        ticks = [*(tick for tick in ticks if tick < top), edge]
    axes.xaxis.set_major_locator(FixedLocator(_apart(ticks, linear)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: far if x > top * 5 else _tick(x)))
    axes.set_xlabel(label)
    axes.grid(axis="x", color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)


def _apart(ticks: list[float], linear: float) -> list[float]:
    """The first and the last of the ticks, and those whose labels touch neither."""

    def place(x: float) -> float:
        return 0.9 + math.log10(x / linear) if x else 0.0

    end = place(ticks[-1])
    return [tick for tick in ticks if place(tick) in (0.0, end) or 0.08 < place(tick) / end < 0.92]


def _tick(x: float) -> str:
    if 1e-4 < x < 1e4 or x == 0:
        return f"{x:g}"
    return f"1e{round(math.log10(x))}"


def _names(axes: Axes, cells: list[Cell]) -> None:
    """Name the rows ``operation output``, operations parted by a faint line."""
    axes.set_ylim(len(cells) - 0.4, -0.6)
    axes.set_yticks(range(len(cells)), [_name(cell) for cell in cells], fontsize=8)
    axes.tick_params(axis="y", length=0, pad=8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    for i in range(1, len(cells)):
        if cells[i].op != cells[i - 1].op:
            axes.axhline(i - 0.5, color=_GRID, linewidth=0.7, zorder=0)


def _name(cell: Cell) -> str:
    return f"{cell.op} {cell.output}"


def _marks(axes: Axes, found: list[tuple[float, Spread, bool]], series: int, edge: float) -> None:
    """Mark the worst and the median errors of one dtype, and cross out those that fail."""
    colour, marker = _SERIES[series % 4], _MARKERS[series % 4]
    y = [height for height, _, _ in found]
    worst = [min(spread.worst, edge) for _, spread, _ in found]
    median = [min(spread.median, edge) for _, spread, _ in found]
    axes.hlines(y, median, worst, color=colour, linewidth=1.1)
    bare: dict[str, Any] = {"linestyle": "none", "clip_on": False}
    axes.plot(median, y, color=colour, marker="|", markersize=5, **bare)
    axes.plot(worst, y, color=colour, marker=marker, markersize=3.6, **bare)
    crossed = [(x, height) for x, (height, _, failed) in zip(worst, found, strict=True) if failed]
    if crossed:
        axes.plot(*zip(*crossed, strict=True), color=_FAILED, marker="x", markersize=7.5, **bare)


def _legend(figure: Figure, dtypes: list[str], bound: bool, failed: bool) -> None:
    def entry(colour: str, marker: str, label: str, size: float = 4.5) -> Line2D:
        return Line2D([], [], color=colour, marker=marker, markersize=size, linestyle="none", label=label)

    entries = [entry(_SERIES[i % 4], _MARKERS[i % 4], f"{d} worst") for i, d in enumerate(dtypes)]
    entries.append(entry(_MUTED, "|", "median", 7))
    if bound:
        entries.append(Line2D([], [], color=_FAILED, linewidth=1, linestyle=(0, (4, 3)), label="bound"))
    if failed:
        entries.append(entry(_FAILED, "x", "fails", 7))
    figure.legend(
        handles=entries,
        loc="upper center",
        ncols=len(entries),
        frameon=False,
        fontsize=8,
        handletextpad=0.3,
        columnspacing=1.1,
        handlelength=1.3,
    )


def _inline(svg: str, name: str, title: str) -> str:
    """Make a matplotlib file an element of a page: no prologue, unique identifiers, CSS colours."""
    svg = svg[svg.index("<svg") :]
    # With the metadata goes the date, which would make every report another one.
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    # Two plots stand on one page, and matplotlib numbers the parts of each from 1.
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    # The size is the page's to choose; the element keeps the viewBox.
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1)
