"""The gallery of faults, docs/gallery.md, with a picture of each that one small case shows (`ci/gallery`)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.image import imsave

from conformance.cases.case import Case
from conformance.commands.explain import Shown, shows
from conformance.diagnosis import where
from conformance.faults import CATALOGUE, Slip
from conformance.generation.generate import generate
from conformance.operations import OPERATIONS

DOCS = Path(__file__).parents[1]

#: Cases of an operation that are tried, rows and columns of a picture, pixels of a side and of a gap.
_CASES, _SIDE, _PIXELS, _GAP = 120, 16, 96, 8

#: From so many operations on, a fault is one of any.
_ANY = 8

#: A plane of these extents is seen best.
_GOOD = range(4, 13)

_NOT_SHOWN = "no small exact case shows it: memory, dtypes, rounding or several calls do"

HEAD = """\
# A gallery of faults

Every fault that the suite knows by name, generated from the catalogue itself by `ci/gallery`. A picture has
one plane of an output three times: what is right, what a kernel with the fault answers, and the difference.
Blue is negative, red positive, white zero, grey NaN or infinite; each picture has a scale of its own.
`conformance explain NAME` says how one is told from others.
"""


def main() -> None:
    """Write the page and its pictures."""
    pictures = DOCS / "gallery"
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir()
    rows: dict[str, list[str]] = {}
    for slip in CATALOGUE.values():
        rows.setdefault(_heading(slip), []).append(_row(slip, pictures))
    head = "| fault | right, with the fault, difference | what was done |\n|---|---|---|\n"
    parts = [f"## {title}\n\n{head}" + "\n".join(found) + "\n" for title, found in rows.items()]
    (DOCS / "gallery.md").write_text("\n".join([HEAD, *parts]), "utf-8")
    print(f"docs/gallery.md: {len(CATALOGUE)} faults, {len(list(pictures.iterdir()))} pictures")


def _heading(slip: Slip) -> str:
    if len(slip.targets) >= _ANY:
        return "Any operation"
    first = min(slip.targets, key=list(OPERATIONS).index)
    return first.removesuffix("_forward").removesuffix("_backward").replace("_", " ").capitalize()


def _row(slip: Slip, pictures: Path) -> str:
    shown = _best(slip)
    text = slip.text.replace("|", "\\|").replace("*", "\\*")
    if shown is None:
        return f"| `{slip.id}` | {_NOT_SHOWN} | {text} |"
    name = f"{shown.case.op}.{shown.output}"
    if shown.right.size == 1:
        values = f"{shown.right.item():.6g}, {np.asarray(shown.wrong).item():.6g}"
        return f"| `{slip.id}` | {name}: {values} | {text} |"
    imsave(pictures / f"{slip.id}.png", _drawn(shown))
    picture = f"![{name} right, with {slip.id}, and the difference](gallery/{slip.id}.png)"
    return f"| `{slip.id}` | {picture}<br>{name} | {text} |"


@cache
def _cases(op: str) -> list[Case]:
    every = generate([OPERATIONS[op]], ("f64",), _CASES, 0)
    shapes = OPERATIONS[op].shape
    cases = [c for c in every if all(0 < np.prod(shapes(c, n)) < 20_000 for n in OPERATIONS[op].arrays)]
    return sorted(cases, key=lambda case: case.family not in ("normal", "small"))


def _best(slip: Slip) -> Shown | None:
    """Of the cases that show the fault, the first whose plane is neither tiny nor cut."""
    every = (shown for op, outputs in slip.targets.items() for shown in _shown(slip, op, outputs))
    first = None
    for shown in every:
        if all(extent in _GOOD for extent in _plane(shown)[0].shape) and np.isfinite(shown.wrong).all():
            return shown
        if first is None or (first.right.size == 1 and shown.right.size > 1):
            first = shown
    return first


def _shown(slip: Slip, op: str, outputs: tuple[str, ...]) -> Iterator[Shown]:
    for case in _cases(op):
        shown = shows(slip, case, outputs)
        if shown is not None:
            yield shown


def _plane(shown: Shown) -> tuple[np.ndarray, np.ndarray]:
    """The rows and columns of the output where the fault is largest, right and wrong."""
    right, wrong = (np.atleast_2d(np.asarray(x, np.float64)) for x in (shown.right, shown.wrong))
    if right.ndim > 2:
        names = where.axes(shown.case, shown.output, right.ndim)
        rows = 1 if names[:1] == ("m",) else 0
        right, wrong = (np.moveaxis(x, (rows, rows + 1), (0, 1)).reshape(*x.shape[rows : rows + 2], -1)
                        for x in (right, wrong))  # fmt: skip
        with np.errstate(all="ignore"):
            size = np.nan_to_num(np.abs(wrong - right), nan=np.inf).clip(max=1e300).sum(axis=(0, 1))
        right, wrong = right[:, :, size.argmax()], wrong[:, :, size.argmax()]
    return right[:_SIDE, :_SIDE], wrong[:_SIDE, :_SIDE]


def _drawn(shown: Shown) -> np.ndarray:
    """The three planes beside each other, transparent between."""
    right, wrong = _plane(shown)
    cell = max(4, _PIXELS // max(right.shape))
    with np.errstate(all="ignore"):
        difference = wrong - right
    scale = np.abs(np.concatenate([x[np.isfinite(x)] for x in (right, wrong)])).max(initial=1e-300)
    finite = np.abs(difference[np.isfinite(difference)]).max(initial=0.0)
    scales = (scale, scale, finite or 1.0)
    panels = [_coloured(x, s, cell) for x, s in zip((right, wrong, difference), scales, strict=True)]
    gap = np.zeros((panels[0].shape[0], _GAP, 4))
    return np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)


def _coloured(plane: np.ndarray, scale: float, cell: int) -> np.ndarray:
    known = np.isfinite(plane)
    colours = colormaps["RdBu_r"](np.where(known, plane, 0.0) / scale / 2 + 0.5)
    colours[~known] = (0.55, 0.55, 0.55, 1.0)
    big = np.repeat(np.repeat(colours, cell, axis=0), cell, axis=1)
    big[::cell, :, :3] = big[:, ::cell, :3] = 0.8  # a grid
    return big


if __name__ == "__main__":
    main()
