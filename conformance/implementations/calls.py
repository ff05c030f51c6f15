"""Calls an implementation as a `request.Request` says, and names what it answers.

A backward function is given the cache of its forward function, in whatever form that gave it; where the
implementation lacks that one, the request holds a cache made by hand from the fields of the contract, so that
a module that has a gradient alone is judged too.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from conformance.cases.request import Array, Cache, Made, Number, Output, Request, Step
from conformance.implementations import guard
from conformance.implementations.handed import Handed
from conformance.implementations.signature import called

Arrays = Mapping[str, Any]


class Functions(Protocol):
    """What is called: `implementation.Implementation`."""

    def has(self, name: str) -> bool:
        """Whether there is a function of that name."""

    def function(self, name: str) -> Callable[..., Any]:
        """The function of that name."""

    @property
    def layout(self) -> str:
        """The layout of its images."""


def ask(functions: Functions, request: Request, arrays: Arrays, handed: Handed | None = None) -> Any:
    """What the last function of a request answers, the others called before it.

    Raises
    ------
    TypeError
        If one of the others answers something else than an output and a cache.
    """
    handed = handed or Handed()
    return last(functions, request, arrays, before(functions, request, arrays, handed), handed)


def before(functions: Functions, request: Request, arrays: Arrays, handed: Handed) -> dict[Any, Any]:
    """The outputs and caches of all functions of a request but the last.

    Raises
    ------
    TypeError
        As `ask` does.
    """
    known: dict[Any, Any] = {}
    for step in request.steps[:-1]:
        result = _called(functions, step, arrays, known, handed)
        if not isinstance(result, (tuple, list)) or len(result) < 2:
            raise TypeError(f"{step.function} returned {_describe(result)}, expected (output, cache)")
        known[Output(step.function)] = result[0]
        known[Cache(step.function)] = result[1] if len(result) == 2 else tuple(result[1:])
    return known


def last(
    functions: Functions, request: Request, arrays: Arrays, known: Mapping[Any, Any], handed: Handed
) -> Any:
    """What the last function of a request answers, given what those before it have."""
    return _called(functions, request.steps[-1], arrays, known, handed)


def _called(
    functions: Functions, step: Step, arrays: Arrays, known: Mapping[Any, Any], handed: Handed
) -> Any:
    """What one function answers, in the process that was asked."""
    try:
        return _answer(functions, step, arrays, known, handed)
    finally:
        guard.stay()


def _answer(
    functions: Functions, step: Step, arrays: Arrays, known: Mapping[Any, Any], handed: Handed
) -> Any:
    function, layout = functions.function(step.function), functions.layout
    arguments = [
        arrays[x.name]
        if type(x) is Array
        else handed.mapping(x)
        if type(x) is dict
        else _value(x, arrays, known, layout)
        for x in step.arguments
    ]
    if step.hyper is not None:
        hyper = handed.mapping(step.hyper)
        return called(function, tuple(arguments), hyper, step.mode, step.hand_hyper)
    return function(*arguments, **step.keywords)


def _value(x: Any, arrays: Arrays, known: Mapping[Any, Any], layout: str) -> Any:
    """What is handed over for a value of the request."""
    kind = type(x)
    if kind is Array:
        return arrays[x.name]
    if kind is Number:
        return arrays[x.name][()]
    if kind is Cache or kind is Output:
        return known[x]
    if kind is Made:
        values = [_value(item, arrays, known, layout) for item in x.fields.values()]
        return _named_tuple(x.name, tuple(x.fields))(*values)
    if kind is np.ndarray and x.ndim == 4 and layout != "NHWC":
        return np.array(x.transpose(0, 3, 1, 2), order="C")
    return x


@lru_cache(maxsize=64)
def _named_tuple(name: str, fields: tuple[str, ...]) -> Any:
    return namedtuple(name, fields)  # the names come with the request


def named(request: Request, result: Any) -> dict[str, Any]:
    """The outputs by name; a mapping or a tuple in the contract's order.

    Raises
    ------
    ValueError
        If the answer has another form.
    """
    names = request.outputs
    if request.cached:
        if not isinstance(result, (tuple, list)) or len(result) < 2:
            raise ValueError(f"returned {_describe(result)}, expected ({names[0]}, cache)")
        return {names[0]: result[0], **{name: _field(result[1], name, request) for name in names[1:]}}
    if len(names) == 1:
        return {names[0]: result}
    if isinstance(result, Mapping) and set(names) <= set(result):
        return {name: result[name] for name in names}
    if not isinstance(result, (tuple, list)) or len(result) != len(names):
        raise ValueError(f"returned {_describe(result)}, expected ({', '.join(names)})")
    return dict(zip(names, result, strict=True))


def _field(cache: Any, name: str, request: Request) -> Any:
    """A field of a cache, by name or place."""
    if isinstance(cache, Mapping) and name in cache:
        return cache[name]
    if hasattr(cache, name):
        return getattr(cache, name)
    if isinstance(cache, tuple) and len(cache) == request.fields:
        return cache[request.places[name]]
    raise ValueError(f"returned a cache without {name}")


def _describe(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"{len(value)} values"
    if isinstance(value, np.ndarray):
        return f"one array of shape {value.shape}"
    return f"a {type(value).__name__}"
