"""Why an output is wrong: the one known slip whose result it is.

A failed output is compared with what each slip of the catalogue would have given on the same arrays:
bit for bit where nothing rounds, else within the rounding error and several times that away from the
right result. What is named is a fact about the data, so it has to be exactly one slip: where several
give the same result on a case, or it is the first time that a slip is named, further cases with other
shapes and data (through `rerun`) have to bear it out. All else is `UNEXPLAINED`.

A run with thousands of failures stays fast: a `Diagnoser` remembers which slips it has established for
an operation and output, tries those first, and stops searching the whole catalogue for an output after
`SEARCHES` searches that found nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations

import numpy as np

from conformance.cases.case import Case
from conformance.faults import CATALOGUE, KILLED, RAISED, Slip
from conformance.faults.core import Array
from conformance.faults.evidence import Evidence
from conformance.faults.further import further
from conformance.generation.arrays import draw
from conformance.operations.entry import largest

UNEXPLAINED = "unexplained"
INPUT_MODIFIED = "input-modified"
BETWEEN_CALLS = "accumulator-kept-between-calls"
DTYPE_NOT_KEPT = "dtype-not-kept"

#: Fruitless searches of the whole catalogue for one output, after which only established slips are tried.
SEARCHES = 12
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
        self._established: dict[tuple[str, str], list[Slip]] = defaultdict(list)
        self._between_calls: set[tuple[str, str]] = set()
        self._fruitless: dict[tuple[str, str], int] = defaultdict(int)

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
            if modified and data.right():
                return INPUT_MODIFIED
            found = self._search(data)
            if found == UNEXPLAINED and data.right() and np.asarray(got).dtype != case.numpy_dtype:
                return DTYPE_NOT_KEPT
            return found

    def _search(self, data: Evidence) -> str:
        key = (data.case.op, data.output)
        known = _left(data.closer_to, self._established[key])
        known = [slip for slip in known if "+" not in slip.id] or known
        if len(known) == 1:
            return known[0].id
        if key in self._between_calls and self._keeps_between_calls(data):
            return BETWEEN_CALLS
        if self._fruitless[key] >= SEARCHES:
            return UNEXPLAINED
        found = self._settled(data, _slips(*key)) or self._settled(data, _pairs(*key))
        if len(found) == 1:
            self._establish(key, found[0].id)
            return found[0].id
        if not found and self._keeps_between_calls(data):
            self._between_calls.add(key)
            return BETWEEN_CALLS
        self._fruitless[key] += 1
        return UNEXPLAINED

    def _establish(self, key: tuple[str, str], id: str) -> None:
        """Remember a slip that further cases have borne out, with what it is combined of."""
        if self._rerun is not None:
            # With all its variants: another of them may show in another case.
            these = [s for s in (*_slips(*key), *_pairs(*key)) if s.id in {id, *id.split("+")}]
            self._established[key] += [s for s in these if s not in self._established[key]]

    def _settled(self, data: Evidence, slips: Sequence[Slip]) -> list[Slip]:
        """The slips that explain the data and that further cases bear out."""
        found = _left(data.explained_by, slips)
        return self._borne_out(data, found, self._rerun) if found and self._rerun is not None else found

    def _borne_out(self, data: Evidence, found: list[Slip], rerun: Rerun) -> list[Slip]:
        """The slips that further cases do not contradict, as soon as one is left and has been seen again."""
        witnesses: list[str] = []
        for more in self._further(data, rerun, found):
            found = _left(more.consistent_with, found)
            if not found:
                return []
            if any(more.shows(slip) for slip in found):
                witnesses.append(more.case.family)
            # Two families: what one kind of data bears out, another may contradict.
            if len(found) == 1 and len(witnesses) >= WITNESSES and len(set(witnesses)) > 1:
                return found
        return found

    @staticmethod
    def _further(data: Evidence, rerun: Rerun, found: list[Slip]) -> Iterator[Evidence]:
        """Further cases on which the slips differ from one another, or one slip from the right result."""
        for case in further(data.case, FURTHER):
            arrays = draw(case)
            # What a slip makes of NaN is a question of its own: it contradicts nothing about numbers.
            if data.finite and not all(np.isfinite(v).all() for v in arrays.values()):
                continue
            bare = Evidence(case, arrays, data.output, None, None)
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
        if first.shape != data.expected.shape or second.shape != first.shape:
            return False
        with np.errstate(invalid="ignore"):
            difference = Evidence(data.case, data.arrays, data.output, second - first, data.expected)
        total = largest(second)
        return difference.right(total) and difference.visible(total)


def _left(test: Callable[[Slip], Slip | None], slips: Sequence[Slip]) -> list[Slip]:
    """What is left of the slips under a test."""
    return [left for slip in slips if (left := test(slip))]


@cache
def _slips(op: str, output: str) -> tuple[Slip, ...]:
    return tuple(slip for slip in CATALOGUE.values() if slip.applies(op, output))


@cache
def _pairs(op: str, output: str) -> tuple[Slip, ...]:
    """Two conventions of the post at once, as they meet in its composed functions."""
    post = [slip for slip in _slips(op, output) if slip.post]
    return tuple(one.combined(other) for one, other in combinations(post, 2))


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


def of_error(error: str) -> str:
    """The diagnosis of a call that gave no answer: ``raised-TypeError``, or `UNEXPLAINED`."""
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
    if id == KILLED:
        return "The process was killed from outside, again when the case was judged alone: no wrong result."
    unknown = [part for part in id.split("+") if part not in CATALOGUE]
    if unknown:
        raise ValueError(f"no slip is called {unknown[0]!r}; `conformance list` shows the names")
    return " ".join(CATALOGUE[part].text for part in id.split("+"))


def catalogue() -> list[Slip]:
    """All known slips, in the order of their names."""
    return sorted(CATALOGUE.values(), key=lambda slip: slip.id)
