"""The pictures of the pages, drawn from the functions that they are about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

import cnnref
from cnnref import blog

INK, GREY, BLUE, RED, GREEN = "#222222", "#b8bec6", "#2f6db3", "#c2452d", "#3b8f4e"


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", _draw)
    return {"parallel_read_safe": True}


def _draw(app: Any) -> None:
    place = Path(app.srcdir, "_generated")
    place.mkdir(exist_ok=True)
    style = {"font.size": 9, "svg.hashsalt": "cnnref", "svg.fonttype": "path", "axes.edgecolor": INK}
    for name, draw in _PICTURES.items():
        with plt.rc_context(style):
            figure = draw()
            figure.savefig(
                place / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight", facecolor="white"
            )
            plt.close(figure)


def _cells(
    axes: Axes, grid: np.ndarray, left: float, top: float, colours: Any = None, form: str = "g"
) -> None:
    """A small array, its values in squares."""
    for (row, column), value in np.ndenumerate(grid):
        colour = "white" if colours is None else colours[row, column]
        axes.add_patch(
            Rectangle((left + column, top - row - 1), 1, 1, facecolor=colour, edgecolor=INK, lw=0.7)
        )
        axes.text(
            left + column + 0.5, top - row - 0.5, f"{value:{form}}", ha="center", va="center", color=INK
        )


def _plain(axes: Axes, width: float, height: float) -> None:
    axes.set_xlim(-0.2, width)
    axes.set_ylim(-0.2, height)
    axes.set_aspect("equal")
    axes.axis("off")


def window() -> Any:
    """Windows along one axis, with the padding that they lose."""
    n, f, stride, pad = 7, 3, 2, 2
    figure, axes = plt.subplots(figsize=(6, 2.6))
    outputs = cnnref.conv_forward(
        np.ones((1, 1 + 2 * 0, n, 1)), np.ones((1, f, 1, 1)), np.zeros((1, 1, 1, 1)),
        {"stride": stride, "pad": ((0, 0), (pad, pad))},
    )[0].ravel()  # fmt: skip
    for cell in range(-pad, n + pad):
        inside = 0 <= cell < n
        axes.add_patch(
            Rectangle(
                (cell, 0), 1, 1, facecolor="#dfe8f3" if inside else "white",
                edgecolor=INK if inside else GREY, ls="-" if inside else ":", lw=0.8,
            )
        )  # fmt: skip
        axes.text(cell + 0.5, 0.5, cell if inside else "·", ha="center", va="center", color=INK)
    for i, taps in enumerate(outputs):
        start, y = i * stride - pad, -0.5 - 0.55 * i
        axes.plot([start + 0.08, start + f - 0.08], [y, y], color=BLUE, lw=4, solid_capstyle="butt")
        axes.text(n + pad + 0.3, y, f"output {i}: {taps:g} of {f} taps", va="center", color=INK)
    axes.set_xlim(-pad - 0.2, n + pad + 4.6)
    axes.set_ylim(-0.8 - 0.55 * len(outputs), 1.1)
    axes.axis("off")
    return figure


def tile() -> Any:
    """A register block: rows of scalars against one vector, a step at a time."""
    figure, axes = plt.subplots(figsize=(6, 3))
    rows, columns = 4, 8
    for r in range(rows):
        axes.add_patch(Rectangle((0, rows - r - 1), 1, 1, facecolor="#fbe6c8", edgecolor=INK, lw=0.7))
        axes.text(0.5, rows - r - 0.5, f"$a_{r}$", ha="center", va="center")
        for c in range(columns):
            axes.add_patch(Rectangle((2 + c, rows - r - 1), 1, 1, facecolor="#dfe8f3", edgecolor=INK, lw=0.7))
            axes.text(2.5 + c, rows - r - 0.5, f"$s_{{{r}{c}}}$", ha="center", va="center", color=BLUE)
    for c in range(columns):
        axes.add_patch(Rectangle((2 + c, rows + 0.6), 1, 1, facecolor="#dcefdd", edgecolor=INK, lw=0.7))
        axes.text(2.5 + c, rows + 1.1, f"$b_{c}$", ha="center", va="center")
    axes.text(10.3, rows + 1.1, "one vector of a packed panel", va="center")
    step = "sums stay in registers:\n$s_{rc} = $ fma$(a_r[k], b_c[k], s_{rc})$\nfor k = 0, 1, 2, …"
    axes.text(10.3, rows / 2, step, va="center")
    axes.text(0, -0.5, "a scalar from\neach pixel", va="top")
    axes.set_xlim(-0.3, 17)
    axes.set_ylim(-1.6, rows + 2)
    axes.axis("off")
    return figure


def rounding() -> Any:
    """The error of a float32 sum by its number of terms, against the bound and the statistical limit."""
    rng = np.random.default_rng(0)
    depths = np.unique(np.logspace(0.5, 4.5, 25).astype(int))
    u, seen, bound, limit = 2.0**-24, [], [], []
    for n in depths:
        a = rng.standard_normal((256, n)).astype(np.float32)
        w = rng.standard_normal((n, 1)).astype(np.float32)
        z = cnnref.affine_forward(a, w, np.zeros((1, 1), np.float32))[0][:, 0]
        products = a.astype(np.float64) * w[:, 0]
        error = np.abs(z - products.sum(1))
        allowed = n * u * np.abs(products).sum(1)
        worst = (error / allowed).argmax()
        seen.append(error[worst])
        bound.append(allowed[worst])
        limit.append(8 * u * np.sqrt(n + 1) * np.sqrt((products[worst] ** 2).sum()))
    figure, axes = plt.subplots(figsize=(6, 3.4))
    axes.loglog(depths, bound, color=RED, label="bound: $n\\,u\\,\\Sigma|a||b|$")
    axes.loglog(depths, limit, color=GREEN, ls="--", label="statistical: $8u\\sqrt{n+1}\\sqrt{Q}$")
    axes.loglog(depths, seen, "o", ms=3, color=BLUE, label="cnnref.affine_forward, the worst of 256 sums")
    axes.set_xlabel("terms in the sum")
    axes.set_ylabel("error, float32")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=8)
    return figure


def ties() -> Any:
    """What the gradient of a tied maximum does, here and in the post."""
    x = np.array([[3.0, 3.0], [1.0, 2.0]])
    cache = cnnref.pool_forward(x[None, :, :, None], {"f": 2, "stride": 2})[1]
    dA = np.ones((1, 1, 1, 1))
    figure, axes = plt.subplots(figsize=(6, 2.2))
    for left, title, grid in (
        (0, "window", x),
        (4, "cnnref", cnnref.pool_backward(dA, cache)[0, :, :, 0]),
        (8, "the post", blog.pool_backward(dA, cache)[0, :, :, 0]),
    ):
        colours = np.where(grid > 0, "#fbe6c8", "white") if left else None
        _cells(axes, grid, left, 2, colours)
        axes.text(left + 1, 2.35, title, ha="center")
        axes.text(left + 1, -0.45, "" if left == 0 else f"sum {grid.sum():g}", ha="center")
    _plain(axes, 10.4, 2.8)
    axes.set_ylim(-0.8, 2.8)
    return figure


def tiers() -> Any:
    """Which tier judges which data."""
    figure, axes = plt.subplots(figsize=(6, 2.4))
    shelves = (
        ("equal", "nothing is rounded: padding, maxima, masks", GREEN),
        ("exact", "integers: every partial sum is a number of the dtype", BLUE),
        ("statistical", "zero mean: $8u\\sqrt{n+1}\\sqrt{Q}$", "#8a63b5"),
        ("bound", "any data: $n\\,u\\,\\Sigma|a||b|$", RED),
    )
    for i, (name, text, colour) in enumerate(shelves):
        axes.add_patch(Rectangle((0, 3 - i), 2.6, 0.7, facecolor=colour, alpha=0.25, edgecolor=colour))
        axes.text(0.15, 3.35 - i, name, va="center", color=INK, weight="bold")
        axes.text(2.8, 3.35 - i, text, va="center", color=INK)
    axes.set_xlim(-0.1, 15)
    axes.set_ylim(-0.2, 3.9)
    axes.axis("off")
    return figure


_PICTURES: dict[str, Callable[[], Any]] = {
    "window": window,
    "tile": tile,
    "rounding": rounding,
    "ties": ties,
    "tiers": tiers,
}
