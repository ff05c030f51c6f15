"""A request carried out where the functions are, on copies: what they answer, what they changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from conformance.cases.request import DEVICE, REMARKED, Request
from conformance.implementations.calls import Functions, before, last, named
from conformance.implementations.handed import EARLIER, Handed
from conformance.implementations.memory import same_bytes
from conformance.implementations.refusals import Own, of_device, refused
from conformance.implementations.signature import LackingError
from conformance.implementations.source import one_line, told


class Owned(Functions, Protocol):
    """Functions of which it is known what their own source is."""

    @property
    def target(self) -> Any:
        """What has them."""

    @property
    def own(self) -> Own:
        """What that is."""


class Tried(NamedTuple):
    """What came of carrying out a request once.

    Attributes
    ----------
    kind : {"answered", "absent", "refused", "error"}
    text : str
        Why there is no answer.
    outputs : dict of str to object
        The outputs by name.
    changed : tuple of str
        The arguments whose bytes the calls changed.
    seconds : float
        How long the calls took.
    notes : tuple of str
        What else they did: `sharing` memory, `handed.CHANGED`; behind `REMARKED` what a dialect remarks.
    """

    kind: str
    text: str = ""
    outputs: Mapping[str, Any] = {}
    changed: tuple[str, ...] = ()
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


class _Unnamed(NamedTuple):
    """What the last function of a request answered."""

    request: Request
    result: Any
    handed: Handed


def performed(
    functions: Owned,
    request: Request,
    given: Mapping[str, NDArray[Any]],
    sizes: Sequence[int],
    fills: Any,
) -> list[Tried]:
    """Carry out a request once for each of `fills`, until it has no answer.

    Parameters
    ----------
    functions : Functions
        What is called.
    request : Request
        What is asked.
    given : mapping of str to ndarray
        Its arrays, of which the functions are handed copies.
    sizes : sequence of int
        How many elements each output has.
    fills : ndarray
        Values, in the dtype of the outputs: memory of their sizes holds one of them before each time.
    """
    done: list[Tried] = []
    for fill in fills:
        done.append(_once(functions, request, given, sizes, fill))
        if done[-1].kind != "answered":
            break
    return done


def _once(
    functions: Owned, request: Request, given: Mapping[str, NDArray[Any]], sizes: Sequence[int], fill: Any
) -> Tried:
    def call(copies: Mapping[str, NDArray[Any]]) -> _Unnamed:
        _dirty(sizes, fill)
        with np.errstate(all="ignore"):
            handed = Handed()
            known = before(functions, request, copies, handed)
            if known:
                changed.extend(_changed(copies, given))
            return _Unnamed(request, last(functions, request, copies, known, handed), handed)

    remarked, changed = dict(_remarks(functions)), list[str]()
    tried = answered(call, given, functions.own)
    new = [text for text, count in _remarks(functions).items() if count > remarked.get(text, 0)]
    if tried.kind != "answered" or not (new or changed):
        return tried
    earlier = [f"{EARLIER}{request.steps[-2].function} {name}" for name in changed]
    return tried._replace(notes=(*tried.notes, *earlier, *(REMARKED + one_phrase(text) for text in new)))


def _changed(copies: Mapping[str, NDArray[Any]], given: Mapping[str, NDArray[Any]]) -> list[str]:
    """The arguments whose bytes are others than they were."""
    return [name for name, copy in copies.items() if not same_bytes(copy, given[name])]


def _remarks(functions: Owned) -> Mapping[str, int]:
    """What a dialect has had to remark so far, and how often."""
    found = getattr(functions.target, "remarks", None)
    return found if isinstance(found, dict) else {}


def one_phrase(text: str) -> str:
    """A remark as one part of what is said of the form of an answer."""
    return " ".join(text.replace(";", ",").split())[:240]


def answered(call: Callable[..., Any], given: Mapping[str, NDArray[Any]], own: Own) -> Tried:
    """What comes of a call on copies of `given`, of functions whose source is `own`."""
    copies = {name: array.copy() for name, array in given.items()}
    started = time.perf_counter()
    try:
        result = call(copies)
    except (KeyboardInterrupt, MemoryError):
        raise
    except LackingError as error:
        return Tried("absent", f"not implemented: {error}")
    except BaseException as error:  # SystemExit too: an implementation may not end the run
        if refused(error, own):
            return Tried("refused", one_line(error))
        return Tried("error", f"{DEVICE if of_device(error) else 'raised '}{told(error)}")
    seconds = time.perf_counter() - started
    changed = tuple(_changed(copies, given))
    try:
        if not isinstance(result, _Unnamed):
            return Tried("answered", "", dict(result), changed, seconds)
        outputs = named(result.request, result.result)
        notes = (*sharing(outputs, copies), *result.handed.notes())
        return Tried("answered", "", outputs, changed, seconds, notes)
    except ValueError as error:
        return Tried("error", str(error), {}, changed, seconds)


def sharing(outputs: Mapping[str, Any], arguments: Mapping[str, NDArray[Any]]) -> tuple[str, ...]:
    """Which outputs share memory with which arguments: ``A in Z``."""
    return tuple(
        [
            f"{name} in {argument}"
            for name, value in outputs.items()
            if type(value) is np.ndarray
            for argument, array in arguments.items()
            if isinstance(array, np.ndarray) and np.may_share_memory(value, array)
        ]
    )


def _dirty(sizes: Sequence[int], fill: Any) -> None:
    """Fill memory of the sizes of the outputs and free it again.

    NumPy and the C allocator hand a freed block of the same size out first, so that an output the
    implementation forgets to write is likely to show `fill`.
    """
    blocks = [np.full(size, fill) for size in sizes for _ in range(2)]
    del blocks
