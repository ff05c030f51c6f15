"""Pictures for a page: curves as inline SVG, small arrays as PNG data; the same data give the same bytes."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from PIL import Image

# Stand-ins that no plot uses by chance; each becomes a variable of page.css.
_INK, _MUTED, _GRID = "#010101", "#020202", "#030303"
_SERIES = ("#050505", "#060606", "#070707")
_VARIABLES = {
    _INK: "--ink",
    _MUTED: "--muted",
    _GRID: "--line",
    **{colour: f"--series-{n}" for n, colour in enumerate(_SERIES, 1)},
}
_DASHES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (1.5, 1.5)))

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _MUTED,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "text.parse_math": False,
}


def curves(
    name: str, title: str, xlabel: str, ylabel: str, lines: Mapping[str, Sequence[float]], log: bool = False
) -> str:
    """Draw one line for each sequence over 1, 2, 3, ...; return an ``svg`` element.

    Parameters
    ----------
    name : str
        An identifier, unique on the page.
    title : str
        What a screen reader says.
    xlabel, ylabel : str
        The axes.
    lines : mapping of str to sequence of float
        At most three, by the name in the legend.
    log : bool, optional
        A logarithmic vertical axis; zeros are left out.
    """
    with matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        # Left to itself, a Figure without pyplot has no global state and no window system behind it.
        figure = Figure(figsize=(4.9, 2.9), layout="constrained")
        axes = figure.add_subplot()
        for (label, values), colour, dashes in zip(lines.items(), _SERIES, _DASHES, strict=False):
            shown = [value if value > 0 or not log else math.nan for value in values]
            mark = "o" if len(shown) == 1 else None
            axes.plot(
                range(1, len(shown) + 1),
                shown,
                color=colour,
                linestyle=dashes,
                linewidth=1.5,
                marker=mark,
                label=label,
            )
        if log:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color=_GRID, linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        if len(lines) > 1:
            axes.legend(frameon=False)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True)
    return _inline(stream.getvalue(), name, title)


def _inline(svg: str, name: str, title: str) -> str:
    """Make a matplotlib file an element of a page: no prologue, no date, unique identifiers, CSS colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1)


def grey(array: np.ndarray, extent: float) -> str:
    """Return a 2-D array as a PNG data URL: black at 0, white at `extent`."""
    scaled = np.clip(array / extent if extent > 0 else array * 0, 0, 1)
    return _png(np.rint(scaled * 255).astype(np.uint8))


def signed(array: np.ndarray, extent: float) -> str:
    """Return a 2-D array as a PNG data URL: blue below 0, white at 0, red above, full colour at `extent`."""
    colours = matplotlib.colormaps["RdBu_r"](0.5 + 0.5 * array / extent if extent > 0 else array * 0 + 0.5)
    return _png(np.rint(colours[..., :3] * 255).astype(np.uint8))


def _png(pixels: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
