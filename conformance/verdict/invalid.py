"""Invalid input: what an implementation does with each kind of it. Nothing fails by it; it is a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case
from conformance.cases.request import Request
from conformance.cases.script import Act, Layer, Script
from conformance.generation.arrays import draw
from conformance.generation.generate import generate
from conformance.implementations.child import LostError
from conformance.implementations.implementation import Implementation, Outcome
from conformance.operations.entry import Entry

Array = NDArray[Any]

#: What an implementation may do, from the best.
DOES = ("refuses by name", "refuses", "answers", "crashes")


class Answer(NamedTuple):
    """What an implementation does with one kind of invalid input.

    Attributes
    ----------
    op, argument, what : str
        The function, which of its arguments, and what is wrong with that.
    does : str
        One of `DOES`: an error that names the argument, another one, an answer, the end of the process.
    said : str
        The error.
    """

    op: str
    argument: str
    what: str
    does: str
    said: str


#: What is wrong with an array, and the wrong one.
_ARRAYS: Mapping[str, Callable[[Array], Any]] = {
    "an axis too few": lambda a: a.reshape(a.shape[0], -1)[0] if a.ndim > 1 else np.float64(1),
    "an axis too many": lambda a: a[None],
    "one more along the last axis": lambda a: np.concatenate([a, a[..., :1]], -1) if a.ndim else a.repeat(2),
    "complex numbers": lambda a: a.astype(complex),
    "text": lambda a: np.full(a.shape, "one"),
}
_LABELS: Mapping[str, Callable[[Array, int], Any]] = {
    "a label beyond the classes": lambda y, n: np.where(np.arange(len(y)) == 0, n, y),
    "a label far beyond the classes": lambda y, n: np.where(np.arange(len(y)) == 0, 2**40, y),
    "a label below zero": lambda y, n: np.where(np.arange(len(y)) == 0, -7, y),
    "labels that are no whole numbers": lambda y, n: y + 0.5,
}
#: The hyperparameters by key, each with a value that means nothing.
_HYPER: Mapping[str, tuple[Any, ...]] = {
    "stride": (0, -1, 1.5, "one", None),
    "pad": (-1, 0.5, "sideways"),
    "f": (0, -2, 10**6),
    "dilation": (0, -1),
    "groups": (0, 7),
    "epsilon": (-1.0,),
    "momentum": (2.0,),
}


def answers(implementation: Implementation, operations: Iterable[Entry]) -> Iterator[Answer]:
    """What the implementation does with invalid input to each of these functions that it has."""
    for entry in operations:
        if not implementation.has(entry.name):
            continue
        case = next(
            c for c in generate([entry], ["f64"], 400, 0)
            if c.family in ("normal", "probabilities", "wide-x") and not c.beyond and c.get("m", 2) != 0
        )  # fmt: skip
        arrays = draw(case)
        request = implementation.request(case, arrays)
        for argument, what, wrong in _wrong(case, arrays, request):
            yield _tried(implementation, case, wrong, argument, what)


def _wrong(
    case: Case, arrays: Mapping[str, Array], request: Request
) -> Iterator[tuple[str, str, tuple[Request, Mapping[str, Any]]]]:
    """Each kind of invalid input: of which argument, what it is, and the calls with it."""
    for name, array in arrays.items():
        if name == "Y":
            for what, labels in _LABELS.items():
                yield name, what, (request, {**arrays, name: labels(array, case["n"])})
        else:
            for what, change in _ARRAYS.items():
                yield name, what, (request, {**arrays, name: np.asarray(change(array))})
    first = request.steps[0]
    if first.hyper is None:
        return
    for key, values in _HYPER.items():
        if key not in first.hyper:
            continue
        for value in values:
            step = first._replace(hyper={**first.hyper, key: value})
            yield key, repr(value), (request._replace(steps=(step, *request.steps[1:])), arrays)
        left = {k: v for k, v in first.hyper.items() if k != key}
        step = first._replace(hyper=left)
        yield key, "left out", (request._replace(steps=(step, *request.steps[1:])), arrays)
    if first.mode is not None:
        step = first._replace(mode="median")
        yield "mode", "'median'", (request._replace(steps=(step, *request.steps[1:])), arrays)


def _tried(
    implementation: Implementation,
    case: Case,
    wrong: tuple[Request, Mapping[str, Any]],
    argument: str,
    what: str,
) -> Answer:
    script = Script((Layer(*wrong),), (Act("call"),))
    try:
        outcomes = implementation.look(case, script)()
    except LostError as lost:
        return Answer(case.op, argument, what, "crashes", f"{lost.why} it")
    first = outcomes[0] if outcomes else Outcome()
    said = first.error or first.refused or first.absent or ""
    if " the process " in f" {said}" or said.startswith("no answer within"):
        return Answer(case.op, argument, what, "crashes", said)
    if not said:
        return Answer(case.op, argument, what, "answers", "")
    return Answer(case.op, argument, what, "refuses by name" if argument in said else "refuses", said)
