"""The calls of a case as lines of Python: what `calls.ask` does, written down instead of done.

`ask` is handed functions that note their arguments, so that there is one account of how a function is
called, its cache made and its hyperparameters handed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Signature
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case
from conformance.implementations.calls import ask
from conformance.operations import OPERATIONS
from conformance.operations.call import resolved

#: What the lines use beside `impl` and the arrays by name.
HELPERS = '''
def parts(result):
    """The output and the cache of a forward function, which may return the cache in several values."""
    return result[0], (result[1] if len(result) == 2 else tuple(result[1:]))


def field(cache, name, place):
    """A field of a cache, by its name or its place."""
    if isinstance(cache, dict):
        return cache[name]
    return getattr(cache, name) if hasattr(cache, name) else cache[place]
'''


class Signed(Protocol):
    """Functions whose signatures are known: `implementation.Implementation`."""

    @property
    def layout(self) -> str:
        """The layout of their images."""

    def has(self, name: str) -> bool:
        """Whether there is a function of that name."""

    def signature(self, name: str) -> Signature | None:
        """The signature of that function, if it tells."""


class _Name:
    """What a function would return, by the name that the lines give it."""

    def __init__(self, text: str) -> None:
        self.text = text


class _Noted:
    """A function of the implementation, with its signature, that notes how it is called."""

    def __init__(self, signature: Signature | None, name: str, writer: _Writer) -> None:
        self._name, self._writer = name, writer
        if signature is not None:  # a compiled function has none
            self.__signature__ = signature

    def __call__(self, *arguments: Any, **named: Any) -> tuple[_Name, _Name]:
        texts = [self._writer.text(value) for value in arguments]
        texts += [f"{name}={self._writer.text(value)}" for name, value in named.items()]
        self._writer.calls.append((self._name, f"impl.{self._name}({', '.join(texts)})"))
        return _Name(f"{self._name}_output"), _Name(f"{self._name}_cache")


class _Writer:
    """The functions that `ask` is handed, and the text of each of their arguments."""

    def __init__(
        self,
        functions: Signed,
        arrays: Mapping[str, NDArray[Any]],
        literal: Callable[[NDArray[Any]], str],
    ) -> None:
        self._functions, self._arrays, self._literal = functions, arrays, literal
        self.layout = functions.layout
        self.calls: list[tuple[str, str]] = []

    def has(self, name: str) -> bool:
        return self._functions.has(name)

    def function(self, name: str) -> Callable[..., Any]:
        return _Noted(self._functions.signature(name), name, self)

    def text(self, value: Any) -> str:
        """An expression for an argument: an array by its name where it has one."""
        if isinstance(value, _Name):
            return value.text
        if isinstance(value, np.ndarray):
            known = (name for name, array in self._arrays.items() if array is value)
            return next(known, None) or self._literal(value)
        if isinstance(value, np.generic):
            return f"{self.text(self._scalar(value))}[()]"
        if isinstance(value, Mapping):
            return "{" + ", ".join(f"{key!r}: {self.text(item)}" for key, item in value.items()) + "}"
        if isinstance(value, tuple):
            items = "".join(f"{self.text(item)}, " for item in value)
            if hasattr(value, "_fields"):
                return f"namedtuple({type(value).__name__!r}, {list(value._fields)})({items[:-2]})"
            return f"({items[:-2]})" if len(value) > 1 else f"({items[:-1]})"
        return repr(value)

    def _scalar(self, value: np.generic) -> NDArray[Any]:
        """The array without axes that `value` was taken from."""
        bits = (value.dtype, value.tobytes())
        alike = (x for x in self._arrays.values() if x.ndim == 0 and (x.dtype, x.tobytes()) == bits)
        return next(alike, np.asarray(value))


def lines(
    functions: Signed,
    case: Case,
    arrays: Mapping[str, NDArray[Any]],
    literal: Callable[[NDArray[Any]], str],
) -> list[str]:
    """The lines that call the function of a case, its forward function first, and name its outputs.

    Parameters
    ----------
    functions : Signed
        The implementation, called ``impl`` in the lines. Nothing of it is run.
    case : Case
        The case.
    arrays : mapping of str to ndarray
        What the implementation is handed, by the names that the lines give it.
    literal : callable
        Gives an expression for an array that has no name.

    Raises
    ------
    LackingError
        If the signature has no place for what the case needs.
    """
    writer = _Writer(functions, arrays, literal)
    request = resolved(OPERATIONS, case, functions.has, arrays)
    ask(writer, request, arrays)
    *forward, (_, last) = writer.calls
    found = [f"{name}_output, {name}_cache = parts({text})" for name, text in forward]
    names = request.outputs
    if request.cached:
        found.append(f"{names[0]}, cache = parts({last})")
        return found + [f"{name} = field(cache, {name!r}, {at})" for name, at in request.places.items()]
    if len(names) == 1:
        return [*found, f"{names[0]} = {last}"]
    return [
        *found,
        f"result = {last}",
        f"{', '.join(names)} = (result[n] for n in {names}) if isinstance(result, dict) else result",
    ]
