"""What a module defines itself, and by which names its functions go."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any


class DialectError(ValueError):
    """A module is in no dialect, or in several; the message says what to write."""


#: Words of a name that say nothing of what a function computes.
_NOISE = frozenset(
    "my custom naive fast triton cuda hip metal mps xpu cpu cpp ext numba native manual fn func function op "  # noqa: SIM905
    "autograd im2col forward optimized layer layers module".split()
)
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+")


def own(target: Any) -> dict[str, Any]:
    """What a module defines itself or lists in ``__all__``, by name; of anything else all that is public."""
    names = {name: value for name, value in _attributes(target) if not name.startswith("_")}
    if not isinstance(target, ModuleType):
        return names
    listed = getattr(target, "__all__", ())
    return {name: value for name, value in names.items() if name in listed or _defined_in(target, value)}


def _attributes(target: Any) -> Iterable[tuple[str, Any]]:
    for name in dir(target):
        try:
            yield name, getattr(target, name)
        except Exception:  # an attribute that is computed, and fails
            continue


def _defined_in(module: ModuleType, value: Any) -> bool:
    while isinstance(value, functools.partial):
        value = value.func
    place = getattr(value, "__module__", None)
    if not callable(value) or not isinstance(place, str):
        return False
    return place == module.__name__ or (
        hasattr(module, "__path__") and place.startswith(f"{module.__name__}.")
    )


def imports(target: Any, package: str) -> bool:
    """Whether something of a package is among the names of a module."""
    values = [value for _, value in _attributes(target)]
    places = [getattr(x, "__name__" if isinstance(x, ModuleType) else "__module__", None) for x in values]
    return any(str(place).split(".")[0] == package for place in places)


def spelled(name: str) -> str:
    """A name without case, underscores and the words that say nothing."""
    words = [word.lower() for word in _WORD.findall(name)]
    return "".join(word for word in words if word not in _NOISE)


def chosen(
    target: Any, wanted: Mapping[str, Iterable[str]], fits: Callable[[Any], bool] = callable
) -> dict[str, Any]:
    """Of each wanted function the one that the module has.

    Parameters
    ----------
    target : object
        The module. Its ``functions = {"conv2d": "my_convolution"}`` says what is called otherwise.
    wanted : mapping of str to iterable of str
        What the dialect calls a function, and other names for it.
    fits : callable, optional
        Whether something can be such a function.

    Raises
    ------
    DialectError
        If several fit and none has the name itself, or ``functions`` names what is not there.
    """
    declared = getattr(target, "functions", {})
    declared = declared if isinstance(declared, Mapping) else {}
    there = {name: value for name, value in own(target).items() if fits(value)}
    found: dict[str, Any] = {}
    for name, others in wanted.items():
        if name in declared:
            found[name] = _named(target, name, str(declared[name]))
            continue
        alike = {spelled(n) for n in (name, *others)}
        fitting = [n for n in there if spelled(n) in alike]
        exact = [n for n in (name, *others) if n in there]
        # A function beside the class that it wraps is what its author hands out.
        plain = [n for n in fitting if not inspect.isclass(there[n])] or fitting
        if exact or len(plain) == 1:
            found[name] = there[(exact or plain)[0]]
        elif plain:
            raise DialectError(
                f"{', '.join(sorted(plain))} may all be {name}; say which: "
                f'functions = {{"{name}": "{sorted(plain)[0]}"}}'
            )
    return found


def _named(target: Any, name: str, path: str) -> Any:
    value = target
    for part in path.split("."):
        if not hasattr(value, part):
            raise DialectError(f"functions says that {name} is {path!r}, which is not there")
        value = getattr(value, part)
    return value
