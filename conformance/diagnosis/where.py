"""Where an output is wrong, as a rule: ``w = W-1``, ``c >= 16``, ``odd h``, ``border only``, ``m > 0``.

A rule is only stated for exactly the failing elements. Where no rule fits, the smallest box of rules that
holds them all is given with the number of its elements that fail.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case

Mask = NDArray[np.bool_]

#: Values of an axis that are listed one by one.
LISTED = 6

_IMAGE = ("m", "h", "w", "c")
_FILTER = ("fh", "fw", "c_prev", "c")
_NAMES: dict[str, tuple[str, ...]] = {
    "mask": ("h", "w"),
    "a": ("h", "w"),
    "dA_prev": ("m", "n_prev"),
    "dW": ("n_prev", "n"),
}


def axes(case: Case, output: str, ndim: int) -> tuple[str, ...]:
    """A name for each axis of an output; a filter's rows and columns are ``fh`` and ``fw``."""
    if ndim == 4:
        return _FILTER if output in ("dW", "db") else _IMAGE
    if ndim == 2 and output in _NAMES:
        return _NAMES[output]
    return ("m", "n") if ndim == 2 else tuple(f"axis {i}" for i in range(ndim))


def rule(mask: Mask, names: tuple[str, ...]) -> str:
    """The failing elements in words.

    Parameters
    ----------
    mask : ndarray of bool
        True where an element is wrong.
    names : tuple of str
        A name for each axis (`axes`).

    Raises
    ------
    ValueError
        If nothing fails, or the names do not match the axes.
    """
    if len(names) != mask.ndim:
        raise ValueError(f"rule: {len(names)} names for {mask.ndim} axes")
    count = int(mask.sum())
    if not count:
        raise ValueError("rule: nothing fails")
    if mask.all():
        return "every element"
    sets = _sets(mask)
    if np.array_equal(_box(sets, mask.shape), mask):
        return " and ".join(_described(sets, mask.shape, names))
    for text in _others(mask, names):
        return text
    where = " and ".join(_described(sets, mask.shape, names))
    inside = int(_box(sets, mask.shape).sum())
    if not where:
        return f"{count} of {mask.size} elements, by no simple rule"
    return f"only where {where} ({count} of the {inside} elements there)"


def _sets(mask: Mask) -> list[Mask]:
    """For each axis the indices at which something fails."""
    return [
        np.asarray(mask.any(tuple(a for a in range(mask.ndim) if a != axis))) for axis in range(mask.ndim)
    ]


def _box(sets: list[Mask], shape: tuple[int, ...]) -> Mask:
    box = np.ones(shape, np.bool_)
    for axis, values in enumerate(sets):
        box &= values.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return box


def _others(mask: Mask, names: tuple[str, ...]) -> Iterator[str]:
    """Rules that are no box: a border, one condition or another, the end of the memory."""
    sets = _sets(~mask)
    if np.array_equal(_box(sets, mask.shape), ~mask):
        parts = [
            (name, _axis(~values, name)) for name, values in zip(names, sets, strict=True) if not values.all()
        ]
        edges = [name for name, text in parts if text == f"{name} on the border"]
        if {"h", "w"} == set(edges) == {name for name, _ in parts}:
            yield "border only"
        yield " or ".join(text for _, text in parts)
    if {"h", "w"} <= set(names):
        rows, columns = names.index("h"), names.index("w")
        image = mask.any(tuple(a for a in range(mask.ndim) if a not in (rows, columns)))
        edge = np.ones_like(image)
        edge[1:-1, 1:-1] = False
        border = np.expand_dims(edge, tuple(a for a in range(mask.ndim) if a not in (rows, columns)))
        whole = [np.ones_like(v) if a in (rows, columns) else v for a, v in enumerate(_sets(mask))]
        box = _box(whole, mask.shape)
        if np.array_equal(border & box, mask):
            yield " and ".join(["border only", *_described(_sets(box), mask.shape, names)])
    flat = mask.reshape(-1)
    first = int(flat.argmax())
    if flat[first:].all() and first:
        yield f"the last {flat.size - first} of {flat.size} elements in memory"
    last = flat.size - int(flat[::-1].argmax())
    if flat[:last].all():
        yield f"the first {last} of {flat.size} elements in memory"


def _described(sets: list[Mask], shape: tuple[int, ...], names: tuple[str, ...]) -> list[str]:
    return [
        _axis(values, name)
        for values, name, extent in zip(sets, names, shape, strict=True)
        if extent > 1 and not values.all()
    ]


def _axis(values: Mask, name: str) -> str:
    """The indices of one axis in words."""
    places = [int(i) for i in np.flatnonzero(values)]
    last, low, high = len(values) - 1, places[0], places[-1]
    if len(places) == 1:
        if low == last and last > 0:
            return f"{name} = {_extent(name)}-1"
        return f"{name} = {low}"
    if high - low + 1 == len(places):
        if high == last:
            return f"{name} > 0" if low == 1 else f"{name} >= {low}"
        return f"{name} < {high + 1}" if low == 0 else f"{low} <= {name} <= {high}"
    if places == [0, last]:
        return f"{name} on the border"
    for step in range(2, len(values) // 2 + 1):
        if places == list(range(low, last + 1, step)) and low < step:
            return f"{('even', 'odd')[low]} {name}" if step == 2 else f"{name} = {low} mod {step}"
    missing = [int(i) for i in np.flatnonzero(~values)]
    for step in range(3, len(values) // 2 + 1):
        if missing == list(range(missing[0], last + 1, step)) and missing[0] < step:
            return f"{name} not {missing[0]} mod {step}"
    if len(places) <= LISTED:
        return f"{name} in {{{', '.join(map(str, places))}}}"
    if len(missing) <= LISTED:
        return f"{name} not in {{{', '.join(map(str, missing))}}}"
    return f"{low} <= {name} <= {high} ({len(places)} of {high - low + 1})"


def _extent(name: str) -> str:
    """How the extent of an axis is written: ``w = W-1``, ``n_prev = N_prev-1``."""
    return name[0].upper() + name[1:]
