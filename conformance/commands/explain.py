"""``conformance explain NAME``: what a name is, an example, how it is told apart, and who had it.

Every text is that of the tables which the suite itself reads; examples are computed from them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from conformance.cases.case import Case
from conformance.commands.explain_case import of_case
from conformance.commands.terminal import wrapped
from conformance.commands.usage import AGREES, UsageError, examples
from conformance.conventions import CONVENTIONS
from conformance.faults import CATALOGUE, KILLED, RAISED, Slip
from conformance.faults.core import reference
from conformance.faults.diagnose import UNEXPLAINED
from conformance.faults.diagnose import explain as sentence
from conformance.faults.state import SHOWN, STATE
from conformance.generation.arrays import draw
from conformance.generation.corners import CORNERS
from conformance.generation.families import FAMILIES
from conformance.generation.generate import generate
from conformance.operations import OPERATIONS
from conformance.report import terms
from conformance.report.found import WORDS
from conformance.report.text import counted, listed

_EXAMPLES = examples(
    "conformance explain gradient-divided-by-m     a fault",
    "conformance explain ties                      a data family",
    "conformance explain pool-ties                 a choice in which frameworks differ",
    "conformance explain statistical               a tier; refused, a status; too-little, a state",
    "conformance explain conv_forward              an operation",
    "conformance explain relu:f32:m1h2w2c1:ties:0  the line of a case",
)

#: Cases of an operation among which the smallest that shows a fault is looked for.
_CASES = 60

#: Names that are given at once, lines of an example, and cases of which the most telling is shown.
_MANY, _LINES, _CANDIDATES = 6, 5, 4

#: Elements of the array that stands for a family, at least, and of each array that is shown.
_ENOUGH, _FEW = 12, 8

#: Families whose numbers are easily read.
_READABLE = ("small", "normal")


class Explanation(NamedTuple):
    """What is said of a name."""

    kind: str
    text: str
    example: list[str]
    apart: str
    seen: str
    remedy: str = ""


def add_command(commands: Any) -> None:
    """Add ``explain`` to the command line."""
    parser = commands.add_parser(
        "explain", help="what a name in a report is, with an example", epilog=_EXAMPLES
    )
    parser.description = (
        "Say what a fault, family, corner case, convention, tier, status, state or operation is, show an "
        "example, how it is told from others, and who had it. `conformance list` has the names."
    )
    parser.add_argument(
        "name", metavar="NAME", help="as the report writes it; two faults joined by + are both said; a case"
    )
    parser.set_defaults(action=command)


def command(asked: argparse.Namespace) -> int:
    """Run ``conformance explain``."""
    print("\n".join(lines(asked.name)))
    return AGREES


def lines(name: str) -> list[str]:
    """What is said of `name`, of each kind that has it.

    Raises
    ------
    UsageError
        If nothing is called that, with what is called nearly that; if a line of a case cannot be read.
    """
    if ":" in name:
        return of_case(name)
    found: list[str] = []
    for part in name.split("+") if name.partition("+")[0] in CATALOGUE else [_meant(name)]:
        for said in _explanations(part):
            found += ["", *_written(part, said)] if found else _written(part, said)
    return found


def _written(name: str, said: Explanation) -> list[str]:
    rows = [f"{name} ({said.kind})", *wrapped(f"  {said.text}", "  ")]
    rows += ["", "  For example:", *(f"    {line}" for line in said.example[:_LINES])] if said.example else []
    rows += ["", *wrapped(f"  What to do: {said.remedy}", "  ")] if said.remedy else []
    rows += ["", *wrapped(f"  Told apart: {said.apart}", "  ")] if said.apart else []
    return [*rows, "", *wrapped(f"  Seen in: {said.seen}", "  ")] if said.seen else rows


def _explanations(name: str) -> list[Explanation]:
    found = [make(name) for names, make in _KINDS if name in names()]
    if name.startswith(RAISED) and len(name) > len(RAISED):
        found.append(_other(name))
    if not found:
        known = sorted({word for names, _ in _KINDS for word in names()})
        lower = {word.lower(): word for word in known}
        close = [lower[word] for word in get_close_matches(name.lower(), lower, _MANY, 0.6)]
        close += [word for word in known if name.lower() in word.lower() and word not in close]
        nearly = f"; close to it: {', '.join(close[:_MANY])}" if close and name else ""
        raise UsageError(f"nothing is called {name!r}{nearly}; `conformance list` has the names")
    return found


def _meant(name: str) -> str:
    """The name that is written so up to its case, or the only one of which that is the beginning."""
    known = {word for names, _ in _KINDS for word in names()}
    if name in known or not name:
        return name
    whole = [word for word in known if word.lower() == name.lower()]
    begun = [word for word in known if word.lower().startswith((f"{name.lower()} ", f"{name.lower()}-"))]
    return next((some[0] for some in (whole, begun) if len(some) == 1), name)


def _fault(name: str) -> Explanation:
    slip = CATALOGUE[name]
    shown = _smallest(slip)
    example = (
        shown.lines() if shown else ["it shows in rounding, in dtypes or in memory alone: no exact example"]
    )
    outputs = [f"{op}.{output}" for op, named in slip.targets.items() for output in named]
    text = f"{slip.text} It can be in {listed(outputs, _MANY)}."
    return Explanation(
        "a fault", text, example, " ".join(_apart(slip, shown)), _THE_POST if slip.post else ""
    )


#: Whose convention a slip is.
_THE_POST = 'the R code of "R for Deep Learning (IV)", whose convention it is'


def _apart(slip: Slip, shown: Shown | None) -> Iterator[str]:
    """How the fault is told from others."""
    if len(slip.variants) > 1:
        yield f"{len(slip.variants)} forms of it go by this name."
    if slip.own is not None:
        yield "It is nothing but worse rounding: all further cases have to agree with it, and no other fault."
    elif slip.unit or slip.rounds:
        yield "It rounds itself: it is matched within the rounding of its own arithmetic."
    else:
        yield "What it gives on the same arrays is computed; the answer has to be that, on further cases too."
    if shown and shown.alike:
        alike = listed(shown.alike, _MANY)
        yield f"On the example {alike} would give the same: other shapes and data decide."


class Shown(NamedTuple):
    """A case that shows a fault."""

    case: Case
    output: str
    wrong: Any
    right: Any
    alike: list[str]

    def lines(self) -> list[str]:
        """The case, one element of it, and how many differ."""
        differ = ~np.isclose(self.wrong, self.right, rtol=1e-9, atol=0, equal_nan=True)
        place = tuple(int(i) for i in np.argwhere(differ)[0])
        at = f"[{','.join(map(str, place))}]" if place else ""
        share = f"{int(differ.sum())} of {counted(int(differ.size), 'element')}"
        return [
            f"{self.case}",
            f"right   {self.output}{at} = {float(self.right[place]):.9g}",
            f"wrong   {self.output}{at} = {float(self.wrong[place]):.9g}",
            f"differ  {share} of {self.output}",
            f"again   conformance repro '{self.case}' --impl MODULE",
        ]


def _smallest(slip: Slip) -> Shown | None:
    """Of small cases whose result the fault changes, the one that the fewest others explain."""
    cases = [
        case
        for op in slip.targets
        for case in generate([OPERATIONS[op]], ("f64",), _CASES, 0)
        if all(np.prod(case.operation.shape(case, name)) > 0 for name in case.operation.arrays)
    ]
    finite = {case: all(np.isfinite(array).all() for array in draw(case).values()) for case in cases}
    cases.sort(key=lambda case: (not finite[case], case.family not in _READABLE, _size(case)))
    shown = (seen for case in cases if (seen := shows(slip, case, slip.targets[case.op])))
    found = [seen._replace(alike=_alike(slip, seen)) for seen in islice(shown, _CANDIDATES)]
    return min(found, key=lambda seen: len(seen.alike), default=None)


def _first(case: Case) -> int:
    """The elements of the first array of a case."""
    return int(np.prod(case.operation.shape(case, next(iter(case.operation.arrays)))))


def _size(case: Case) -> int:
    return sum(int(np.prod(case.operation.shape(case, name))) for name in case.operation.arrays)


def shows(slip: Slip, case: Case, outputs: Iterable[str]) -> Shown | None:
    """The first of the outputs that the fault changes in a case, None if it changes none."""
    arrays = _doubles(case)
    with np.errstate(all="ignore"):
        right = reference(case, arrays)
        for wrong in _results(slip, case, arrays):
            for output in outputs:
                if output in wrong and _differs(wrong[output], right[output]):
                    return Shown(case, output, wrong[output], np.asarray(right[output]), [])
    return None


def _alike(slip: Slip, shown: Shown) -> list[str]:
    """Other faults that give the same on the case."""
    arrays = _doubles(shown.case)
    with np.errstate(all="ignore"):
        return [
            other.id
            for other in CATALOGUE.values()
            if other is not slip and other.own is None and other.applies(shown.case.op, shown.output)
            for wrong in [list(_results(other, shown.case, arrays))]
            if any(not _differs(one[shown.output], shown.wrong) for one in wrong if shown.output in one)
        ]


def _doubles(case: Case) -> dict[str, Any]:
    return {n: a if a.dtype.kind in "iu" else a.astype(np.float64) for n, a in draw(case).items()}


def _results(slip: Slip, case: Case, arrays: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What each form of the fault gives, where it gives anything."""
    for variant in slip.variants:
        try:
            yield {n: np.asarray(v) for n, v in slip.wrong(case, arrays, reference, **variant).items()}
        except (KeyError, ValueError, IndexError, TypeError, ZeroDivisionError):
            continue


def _differs(wrong: Any, right: Any) -> bool:
    """Whether an answer of the same shape has an element that is clearly another."""
    if np.shape(wrong) != np.shape(right):
        return False
    return not np.allclose(wrong, right, rtol=1e-6, atol=1e-9, equal_nan=True)


def _other(name: str) -> Explanation:
    """What has a name and no function to a wrong result."""
    if name in STATE:
        return Explanation(
            "a fault of state",
            sentence(name),
            [*SHOWN[name].calls],
            "One call cannot show it: the function is called as real programs call it, and what fails is "
            "tried again in a process that has made no call yet.",
            "",
            SHOWN[name].remedy,
        )
    if name in WORDS:
        return Explanation("a word of a report", WORDS[name], [], "", "")
    return Explanation("a diagnosis", sentence(name), [], "", "")


def _family(name: str) -> Explanation:
    family = FAMILIES[name]
    op = next((op for op in OPERATIONS if op in family.operations), "")
    example = []
    cases = [c for c in generate([OPERATIONS[op]], ("f32",), 200, 0) if c.family == name] if op else []
    if cases:
        # One number shows nothing of a family; many are not read.
        case = min(cases, key=lambda case: (_first(case) < _ENOUGH, _size(case)))
        example.append(str(case))
        for array, values in draw(case).items():
            with np.printoptions(precision=6):
                few = np.array2string(values.reshape(-1)[:_FEW], separator=", ", max_line_width=200)
            example.append(f"{array} = {few}" + (f" of {values.size}" if values.size > _FEW else ""))
    text = f"{family.description}. It goes with {listed(sorted(family.operations), _MANY)}."
    apart = f"It is judged by the {family.kind} tier: {terms.TIERS[family.kind]}"
    return Explanation("a data family", text, example, apart, family.source)


def _corner(name: str) -> Explanation:
    found = [corner for corner in CORNERS if corner.name == name]
    operations = dict.fromkeys(corner.op for corner in found)
    again = [f"conformance repro '{corner.case('f32')}' --impl MODULE" for corner in found[:_LINES]]
    sources = dict.fromkeys(corner.source for corner in found if corner.source)
    families = dict.fromkeys(corner.family for corner in found)
    return Explanation(
        "a corner case",
        f"{counted(len(found), 'case')} of {listed(operations, _MANY)}, first in every run.",
        again,
        f"Its data are of {listed(families, _MANY)}.",
        "; ".join(sources),
    )


def _convention(name: str) -> Explanation:
    convention = CONVENTIONS[name]
    values = "; ".join(f"{value}: {meaning}" for value, meaning in convention.values.items())
    return Explanation(
        "a convention",
        f"{convention.text}. None is wrong; {convention.default} is expected unless told. "
        f"It shows in {', '.join(convention.operations)}.",
        [f"conformance run --impl MODULE --convention {name}={value}" for value in convention.values],
        "`conformance probe --impl MODULE` finds by experiment which it is.",
        values,
    )


#: Each choice of a convention, as ``--convention`` takes it.
_CHOICES = {f"{name}={value}": name for name, of in CONVENTIONS.items() for value in of.values}


def _choice(name: str) -> Explanation:
    return _convention(_CHOICES[name])


def _operation(name: str) -> Explanation:
    entry = OPERATIONS[name]
    slips = [slip.id for slip in CATALOGUE.values() if name in slip.targets]
    corners = dict.fromkeys(corner.name for corner in CORNERS if corner.op == name)
    case = min(generate([entry], ("f32",), _CASES, 0), key=_size)
    return Explanation(
        "an operation",
        f"{', '.join(entry.arrays)} to {', '.join(entry.outputs)}. "
        f"{counted(len(slips), 'known fault')}: {listed(slips, _MANY)}. "
        f"{counted(len(corners), 'named corner case')}: {listed(corners, _MANY)}.",
        [f"conformance repro '{case}' --impl MODULE"],
        "",
        "",
    )


def _word(kind: str, words: Mapping[str, str]) -> Callable[[str], Explanation]:
    def make(name: str) -> Explanation:
        families = [family.name for family in FAMILIES.values() if family.kind == name]
        example = [f"judged so: {listed(families, _MANY)}"] if families else []
        others = [f"{word}: {text}" for word, text in words.items() if word != name]
        return Explanation(kind, words[name], example, " ".join(others), "")

    return make


#: The names there are of each kind, and what is said of one.
_KINDS: tuple[tuple[Callable[[], Iterable[str]], Callable[[str], Explanation]], ...] = (
    (lambda: CATALOGUE, _fault),
    (lambda: (*STATE, UNEXPLAINED, KILLED, *WORDS), _other),
    (lambda: FAMILIES, _family),
    (lambda: {corner.name for corner in CORNERS}, _corner),
    (lambda: CONVENTIONS, _convention),
    (lambda: OPERATIONS, _operation),
    (lambda: terms.TIERS, _word("a tier", terms.TIERS)),
    (lambda: terms.STATUSES, _word("a status", terms.STATUSES)),
    (lambda: terms.STATES, _word("a state", terms.STATES)),
    (lambda: terms.FIGURES, _word("a figure", terms.FIGURES)),
    (lambda: terms.DTYPES, _word("a dtype", terms.DTYPES)),
    (lambda: terms.DIALECTS, _word("a dialect", terms.DIALECTS)),
    (lambda: _CHOICES, _choice),
)
