"""What a case looks at besides the values of one call: the scripts that are asked for, and what they show.

Which look a case has follows from its line. Most call the function on the arrays of the case, whose answer is
known; one in four needs that of a second case, which is computed while the implementation is at work.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case
from conformance.cases.operation import WORDS
from conformance.cases.options import Value
from conformance.cases.script import FORMS, LABELS, Act, Layer, Script
from conformance.generation.arrays import array_shapes, draw
from conformance.generation.effort import effort
from conformance.generation.families import FAMILIES
from conformance.generation.feasible import exists

if TYPE_CHECKING:
    from conformance.implementations.implementation import Answer, Implementation, Outcome
    from conformance.verdict.right import Right

#: The largest effort of a case that is looked at: together the looks cost at most a fifth of a run.
_EFFORT = 100_000

#: One case in so many has the look, those with a remainder; the numbers of cases that have none are left.
_LOOKS = (
    (24, 0, "state"),
    (48, 1, "option"),
    (96, 2, "expanded"),
    (8, 3, "form"),
    (12, 5, "label"),
    (16, 10, "cache"),
)
#: The forms of arrays that hold any values.
_LAID_OUT = tuple(form for form in FORMS if form != "expanded")
#: The same look takes turns, at forms of arrays or options: one turn for so many cases.
_TURN = 96

#: One of so many looks at state has a hundred calls in between, and each one of a case of so little effort.
_MANY, _CALLS, _SMALL = 4, 100, 1_000

#: A case and its arrays to what is right for them.
Answers = Callable[[Case, Mapping[str, NDArray[Any]]], "Right"]

#: The plain call, among the acts.
FIRST = -1

#: How often a case is called under ``--stress``.
STRESS = 1000


class Expected(NamedTuple):
    """What an act that is looked at has to give.

    Attributes
    ----------
    of : int
        The layer whose right answer it is.
    fault : str
        What it is called if it is wrong.
    kept : str
        What it is called if it is wrong and has the bits that the first act gave.
    bits_of : int or None
        The act whose bits it must have; `FIRST` for those of the plain call.
    unlike : str
        What it is called if it is right and its bits are others than those; else that is `fault`.
    remark : str
        What it was called for, if an exception is no fault but is remarked.
    """

    of: int
    fault: str
    kept: str = ""
    bits_of: int | None = None
    unlike: str = ""
    remark: str = ""


@dataclass
class Look:
    """A look that is on its way.

    Attributes
    ----------
    cases : tuple of Case
        That of each layer.
    script : Script
        What was asked.
    expected : tuple of Expected
        What each act has to give.
    answer : callable
        Waits for what it gave.
    rights : list of (Right or None)
        The right answer of each layer; None until it is asked for.
    """

    cases: tuple[Case, ...]
    script: Script
    expected: tuple[Expected, ...]
    answer: Answer
    rights: list[Right]


class Found(NamedTuple):
    """What a look has shown of an output.

    Attributes
    ----------
    fault : str
        The name of the fault.
    reason : str
        What was seen.
    got : object
        What the act gave, in the form that is compared, where that is wrong; else None.
    own : Right or None
        What is right for it.
    """

    fault: str
    reason: str
    got: Any = None
    own: Right | None = None


def looked(case: Case) -> tuple[str, int] | None:
    """Which look a case has, and whose turn it is among the forms of arrays; None if it has none."""
    number = zlib.crc32(f"{case}:look".encode())
    name = next((name for every, at, name in _LOOKS if number % every == at), None)
    return None if name is None else (name, number // _TURN)


def looked_alike(one: Case, other: Case) -> bool:
    """Whether two cases have the same look, and the same turn where it has forms of arrays."""
    first, second = looked(one), looked(other)
    if first is None or second is None or first[0] != second[0]:
        return False
    return first[0] != "form" or (first[1] - second[1]) % len(_LAID_OUT) == 0


def look(implementation: Implementation, own: Right, before: bool, right: Answers) -> Look | None:
    """Ask for the look that a case has, if any.

    Parameters
    ----------
    implementation : Implementation
        What is asked.
    own : Right
        The case.
    before : bool
        Whether a forward function is called first.
    right : callable
        What is right for another case with its arrays.
    """
    case = own.case
    has = looked(case)
    if has is None or effort(case) > _EFFORT or not all(array.size for array in own.arrays.values()):
        return None
    name, turn = has
    made: Look | None = getattr(_Plan(implementation, own, before, turn, right), name)()
    return made


class _Plan:
    """The looks of one case."""

    def __init__(
        self, implementation: Implementation, own: Right, before: bool, turn: int, right: Answers
    ) -> None:
        self._implementation, self._case, self._own = implementation, own.case, own
        self._before, self._turn, self._right = before, turn, right

    def _layer(self, own: Right, form: str = "") -> Layer:
        return self._implementation.layer(own.case, own.arrays, form)

    def _asked(
        self, layers: tuple[Layer, ...], acts: list[tuple[Act, Expected | None]], rights: list[Right]
    ) -> Look:
        script = Script(layers, tuple(act for act, _ in acts))
        answer = self._implementation.look(self._case, script)
        expected = tuple(e for _, e in acts if e is not None)
        return Look(tuple(r.case for r in rights), script, expected, answer, rights)

    def _other(self, case: Case, arrays: Mapping[str, NDArray[Any]] | None = None) -> Right:
        return self._right(case, draw(case) if arrays is None else arrays)

    def state(self) -> Look:
        """Other values of the same shape, two layers interleaved, the same memory, many calls."""
        other = self._other(self._case.replace(seed=(self._case.seed + 1) % 10**9))
        plain = "depends-on-earlier-calls"
        acts: list[tuple[Act, Expected | None]] = [
            (Act("call", 0), Expected(0, plain)),
            (Act("call", 1), Expected(1, plain, "result-kept-by-shape")),
            (Act("again", 0), Expected(0, "result-overwritten-later", "", 0)),
        ]
        if self._before:
            acts += [
                (Act("forward", 0), None),
                (Act("forward", 1), None),
                (Act("backward", 1), Expected(1, "layers-not-independent")),
                (Act("backward", 0), Expected(0, "layers-not-independent")),
                (Act("backward", 0), Expected(0, "cache-used-up")),
            ]
        if self._turn % _MANY == 0 or effort(self._case) <= _SMALL:
            many = "wrong-after-many-calls"
            acts += [
                (Act("repeat", 1, _CALLS), Expected(1, many, "", 1, "nondeterministic")),
                (Act("call", 0), Expected(0, many)),
            ]
        acts += [
            (Act("overwrite", 0, 1), None),
            (Act("call", 0), Expected(1, plain, "result-kept-by-memory")),
        ]
        return self._asked((self._layer(self._own), self._layer(other)), acts, [self._own, other])

    def option(self) -> Look | None:
        """The same shape with one option changed."""
        changed = next(_changed(self._implementation, self._case, self._turn), None)
        if changed is None:
            return self.form()
        other, fault = self._other(changed), "option-kept-between-calls"
        acts: list[tuple[Act, Expected | None]] = [
            (Act("call", 0), Expected(0, fault)),
            (Act("call", 1), Expected(1, fault)),
            (Act("call", 0), Expected(0, fault)),
        ]
        return self._asked((self._layer(self._own), self._layer(other)), acts, [self._own, other])

    def expanded(self) -> Look:
        """An array that is the same along its first axis has a stride of zero there."""
        names = [name for name, array in self._own.arrays.items() if array.ndim > 1 and name != "Y"]
        chosen = names[self._turn % len(names)] if names else ""
        if chosen and np.isinf(self._own.arrays[chosen]).any():
            return self.form()  # a sum times an infinity is no sum of infinities: NumPy's einsum takes it out
        arrays = {n: a[:1].repeat(len(a), 0) if n == chosen else a for n, a in self._own.arrays.items()}
        other = self._other(self._case, arrays)
        return self._formed(other, "expanded")

    def form(self) -> Look:
        """Another layout in memory."""
        return self._formed(self._own, _LAID_OUT[self._turn % len(_LAID_OUT)])

    def label(self) -> Look:
        """Labels of another dtype."""
        labels = self._own.arrays.get("Y")
        if labels is None:
            return self.form()
        fitting = [
            name
            for name in LABELS
            if labels.min() >= np.iinfo(name).min and labels.max() <= np.iinfo(name).max
        ]
        ignored = self._case.get("ignore", "none")
        if isinstance(ignored, int) and ignored < 0:
            fitting = [name for name in fitting if name.startswith("int")]
        return self._formed(self._own, fitting[self._turn % len(fitting)], "wrong-label-dtype")

    def _formed(self, own: Right, form: str, fault: str = "") -> Look:
        words = f"an array {FORMS[form]}" if form in FORMS else f"labels of dtype {form}"
        expected = Expected(0, fault or f"wrong-{form}", remark=words)
        return self._asked((self._layer(own, form),), [(Act("call", 0), expected)], [own])

    def cache(self) -> Look:
        """The caller changes its hyperparameters between the forward and the backward function."""
        if not self._before:
            return self.form()
        acts: list[tuple[Act, Expected | None]] = [
            (Act("forward", 0), None),
            (Act("alter", 0), None),
            (Act("backward", 0), Expected(0, "cache-follows-hyperparameters")),
        ]
        return self._asked((self._layer(self._own),), acts, [self._own])


def stressed(implementation: Implementation, own: Right, compiled: bool) -> Look:
    """The same call a thousand times, alone, by several callers, with one thread and many; compiled."""
    acts = [
        (Act("repeat", 0, STRESS), Expected(0, "nondeterministic", "", FIRST)),
        (Act("together", 0, STRESS), Expected(0, "nondeterministic-among-callers", "", FIRST)),
        (Act("repeat", 0, 1, 1), Expected(0, "wrong-by-thread-count")),
        (Act("together", 0, STRESS, 1), Expected(0, "wrong-by-thread-count")),
    ]
    if compiled:
        acts.append((Act("compiled", 0), Expected(0, "wrong-when-compiled", remark="the compiled function")))
    script = Script((implementation.layer(own.case, own.arrays),), tuple(act for act, _ in acts))
    expected = tuple(wanted for _, wanted in acts)
    return Look((own.case,), script, expected, implementation.look(own.case, script), [own])


def _changed(implementation: Implementation, case: Case, turn: int) -> Iterator[Case]:
    """The case with one word or option of another value, in an order that `turn` decides."""
    operation = case.operation
    changes: list[tuple[str, Value]] = []
    for name in operation.factors:
        option = operation.option.get(name)
        values: tuple[Value, ...] = WORDS.get(name, ()) if option is None else option.values()
        changes += [(name, value) for value in values if value != case.get(name, "") and name != "f"]
    shapes = {n: s for n, s in array_shapes(case).items() if n != operation.upstream}
    for at in range(len(changes)):
        name, value = changes[(at + turn) % len(changes)]
        changed = case.replace(**{name: value})
        if not FAMILIES[case.family].suits(changed) or not exists(changed) or implementation.lacks(changed):
            continue
        if {n: s for n, s in array_shapes(changed).items() if n != operation.upstream} == shapes:
            yield changed


def told(asked: Look, outcomes: tuple[Outcome, ...], first: Outcome) -> tuple[dict[str, Found], str]:
    """The faults that a look has shown, by output, and a remark; `first` is what the plain call gave."""
    found: dict[str, Found] = {}
    for number, (outcome, wanted) in enumerate(zip(outcomes, asked.expected, strict=False)):
        if outcome.absent is not None or (outcome.refused is not None and not wanted.remark):
            break
        own = asked.rights[wanted.of]
        error = outcome.error or outcome.refused
        if error is not None:
            if wanted.remark:
                said = error.partition("\n")[0]  # without the place in the source
                return found, f"{said} for {wanted.remark}"
            return {n: Found(wanted.fault, error) for n in own.expected}, ""
        for name, got in outcome.outputs.items():
            if name in found:
                continue
            fault = _fault(own, name, got, wanted, outcomes, number, first)
            if fault is not None:
                passing = wanted.unlike and _right(asked, outcomes, number + 1, name)
                found[name] = fault._replace(fault=wanted.unlike) if passing else fault
    return found, ""


def _right(asked: Look, outcomes: tuple[Outcome, ...], number: int, name: str) -> bool:
    """Whether an act gave what is right: then what was wrong before it came by chance, and is no state."""
    if number >= min(len(outcomes), len(asked.expected)) or name not in outcomes[number].outputs:
        return False
    own = asked.rights[asked.expected[number].of]
    return own.verdict(name, outcomes[number].outputs[name]).status == "passed"


def _fault(
    own: Right,
    name: str,
    got: Any,
    wanted: Expected,
    outcomes: tuple[Outcome, ...],
    number: int,
    first: Outcome,
) -> Found | None:
    """What is wrong with one output of one act."""
    if wanted.bits_of is not None:
        same = first if wanted.bits_of == FIRST else outcomes[wanted.bits_of]
        if bits(got) == bits(same.outputs.get(name)):
            return None
        others = f"its bits are others than before{unlike(name, got, same.outputs.get(name))}"
        if not wanted.unlike:
            return Found(wanted.fault, others)
        if own.verdict(name, got).status == "passed":
            return Found(wanted.unlike, others)
    if type(got) is np.ndarray and not got.dtype.isnative:
        got = got.astype(got.dtype.newbyteorder("="))  # a right answer in the byte order of what was given
    verdict = own.verdict(name, got)
    if verdict.status == "passed" or verdict.suspect or not verdict.reason:
        return None
    kept = wanted.kept and number and bits(got) == bits(outcomes[0].outputs.get(name))
    return Found(wanted.kept if kept else wanted.fault, verdict.reason, own.read(name, got).value, own)


def unlike(name: str, got: Any, before: Any) -> str:
    """The first element whose bits are others than before: ``: Z[0,1] is 1.5, was 1.25``."""
    new, old = np.asarray(got), np.asarray(before)
    if new.shape != old.shape or new.dtype != old.dtype or new.dtype.kind not in "fiub":
        return ""
    differing = np.flatnonzero([bits(a) != bits(b) for a, b in zip(new.flat, old.flat, strict=True)])
    if not differing.size:
        return ""
    place = np.unravel_index(int(differing[0]), new.shape)
    at = f"[{','.join(str(i) for i in place)}]" if place else ""
    return f": {name}{at} is {new[place]:.17g}, was {old[place]:.17g}"


def bits(value: Any) -> bytes:
    """The bytes of an output."""
    return np.asarray(value).tobytes()
