"""What is found out about a failure of a `ModelNew`: the smallest case, where, under which condition."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from conformance.diagnosis import picture, where
from conformance.diagnosis.findings import Finding, bare
from conformance.diagnosis.shrink import STEPS, descent, lower, manner
from conformance.faults.conditions import of_features
from conformance.implementations.loading import LoadError
from conformance.models.features import features
from conformance.models.judge import judged, wrong
from conformance.models.line import Line, Shape
from conformance.models.pair import Pair
from conformance.verdict.record import Record

#: Seconds for one failure, and for all of a run.
SHRINK, ALL = 4.0, 20.0

#: Families whose data are easiest to read, tried in this order.
_PLAIN = ("small", "normal")

#: Names of the axes of images, and of rows.
_AXES = {2: ("m", "n"), 4: ("m", "c", "h", "w")}


def find_all(pair: Pair, failures: Sequence[Record], seen: Sequence[Record]) -> list[Finding]:
    """Find out about failures; `seen` are the records of the run."""
    end = time.monotonic() + ALL
    return [_find(pair, record, seen) if time.monotonic() < end else bare(record) for record in failures]


def _find(pair: Pair, record: Record, seen: Sequence[Record]) -> Finding:
    """Find out about one failure."""
    others = {Line.parse(r.case): r.status for r in seen if r.output == record.output}

    def same(line: Line) -> bool:
        found = _tried(pair, line, record.output)
        if found is None:
            return False
        others[line] = found.status
        alike = found.diagnosis == record.diagnosis and manner(found) == manner(record)
        return found.status == "failed" and alike

    start = Line.parse(record.case)
    small = descent(start, _smaller, same, time.monotonic() + SHRINK)
    rule, drawn = _where(pair, start, record.output)
    failed, passed = (
        [features(x) for x, s in others.items() if s == status] for status in ("failed", "passed")
    )
    condition = of_features(failed, passed)
    said = bare((_tried(pair, small, record.output) if small != start else None) or record)
    return Finding(
        record.case, record.output, str(record.diagnosis), str(small), said.entry, rule,
        condition.sentence() if condition is not None else "", tuple(drawn), (), said.place, said.reason,
    )  # fmt: skip


def _tried(pair: Pair, line: Line, output: str) -> Record | None:
    """What comes of an output of a case; None if `Model` has no such case."""
    try:
        case = pair.reference.prepared(line)
    except LoadError:
        return None
    return next((r for r in judged(pair.candidate, case) if r.output == output), None)


def _where(pair: Pair, line: Line, output: str) -> tuple[str, list[picture.Picture]]:
    """The rule and the picture of the failing elements."""
    case = pair.reference.prepared(line)
    got = pair.candidate.answer(case).outputs.get(output)
    mask = wrong(case, output, got)
    if mask is None or not mask.ndim or not mask.any():
        return "", []
    if output.startswith(("y", "d(input")) and mask.ndim in _AXES:
        names = _AXES[mask.ndim]
    elif mask.ndim == 4:
        names = ("c", "c_prev", "fh", "fw")
    else:
        names = tuple(f"axis {i}" for i in range(mask.ndim))
    rule = where.rule(mask, names)
    if mask.ndim != 4:
        return rule, []
    axes = (0, 2, 3, 1) if names[0] == "m" else (2, 3, 1, 0)
    drawn = picture.plane(mask.transpose(axes), tuple(names[axis] for axis in axes), output)
    return rule, [drawn] if drawn else []


def _smaller(line: Line) -> Iterator[Line]:
    """Cases a step smaller, the boldest steps first; whether `Model` takes them is seen by asking it."""
    extents = {n for shape in line.shapes for n in enumerate(shape)}
    places = [((axis, n),) for axis, n in sorted(extents) if n > 1]
    rows = [((2, shape[2]), (3, shape[3])) for shape in line.shapes if len(shape) == 4]
    for step in range(STEPS):
        for together in (*rows, *places):
            new = {place: lower(place[1], step) for place in together}
            yield line._replace(shapes=tuple(_replaced(shape, new) for shape in line.shapes))
    simpler = _PLAIN[: _PLAIN.index(line.family)] if line.family in _PLAIN else _PLAIN
    for family in simpler:
        yield line._replace(family=family)
    if line.seed:
        yield line._replace(seed=0)


def _replaced(shape: Shape, new: dict[tuple[int, int], int]) -> Shape:
    """A shape with other extents, those that are the same in all inputs together."""
    return tuple(new.get((axis, n), n) for axis, n in enumerate(shape))
