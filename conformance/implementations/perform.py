"""A request carried out where the functions are, on copies: what they answer, what they changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    """

    kind: str
    text: str = ""
    outputs: Mapping[str, Any] = {}
    changed: tuple[str, ...] = ()


class _Unnamed(NamedTuple):
    """What the last function of a request answered."""

    request: Request
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
        _dirty(sizes, fill)
        with np.errstate(all="ignore"):
            return _Unnamed(request, ask(functions, request, copies))

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
        outputs = named(*result) if isinstance(result, _Unnamed) else dict(result)
        return Tried("answered", "", outputs, changed)
    except ValueError as error:
        return Tried("error", str(error), {}, changed)


def _dirty(sizes: Sequence[int], fill: Any) -> None:
    """Fill memory of the sizes of the outputs and free it again.

    NumPy and the C allocator hand a freed block of the same size out first, so that an output the
    implementation forgets to write is likely to show `fill`.
    """
    blocks = [np.full(size, fill) for size in sizes for _ in range(2)]
    del blocks
