"""Climb over shapes and data for the largest error, as a share of its bound.

Each implementation starts from the same cases; the worst of them are changed a little again and again (an
extent, the data, the seed), and a change that makes the error larger is kept. What one was found to be worst
at is then asked of the others, so that a slow one, which had time for fewer cases, is not ranked as accurate
for it. Implementations are ranked by whether they are right first, then by how accurate they are.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from conformance.cases.case import Case
from conformance.cases.options import Value
from conformance.generation.families import FAMILIES
from conformance.runs.worker import PLAIN, Holding

#: Cases of an operation and dtype that the climb starts from, and how many of the worst are climbed from.
STARTS, BEST = 12, 3

#: Elements of the largest array, and products, of a case that is tried.
_ELEMENTS, _PRODUCTS = 60_000, 4_000_000

Key = tuple[str, str, str]


@dataclass
class Found:
    """What the search came to for one implementation.

    Attributes
    ----------
    spec : str
        The implementation.
    worst : dict
        By operation, output and dtype: the largest share of the bound, and its case.
    failed : dict
        By operation, output and dtype: a case that fails.
    tried : int
        How many cases were judged.
    """

    spec: str
    worst: dict[Key, tuple[float, str]] = field(default_factory=dict)
    failed: dict[Key, str] = field(default_factory=dict)
    tried: int = 0

    @property
    def rank(self) -> tuple[int, float, float]:
        """Sorts the implementations: failing outputs, the worst share, the mean of the shares."""
        shares = [share for share, _ in self.worst.values()]
        return len(self.failed), max(shares, default=0.0), sum(shares) / max(len(shares), 1)


def climb(
    spec: str,
    operations: Sequence[Any],
    dtypes: Sequence[str],
    seconds: float,
    seed: int,
    holding: Holding = PLAIN,
) -> Found:
    """Search one implementation; operations take turns, so that each has its share of the time.

    Parameters
    ----------
    spec : str
        The implementation, as ``--impl`` names it.
    operations : sequence of Operation
        Where to search.
    dtypes : sequence of str
        Of ``"f32"``, ``"f64"``, ``"f16"``, ``"bf16"``.
    seconds : float
        How long; every operation's first cases are judged whatever it is.
    seed : int
        Seeds the cases and the climb.
    holding : Holding, optional
        How its process is held.

    Raises
    ------
    LoadError
        If the implementation cannot be used.
    """
    import conformance.verdict.judge  # noqa: F401  loading torch is not part of the time

    implementation, found = _loaded(spec, holding), Found(spec)
    climbs = [
        _climb(implementation, operation.name, dtype, seed, found)
        for operation in operations
        if implementation.has(operation.name)
        for dtype in dtypes
    ]
    end = time.monotonic() + seconds
    first = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while climbs and (first or time.monotonic() < end):
            for one in list(climbs):
                if not first and time.monotonic() > end:
                    break
                for _ in range(STARTS if first else 1):
                    if next(one, None) is None:
                        climbs.remove(one)
                        break
            first = False
    return found


def _loaded(spec: str, holding: Holding) -> Any:
    from conformance.implementations.implementation import load

    return load(spec, time_limit=holding.time_limit, wrapped=holding.wrapped)


def exchange(found: Sequence[Found], holding: Holding = PLAIN) -> None:
    """Judge every implementation on the cases that the others were found to be worst at, or wrong."""
    met = [{*(case for _, case in one.worst.values()), *one.failed.values()} for one in found]
    for one, own in zip(found, met, strict=True):
        implementation = _loaded(one.spec, holding)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for case in map(Case.parse, sorted(set().union(*met) - own)):
                if implementation.has(case.op):
                    _score(implementation, case, one)


def _climb(implementation: Any, op: str, dtype: str, seed: int, found: Found) -> Iterator[bool]:
    """One operation and dtype: yields after each case."""
    from conformance.generation.generate import generate
    from conformance.operations import OPERATIONS

    random = Random(f"{op}:{dtype}:{seed}")
    population: list[tuple[float, str]] = []
    seen: set[Case] = set()
    starts = [c for c in generate([OPERATIONS[op]], [dtype], STARTS * 4, seed) if not _exact(c)]
    for case in starts[-STARTS:] or list(generate([OPERATIONS[op]], [dtype], STARTS, seed)):
        seen.add(case)
        population.append((_score(implementation, case, found), str(case)))
        yield True
    misses = 0
    while misses < 1000:
        population = sorted(population, reverse=True)[:BEST]
        case = _changed(Case.parse(random.choice(population)[1]), random)
        if case in seen or not _affordable(case):
            misses += 1
            continue
        misses = 0
        seen.add(case)
        population.append((_score(implementation, case, found), str(case)))
        yield True


def _exact(case: Case) -> bool:
    return FAMILIES[case.family].kind == "exact"


def _changed(case: Case, random: Random) -> Case:
    """The case with one extent or its data changed."""
    numbers = [name for name, value in case.params if isinstance(value, int)]
    choice = random.random()
    if choice < 0.4:
        return case.replace(seed=random.randrange(10**6))
    if choice < 0.55:
        suiting = [f.name for f in FAMILIES.values() if f.kind != "exact" and f.suits(case)]
        return case.replace(family=random.choice(suiting or [case.family]))
    name = random.choice(numbers)
    value = case[name]
    steps = (value - 1, value + 1, value * 2, value // 2)
    changes: dict[str, Value] = {name: max(0 if name == "p" else 1, random.choice(steps))}
    return case.replace(**changes)


def _affordable(case: Case) -> bool:
    """Whether there is such a case, and it takes no more than some milliseconds."""
    from conformance.cases.window import possible, window_of
    from conformance.generation.arrays import array_shapes

    if not FAMILIES[case.family].suits(case):
        return False
    products = 1
    if "s" in case.operation.parameters:
        if not possible(case):
            return False
        window = window_of(case)
        products = case["m"] * math.prod(window.outputs) * window.size * case["c"]
        products *= case["k"] if "k" in case.operation.parameters else 1
    largest = max(math.prod(shape) for shape in array_shapes(case).values())
    return largest <= _ELEMENTS and products <= _PRODUCTS


def _score(implementation: Any, case: Case, found: Found) -> float:
    """The largest share of the bound in a case; noted for each output."""
    from conformance.verdict.judge import Trial

    found.tried += 1
    best = 0.0
    for record in Trial(implementation, case).records(None):
        key = record.op, record.output, record.dtype
        if record.status == "failed":
            found.failed.setdefault(key, record.case)
            continue
        if record.max_bound_fraction is None:
            continue
        share = float(record.max_bound_fraction)
        best = max(best, share)
        if share > found.worst.get(key, (-1.0, ""))[0]:
            found.worst[key] = share, record.case
    return best


def table(found: Sequence[Found]) -> list[str]:
    """The ranking, then the worst case of each output."""
    ranked = sorted(found, key=lambda f: f.rank)
    lines = []
    for place, one in enumerate(ranked, 1):
        failing, worst, mean = one.rank
        lines.append(
            f"{place}. {one.spec}: {failing} outputs fail, worst share of a bound {worst:.3f}, "
            f"mean over outputs {mean:.3f} ({one.tried} cases)"
        )
    for one in ranked:
        lines.append(f"{one.spec}:")
        for (op, output, dtype), case in sorted(one.failed.items()):
            lines.append(f"  {op}.{output} {dtype}: fails {case}")
        for (op, output, dtype), (share, case) in sorted(one.worst.items(), key=lambda item: -item[1][0]):
            lines.append(f"  {op}.{output} {dtype}: {share:.3f} at {case}")
    return lines
