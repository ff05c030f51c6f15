"""Why an output is wrong: the one known slip whose result it is.

A failed output is compared with what each slip of the catalogue would have given on the same arrays:
bit for bit where nothing rounds, else within the rounding error and several times that away from the
right result. What is named is a fact about the data, so it has to be exactly one slip: where several
give the same result on a case, or it is the first time that a slip is named, further cases with other
shapes and data (through `rerun`) have to bear it out. All else is `UNEXPLAINED`.

What is named depends on the case alone, not on those judged before it: the further cases are the same for
all cases of a kind (`further.kind`), so that what they say of a slip is remembered. A slip may hold under a
condition (`conditions`): then each further case has its result or the right one. A run with thousands of
failures stays fast: searches that come to nothing have a budget for each output.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, combinations

import numpy as np

from conformance.cases.case import Case
from conformance.cases.dtypes import HALF
from conformance.cases.request import DEVICE
from conformance.faults import CATALOGUE, DEVICE_ERROR, KILLED, RAISED, Slip, half
from conformance.faults.conditions import condition
from conformance.faults.core import Array
from conformance.faults.evidence import Evidence, adds_up
from conformance.faults.further import further
from conformance.faults.further import kind as further_kind
from conformance.faults.state import STATE
from conformance.generation.arrays import draw
from conformance.generation.families import FAMILIES
from conformance.generation.feasible import exists

UNEXPLAINED = "unexplained"
INPUT_MODIFIED = "input-modified"
BETWEEN_CALLS = "accumulator-kept-between-calls"
DTYPE_NOT_KEPT = "dtype-not-kept"
CROPPED = "crop-empty-at-padding-zero"
SHAPE_FLATTENED = "shape-flattened"

#: Fruitless searches of the whole catalogue for one output, after which cases of a kind that was searched in
#: vain are not searched again; and after how many no pair of slips is tried any more.
SEARCHES, PAIRED = 12, 4
#: As many slips that explain one case are told apart; of more the case says nothing.
MOST = 12
#: Slips of more forms than these are not tried in pairs.
_FORMS = 3
#: Further cases drawn to tell slips apart or to bear one out.
FURTHER = 40
#: Cases on which a slip has to be borne out before it is established.
WITNESSES = 2

Rerun = Callable[[Case], Mapping[str, Array]]


class Diagnoser:
    """Diagnoses the failures of one implementation.

    Parameters
    ----------
    rerun : callable, optional
        Runs the implementation on a further case and returns its outputs by name. Without it a slip is
        named only if no other one gives the same result on the case at hand.
    """

    def __init__(self, rerun: Rerun | None = None) -> None:
        self._rerun = rerun
        #: By kind of case and output; what is found of a kind does not depend on which of its cases it was.
        self._established: dict[tuple[str, str], list[Slip]] = defaultdict(list)
        self._settled_before: dict[tuple[str, str, str], list[Slip]] = {}
        self._between_calls: set[tuple[str, str]] = set()
        self._fruitless: dict[tuple[str, str], int] = defaultdict(int)
        self._nameless: set[tuple[str, str]] = set()

    def forget(self) -> None:
        """Drop what earlier diagnoses found, so that the next do not depend on them.

        What further cases say of slips stands: it is the same for all cases of a kind.
        """
        self._established.clear()
        self._between_calls.clear()
        self._fruitless.clear()
        self._nameless.clear()

    def diagnose(
        self,
        case: Case,
        arrays: Mapping[str, Array],
        output: str,
        got: Array | None,
        expected: Array,
        *,
        modified: bool = False,
    ) -> str:
        """Name the slip that explains one failed output.

        Parameters
        ----------
        case : Case
            The case that failed.
        arrays : mapping of str to ndarray
            The arrays as the implementation saw them.
        output : str
            Which output failed.
        got : ndarray or None
            What the implementation gave; None if it gave nothing.
        expected : ndarray
            The right output.
        modified : bool
            Whether the implementation changed an input.

        Returns
        -------
        str
            The slip's identifier, two of them joined by "+" where two of the post's conventions meet
            in one output, or `UNEXPLAINED`.
        """
        kind = np.asarray(got).dtype
        if got is None or (kind.kind not in "fiub" and kind != case.numpy_dtype):
            return UNEXPLAINED
        with np.errstate(all="ignore"):
            data = Evidence(case, arrays, output, got, expected)
            data.failed = True
            if data.right():
                if modified:
                    return INPUT_MODIFIED
                if kind != case.numpy_dtype and output not in case.operation.forms:
                    return DTYPE_NOT_KEPT
            found = self._search(data)
            form = case.operation.forms.get(output)
            numbers = form is not None and form.dtype is None  # of Python, which have no dtype to keep
            if found == UNEXPLAINED and data.right() and kind != case.numpy_dtype and not numbers:
                return DTYPE_NOT_KEPT
            return found

    def _search(self, data: Evidence) -> str:
        place = (further_kind(data.case), data.output)
        key = (data.case.op, data.output)
        known = _left(data.closer_to, self._established[place])
        # What was borne out on cases of another kind has to show plainly.
        known = known or _left(data.explained_by, self._established[key])
        known = [slip for slip in known if "+" not in slip.id] or known
        if len(known) == 1:
            return known[0].id
        if self._fruitless[key] >= SEARCHES and place in self._nameless:
            return UNEXPLAINED
        found = self._settled(data, place, _slips(*key))
        further = found or self._searched_further(data, place)
        if isinstance(further, str):
            return further
        if len(further) != 1:
            self._fruitless[key] += 1
            self._nameless.add(place)
            return UNEXPLAINED
        found = further
        self._establish(place, data.case.op, found[0].id)
        return found[0].id

    def _searched_further(self, data: Evidence, place: tuple[str, str]) -> list[Slip] | str:
        """Two slips at once, or a sum that is kept between calls: what a budget is for."""
        key = (data.case.op, data.output)
        if key in self._between_calls and self._keeps_between_calls(data):
            return BETWEEN_CALLS
        if self._fruitless[key] >= PAIRED:
            return []
        found = self._settled(data, place, [pair for pair in _pairs(*key) if pair.post])
        if not found and self._rerun is not None and data.finite:
            showing = {slip.id for slip in _slips(*key) if data.shows(slip)}
            pairs = [pair for pair in _pairs(*key) if showing.issuperset(pair.id.split("+"))]
            found = self._settled(data, place, pairs)
        if not found and self._keeps_between_calls(data):
            self._between_calls.add(key)
            return BETWEEN_CALLS
        return found

    def _establish(self, place: tuple[str, str], op: str, id: str) -> None:
        """Remember a slip that further cases have borne out, with what it is combined of."""
        if self._rerun is not None:
            # With all its variants: another of them may show in another case.
            known = (*_slips(op, place[1]), *_pairs(op, place[1]))
            these = [s for s in known if s.id in {id, *id.split("+")}]
            for where in (place, (op, place[1])):
                self._established[where] += [s for s in these if s not in self._established[where]]

    def _settled(self, data: Evidence, place: tuple[str, str], slips: Sequence[Slip]) -> list[Slip]:
        """The slips that explain the data and that further cases bear out."""
        found = _left(data.explained_by, slips)
        if self._rerun is None or len(found) > MOST:
            return [slip for slip in found if slip.own is None] or found
        # What gives just this result is more likely than what gives any result about as far off.
        for likely in (True, False):
            some = [slip for slip in found if (slip.own is None) == likely]
            if not likely and data.case.dtype in HALF and (told := self._told_exactly(data, place, slips)):
                return told
            if some and (left := self._left_of(data, place, some, self._rerun)):
                return left
        faint = [] if found else [s for s in _left(data.closer_to, slips) if s.own is None]
        if 0 < len(faint) <= MOST:
            rerun = self._rerun
            return self._remembered(place, faint, lambda: self._borne_out(data, faint, rerun, True))
        return []

    def _told_exactly(self, data: Evidence, place: tuple[str, str], slips: Sequence[Slip]) -> list[Slip]:
        """Of faults as small as one rounding the one that cases where nothing else rounds bear out."""
        small = [slip for slip in slips if slip.id in half.SMALL and data.consistent_with(slip)]
        exact = (data.case.replace(family=name) for name, f in FAMILIES.items() if f.kind == "exact")
        like = next((case for case in exact if FAMILIES[case.family].suits(case)), None)
        if like is None or self._rerun is None:
            return []
        rerun, there = self._rerun, Evidence(like, draw(like), data.output, None, None)

        def tried() -> list[Slip]:
            return [left for slip in small for left in self._borne_out(there, [slip], rerun, True)]

        return self._remembered((*place[:1], f"{place[1]} exactly"), small, tried) if small else []

    def _left_of(self, data: Evidence, place: tuple[str, str], found: list[Slip], rerun: Rerun) -> list[Slip]:
        """Those that further cases of the kind bear out, if need be under a condition."""

        def tried() -> list[Slip]:
            left = self._borne_out(data, found, rerun)
            return left or [slip for slip in found if self._holds_somewhere(data, slip, rerun)]

        return self._remembered(place, found, tried)

    def _remembered(
        self, place: tuple[str, str], found: list[Slip], tried: Callable[[], list[Slip]]
    ) -> list[Slip]:
        """What came of trying these slips on the further cases of a kind."""
        key = (*place, " ".join(f"{slip.id}{slip.variants}" for slip in found))
        if key not in self._settled_before:
            self._settled_before[key] = tried()
        return self._settled_before[key]

    def _borne_out(self, data: Evidence, found: list[Slip], rerun: Rerun, faint: bool = False) -> list[Slip]:
        """The slips that further cases do not contradict, as soon as one is left and has been seen again.

        A slip that shows only faintly in the case at hand has to be seen in others; so has worse rounding.
        """
        witnesses: list[str] = []
        seen = False
        # What options cannot tell apart (depthwise, a filter has one channel) plain cases may.
        for more in chain(*(self._further(data, rerun, found, like) for like in _alike(data.case))):
            left = _left(more.consistent_with, found)
            if not left and self._wrong_otherwise(data, more, found):
                continue
            found = left
            if not found:
                return []
            if any(more.shows(slip) and (slip.own is None or more.worse()) for slip in found):
                witnesses.append(more.case.family)
            # Two families: what one kind of data bears out, another may contradict.
            seen = len(witnesses) >= WITNESSES and len(set(witnesses)) > 1
            # What is worse rounding explains much: all further cases have to agree.
            if len(found) == 1 and seen and found[0].own is None:
                return found
        if len(found) > 1 and not any(slip.own for slip in found):
            found = self._told_apart(data, found, rerun)
        return found if seen or not (faint or any(slip.own for slip in found)) else []

    @staticmethod
    def _wrong_otherwise(data: Evidence, more: Evidence, found: list[Slip]) -> bool:
        """Whether a further case has another fault that `data` has not: alone, or beside the only slip."""
        key = (data.case.op, data.output)
        if not any(more.shows(slip) for slip in found):
            return any(more.explained_by(slip) and not data.shows(slip) for slip in _slips(*key))
        if len(found) > 1 or found[0].own is not None:
            return False
        besides = {other.id for other in _slips(*key) if more.shows(other) and not data.shows(other)}
        return any(
            more.explained_by(pair) is not None
            for pair in _pairs(*key)
            if found[0].id in (ids := pair.id.split("+")) and besides.intersection(ids)
        )

    def _told_apart(self, data: Evidence, found: list[Slip], rerun: Rerun) -> list[Slip]:
        """What is left of slips that are one at this value of an option, by cases with another."""
        for like in _otherwise(data.case):
            for more in self._further(data, rerun, found, like, 2 * WITNESSES):
                found = _left(more.consistent_with, found)
                if len(found) < 2:
                    return found
        return found

    def _holds_somewhere(self, data: Evidence, slip: Slip, rerun: Rerun) -> bool:
        """Whether each further case has the slip's result or the right one, and a condition tells which."""
        wrong, right = [data.case], list[Case]()
        # A condition may be an option of the case: those without it are right then.
        for more in chain(*(self._further(data, rerun, [slip], like) for like in _alike(data.case))):
            if more.explained_by(slip) is not None:
                wrong.append(more.case)
            elif more.right():
                right.append(more.case)
            else:
                return False
        families = {case.family for case in wrong}
        return len(wrong) > WITNESSES and len(families) > 1 and condition(wrong, right) is not None

    @staticmethod
    def _further(
        data: Evidence, rerun: Rerun, found: list[Slip], like: Case, count: int = FURTHER
    ) -> Iterator[Evidence]:
        """Further cases on which the slips differ from one another, or one slip from the right result."""
        for case in further(like, count):
            arrays = draw(case)
            # What a slip makes of NaN is a question of its own: it contradicts nothing about numbers.
            if data.finite and not all(np.isfinite(v).all() for v in arrays.values()):
                continue
            bare = Evidence(case, arrays, data.output, None, None)
            # Worse rounding has to be that everywhere, where it cannot show too.
            if not any(slip.own for slip in found):
                if len(found) > 1 and not bare.tells_apart(found):
                    continue
                if len(found) == 1 and not bare.shows(found[0]):
                    continue
            try:
                got = rerun(case).get(data.output)
            except Exception:  # whatever a wrong implementation raises, it is no evidence for a slip
                continue
            if got is not None:
                yield bare.seen(got)

    def _keeps_between_calls(self, data: Evidence) -> bool:
        """Whether the same call made again gives the right result on top of what it gave before."""
        if self._rerun is None or data.right():
            return False
        try:
            first, second = (np.array(self._rerun(data.case)[data.output], np.float64) for _ in range(2))
        except Exception:  # see _further
            return False
        return adds_up(data.case, data.arrays, data.output, data.expected, first, second)


def _left(test: Callable[[Slip], Slip | None], slips: Sequence[Slip]) -> list[Slip]:
    """What is left of the slips under a test."""
    return [left for slip in slips if (left := test(slip))]


def _alike(case: Case) -> tuple[Case, ...]:
    """The case, and if it has options one of the same data without."""
    options = case.operation.trailing
    plain = {name: option.default for name, option in options.items() if option.default is not None}
    return (case, case.replace(**plain)) if case.beyond and plain else (case,)


def _otherwise(case: Case) -> Iterator[Case]:
    """The case with one option of another value, in the family of its data."""
    for name, option in case.operation.option.items():
        for value in option.values():
            other = case.replace(**{name: value})
            if value != case.value(name) and exists(other) and FAMILIES[case.family].suits(other):
                yield other


@cache
def _slips(op: str, output: str) -> tuple[Slip, ...]:
    return tuple(slip for slip in CATALOGUE.values() if slip.applies(op, output))


@cache
def _pairs(op: str, output: str) -> tuple[Slip, ...]:
    """Two slips at once: first two conventions of the post, as they meet in its composed functions."""
    slips = [s for s in _slips(op, output) if not (s.signature or any("fill" in v for v in s.variants))]
    slips = sorted((s for s in slips if len(s.variants) <= _FORMS), key=lambda s: not s.post)
    return tuple(one.combined(other) for one, other in combinations(slips, 2))


def diagnose(
    case: Case,
    arrays: Mapping[str, Array],
    output: str,
    got: Array | None,
    expected: Array,
    *,
    modified: bool = False,
    rerun: Rerun | None = None,
) -> str:
    """Diagnose one failed output; `Diagnoser.diagnose` describes the arguments and the result."""
    return Diagnoser(rerun).diagnose(case, arrays, output, got, expected, modified=modified)


def of_error(error: str, case: Case | None = None) -> str:
    """The diagnosis of a call that gave no answer: ``raised-TypeError``, or `UNEXPLAINED`.

    An assignment to or from the slice ``p:-p`` at padding 0 does not get as far as a wrong result.
    """
    unpadded = case is not None and case.get("p", -1) in (0, "valid")
    if unpadded and re.search(r"could not broadcast .*\b0,0\b", error):
        return CROPPED
    if error.startswith(DEVICE):
        return DEVICE_ERROR
    match = re.match(r"raised (\w+)", error)
    return f"{RAISED}{match[1]}" if match else UNEXPLAINED


def explain(id: str) -> str:
    """One sentence for each slip that a diagnosis names.

    Raises
    ------
    ValueError
        If no slip has that name.
    """
    if id == UNEXPLAINED:
        return "No known slip, or more than one, gives this result."
    if id.startswith(RAISED):
        return f"The call ended in {id.removeprefix(RAISED)} instead of an answer."
    if id == DEVICE_ERROR:
        return "The device failed or had no memory left: the call ended in its error instead of an answer."
    if id == KILLED:
        return "The process was killed from outside, again when the case was judged alone: no wrong result."
    if id in STATE:
        return STATE[id]
    unknown = [part for part in id.split("+") if part not in CATALOGUE]
    if unknown:
        raise ValueError(f"no slip is called {unknown[0]!r}; `conformance list` shows the names")
    return " ".join(CATALOGUE[part].text for part in id.split("+"))


def catalogue() -> list[Slip]:
    """All known slips, in the order of their names."""
    return sorted(CATALOGUE.values(), key=lambda slip: slip.id)
