"""A request carried out where the functions are, on copies: what they answer, what they changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conformance.cases.request import Request
from conformance.implementations.calls import Functions, ask, named
from conformance.implementations.loading import one_line
from conformance.implementations.memory import same_bytes


class Tried(NamedTuple):
    """What came of carrying out a request once.

    Attributes
    ----------
    kind : {"answered", "absent", "error"}
    text : str
        Why there is no answer.
    outputs : dict of str to object
        The outputs by name.
    changed : tuple of str
        The arguments whose bytes the calls changed.
    facts : mapping of str to tuple of str
        Of a request that is watched: ``shares``, pairs of an output and of an argument or another output that
        may share memory, as ``ONE OTHER``; ``overwritten``, outputs whose bytes later calls changed;
        ``hyper``, steps that changed the hyperparameters that they were handed.
    """

    kind: str
    text: str = ""
    outputs: Mapping[str, Any] = {}
    changed: tuple[str, ...] = ()
    facts: Mapping[str, tuple[str, ...]] = {}


class _Watch:
    """What the functions of a request answer, and what becomes of it while others are called."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self._captures = {capture.label: capture for capture in request.captures}
        self._bytes: dict[str, bytes] = {}
        self._hyper: list[str] = []
        self.outputs: dict[str, Any] = {}

    def seen(self, label: str, result: Any, kept: bool) -> None:
        """Note the outputs of a step."""
        if not kept:
            self._hyper.append(label)
        capture = self._captures.get(label)
        if capture is not None:
            for name, value in named(capture, result).items():
                self.outputs[f"{label}.{name}"] = value
                if self.request.watched and isinstance(value, np.ndarray):
                    self._bytes[f"{label}.{name}"] = value.tobytes()

    def ended(self, result: Any) -> dict[str, Any]:
        """Every output by name; the last function answered `result`."""
        return {**self.outputs, **named(self.request, result)}

    def facts(self, outputs: Mapping[str, Any], copies: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """What can be said of memory at the end."""
        if not self.request.watched:
            return {}
        arrays = {name: value for name, value in outputs.items() if isinstance(value, np.ndarray)}
        pairs = [*combinations(arrays.items(), 2), *product(arrays.items(), copies.items())]
        return {
            "shares": tuple(f"{a} {b}" for (a, one), (b, other) in pairs if np.may_share_memory(one, other)),
            "hyper": tuple(self._hyper),
            "overwritten": tuple(n for n, before in self._bytes.items() if arrays[n].tobytes() != before),
        }


class _Unnamed(NamedTuple):
    """What the last function of a request answered."""

    watch: _Watch
    result: Any


def performed(
    functions: Functions,
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
    functions: Functions, request: Request, given: Mapping[str, NDArray[Any]], sizes: Sequence[int], fill: Any
) -> Tried:
    def call(copies: Mapping[str, NDArray[Any]]) -> _Unnamed:
        watch = _Watch(request)
        _dirty(sizes, fill)
        with np.errstate(all="ignore"):
            return _Unnamed(
                watch,
                ask(functions, request, copies, watch.seen if request.watched or request.captures else None),
            )

    return answered(call, given)


def answered(call: Callable[..., Any], given: Mapping[str, NDArray[Any]]) -> Tried:
    """What comes of a call on copies of `given`."""
    copies = {name: array.copy() for name, array in given.items()}
    try:
        result = call(copies)
    except (KeyboardInterrupt, MemoryError):
        raise
    except NotImplementedError as error:
        return Tried("absent", f"not implemented: {' '.join(str(error).split())[:300]}")
    except BaseException as error:  # SystemExit too: an implementation may not end the run
        return Tried("error", f"raised {one_line(error)}")
    changed = tuple([name for name, copy in copies.items() if not same_bytes(copy, given[name])])
    try:
        if not isinstance(result, _Unnamed):
            return Tried("answered", "", dict(result), changed)
        outputs = result.watch.ended(result.result)
        return Tried("answered", "", outputs, changed, result.watch.facts(outputs, copies))
    except ValueError as error:
        return Tried("error", str(error), {}, changed)


def _dirty(sizes: Sequence[int], fill: Any) -> None:
    """Fill memory of the sizes of the outputs and free it again.

    NumPy and the C allocator hand a freed block of the same size out first, so that an output the
    implementation forgets to write is likely to show `fill`.
    """
    blocks = [np.full(size, fill) for size in sizes for _ in range(2)]
    del blocks
