"""One entry of the Jacobian that is wrong: ``dA_prev[0,3,2,1] misses tap (2,0) of dZ[0,1,1,0]``.

Most functions are linear in one of their arguments. That argument is set to 1 at a single place and 0
elsewhere (one-hot), what it is multiplied with to different integers, so that each element of the output
is 0 or one recognisable number: which tap of which output is missing, doubled, or weighed with the wrong
weight can be read off.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case
from conformance.cases.window import pair, window_of
from conformance.diagnosis.picture import RIGHT, SIDE, USED, WRONG, Picture, taps
from conformance.generation.arrays import draw
from conformance.generation.families import squashed
from conformance.implementations.implementation import Implementation
from conformance.oracle import evaluate

Arrays = dict[str, NDArray[Any]]
Place = tuple[int, ...]

#: Places of a one-hot argument that are tried, and seconds.
PLACES, PATIENCE = 400, 2.0

#: Terms that are written out.
_TERMS = 3

#: Relative errors up to this size are rounding.
_ROUNDING = 1e-4


@dataclass(frozen=True)
class Entry:
    """A wrong entry.

    Attributes
    ----------
    text : str
        The entry in one sentence, without a full stop.
    pictures : tuple of Picture
        What the element is made of, the wrong terms marked, and which taps of the window those are, where
        there is a window.
    terms : tuple of str
        The terms that differ most, each with what it is multiplied by and what it ought to be.
    """

    text: str
    pictures: tuple[Picture, ...] = ()
    terms: tuple[str, ...] = ()


def sources(case: Case, output: str) -> tuple[tuple[str, str | None], ...]:
    """The arguments in which an output is linear, each with the one it is multiplied with."""
    operation = case.operation
    if operation.upstream is None and squashed(case):
        return ()
    if output in operation.linear:
        return operation.linear[output]
    return ((operation.upstream, None),) if operation.upstream else ()


def entry(implementation: Implementation, case: Case, output: str, seconds: float = PATIENCE) -> Entry | None:
    """A wrong entry of the Jacobian of `output`, None if no single one is.

    Parameters
    ----------
    implementation : Implementation
        What is wrong.
    case : Case
        A small case that fails (`conformance.diagnosis.shrink`).
    output : str
        The output that is wrong.
    seconds : float
        When to give up.
    """
    end = time.monotonic() + seconds
    for plain in (True, False):  # different integers, then the case's own data
        for source, partner in sources(case, output):
            if plain and partner is None:
                continue  # zeros in what it is not multiplied with may be wrong otherwise: a relu's Z
            found = _sweep(implementation, case, output, source, partner if plain else None, plain, end)
            if found:
                return found
    return None


def _sweep(
    implementation: Implementation,
    case: Case,
    output: str,
    source: str,
    partner: str | None,
    plain: bool,
    end: float,
) -> Entry | None:
    """The first entry that is wrong as the place of the one moves through `source`; a missing one first."""
    arrays = draw(case)
    if plain:
        for name in arrays:
            if name not in ("Y", source):
                arrays[name] = np.zeros_like(arrays[name])
        _number(arrays, partner)
        _open_relu(case, arrays)
    elif case.operation.forward is None and "b" in arrays and source != "b":
        arrays["b"] = np.zeros_like(arrays["b"])  # it is added, not multiplied
    seen: dict[Place, tuple[NDArray[Any], NDArray[Any]]] = {}
    index: Place | None = None
    for place in _places(arrays[source].shape):
        if time.monotonic() > end:
            break
        arrays[source] = np.zeros_like(arrays[source])
        arrays[source][place] = 1
        pair = _both(implementation, case, arrays, output)
        if pair is not None:
            seen[place] = pair
            index = next(_differing(*pair), None) if index is None else index
    if index is None:
        return None
    made = {p: (float(e[index]), float(g[index])) for p, (g, e) in seen.items()}
    wrong = {p: made[p] for p, (g, e) in seen.items() if index in set(_differing(g, e))}
    place = next((p for p, (e, g) in wrong.items() if e and not g), next(iter(wrong)))
    weights = {p: arrays[p] for p in (partner,) if p}
    text = _sentence(case, output, index, source, place, *wrong[place], weights)
    whole = _made_of(arrays[source].shape, _named(output, index), source, made, wrong)
    drawn = (whole, _picture(case, output, index, source, wrong))
    return Entry(text, tuple(p for p in drawn if p), _terms(source, wrong))


def _terms(source: str, wrong: Mapping[Place, tuple[float, float]]) -> tuple[str, ...]:
    """The terms that differ most, as words."""

    def size(place: Place) -> float:
        expected, got = wrong[place]
        return abs(got - expected) if np.isfinite(got) else np.inf

    return tuple(
        f"{_named(source, p)} has the weight {wrong[p][1]:.6g}, expected {wrong[p][0]:.6g}"
        for p in sorted(wrong, key=size, reverse=True)[:_TERMS]
    )


def _made_of(
    shape: Place,
    element: str,
    source: str,
    made: Mapping[Place, tuple[float, float]],
    wrong: Mapping[Place, Any],
) -> Picture | None:
    """The plane of an argument with what an element of the output is made of."""
    if len(shape) not in (2, 4):
        return None
    rows = 1 if len(shape) == 4 and source != "W" else 0
    if max(shape[rows : rows + 2]) > SIDE or shape[rows] == shape[rows + 1] == 1:
        return None
    plane = np.full(shape[rows : rows + 2], RIGHT)
    for letter, places in ((USED, [p for p, times in made.items() if any(times)]), (WRONG, [*wrong])):
        for place in places:
            plane[place[rows : rows + 2]] = letter
    title = f"{element} is made of these elements of {source}, the wrong ones marked"
    return Picture(title, tuple("".join(row) for row in plane))


def _number(arrays: Arrays, partner: str | None) -> None:
    """1, 2, 3, ... in the argument that the one-hot one is multiplied with."""
    if partner:
        shape = arrays[partner].shape
        arrays[partner] = np.arange(1, 1 + arrays[partner].size).reshape(shape).astype(arrays[partner].dtype)


def _open_relu(case: Case, arrays: Arrays) -> None:
    """A bias that lets everything through: the mask of relu is not what is looked at here."""
    if case.operation.upstream and case.get("activation", "NULL") == "relu":
        arrays["b"] = np.ones_like(arrays["b"])


def _places(shape: Place) -> Iterator[Place]:
    for flat in range(min(PLACES, int(np.prod(shape)))):
        yield tuple(int(i) for i in np.unravel_index(flat, shape))


def _both(
    implementation: Implementation, case: Case, arrays: Mapping[str, NDArray[Any]], output: str
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    outcome = implementation.call(case, arrays)
    expected = evaluate(case, arrays)[output]
    got = outcome.outputs.get(output)
    if not isinstance(got, (float, np.ndarray)) or np.shape(got) != expected.shape:
        return None
    return np.asarray(got, np.float64), expected


def _differing(got: NDArray[Any], expected: NDArray[Any]) -> Iterator[Place]:
    with np.errstate(all="ignore"):
        size = float(np.nanmax(np.abs(expected), initial=0.0)) or 1.0
        wrong = ~(np.abs(got - expected) <= _ROUNDING * size) & ~((got == expected) | np.isnan(expected))
    for flat in np.flatnonzero(wrong):
        yield tuple(int(i) for i in np.unravel_index(int(flat), expected.shape))


def _sentence(
    case: Case,
    output: str,
    index: Place,
    source: str,
    place: Place,
    expected: float,
    got: float,
    weights: Mapping[str, NDArray[Any]],
) -> str:
    element, at = _named(output, index), _named(source, place)
    tap = tap_of(case, output, index, source, place)
    of = f"tap ({tap[0]},{tap[1]}) of {at}" if tap else at
    if got == 0:
        return f"{element} misses {of}"
    if np.isnan(got):
        return f"{element} is nan with 1 in {at} and 0 elsewhere"
    for name, values in weights.items():
        wanted, taken = (_by_value(values, value) for value in (expected, got))
        if taken and wanted:
            return f"{element} takes {at} times {_named(name, taken)} instead of {_named(name, wanted)}"
        if taken and expected == 0:
            return f"{element} takes {at} times {_named(name, taken)}, which does not belong there"
    if expected == 0:
        times = "" if got == 1 else f"{got:g} times "
        return f"{element} takes {times}{at}, which does not belong there"
    return f"{element} takes {of} {got / expected:.6g} times instead of once"


def _named(name: str, index: Place) -> str:
    return f"{name}[{','.join(map(str, index))}]" if index else name


def _by_value(values: NDArray[Any], value: float) -> Place | None:
    """Which of the different integers a number is."""
    if value != int(value if np.isfinite(value) else 0) or not 1 <= value <= values.size:
        return None
    return tuple(int(i) for i in np.unravel_index(int(value) - 1, values.shape))


def _reads_windows(case: Case) -> bool:
    traits = case.operation.traits
    return "windows" in traits and "transposed" not in traits


def tap_of(case: Case, output: str, index: Place, source: str, place: Place) -> Place | None:
    """Row and column of the window that lead from `source` to the element; None without a window."""
    if not _reads_windows(case):
        return None
    if output == "dW":
        return index[0], index[1]
    if output == "db" or source == "b":
        return None
    outer, inner = (index, place) if output in ("Z", "A") else (place, index)
    window = window_of(case)
    row, column = window.rows.tap(outer[1], inner[1]), window.columns.tap(outer[2], inner[2])
    return None if row is None or column is None else (row, column)


def _picture(
    case: Case, output: str, index: Place, source: str, wrong: Mapping[Place, Any]
) -> Picture | None:
    """The wrong taps of one element of the output."""
    found = [tap_of(case, output, index, source, place) for place in wrong]
    if _reads_windows(case) and any(found) and window_of(case).size > 1:
        mask = np.zeros(pair(case.value("f")), np.bool_)
        for tap in found:
            if tap:
                mask[tap] = True
        return taps(mask, f"taps of the window that are wrong for {_named(output, index)}")
    return None
