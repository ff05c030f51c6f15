"""Further cases like a given one, to tell slips apart that give the same result on it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from conformance.cases.case import Case
from conformance.cases.options import Value
from conformance.cases.window import possible
from conformance.generation.families import FAMILIES

#: Extents to draw from: small, so that a further case costs nothing, and past the first vector widths.
_POOLS: dict[str, tuple[int, ...]] = {
    "m": (2, 3, 4, 5),
    "h": (4, 5, 7, 8, 10),
    "w": (5, 6, 9, 11),
    "c": (2, 3, 5, 6, 9, 18),
    "f": (2, 3, 4),
    "k": (2, 3, 5, 7, 19),
    "s": (1, 2, 3),
    "p": (0, 1, 2),
    "i": (3, 5, 8, 19),
    "o": (2, 4, 6, 21),
    "n": (3, 4, 7, 11),
}


def kind(case: Case) -> str:
    """What cases share that have the same further cases: all but extents and seed."""
    kept = [f"{n}={v}" for n, v in case.params if not (isinstance(v, int) and n in _POOLS) and n != "g"]
    if dict(case.params).get("g", 1) != 1:
        of_one = case["c"] == case["g"]
        kept.append(f"g of one, {case['k'] // case['g']}" if of_one else "g")
    return " ".join((case.op, case.dtype, case.family, *kept))


def further(case: Case, count: int) -> Iterator[Case]:
    """Yield `count` cases of the same operation, dtype and words with other extents, data and seeds.

    Every other one has the data family of `case`, in which the slip showed; the rest go through all
    families that suit, those with exact sums first. Drawn from the case's kind: the same for all of it.
    """
    random = Random(kind(case))
    others = sorted(
        (name for name, family in FAMILIES.items() if case.op in family.operations and name != case.family),
        key=lambda name: FAMILIES[name].kind != "exact",
    )
    made = 0
    for attempt in range(20 * count):
        values: dict[str, Value] = {
            name: random.choice(_POOLS[name]) if isinstance(value, int) and name in _POOLS else value
            for name, value in case.params
        }
        values.update(_grouped(case, random))
        family = case.family if attempt % 2 == 0 or not others else others[attempt // 2 % len(others)]
        more = Case.of(case.op, case.dtype, values, family, random.randrange(10**6))
        # Depthwise there are as many filters as channels.
        depthwise = values.get("g", 1) != 1 and values["c"] == values["k"]
        extents = [values[name] for name in "mhwcion" if name in values]
        extents += [values["k"]] if "k" in values and not depthwise else []
        if "s" in values and not possible(more):
            continue
        if len(set(extents)) == len(extents) and FAMILIES[family].suits(more):
            made += 1
            yield more
        if made == count:
            return


def _grouped(case: Case, random: Random) -> dict[str, Value]:
    """Other channels and filters of a case with groups, that divide into them; depthwise stays depthwise."""
    if dict(case.params).get("g", 1) == 1:
        return {}
    new = random.choice((2, 3, 4, 6))
    inputs, filters = case["c"] // case["g"], case["k"] // case["g"]
    if inputs > 1:
        inputs, filters = random.choice((2, 3, 5)), random.choice((1, 2, 3, 4))
    return {"g": new, "c": new * inputs, "k": new * filters}
