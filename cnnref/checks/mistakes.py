"""Arguments that NumPy would make an array of, with another meaning: refused, with what to do instead."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnref import caches

_CACHES = tuple(kind for kind in vars(caches).values() if isinstance(kind, type) and issubclass(kind, tuple))

#: NumPy's own limit of nesting.
_DEEPEST = 64


def refuse_mistakes(function: str, name: str, value: Any) -> None:
    """Refuse what would lose its mask or is a function's whole result, for the argument `name`.

    Raises
    ------
    TypeError
        With what was given in place of an array, and how to give the array.
    """
    if isinstance(value, tuple):
        mistake = _not_unpacked(value)
        if mistake:
            raise TypeError(f"{function}: {name} must be an array, got {mistake}")
    # Who has a masked array has imported the module.
    masked = getattr(sys.modules.get("numpy.ma"), "MaskedArray", None)
    if masked is not None and _holds(masked, value, _DEEPEST):
        raise TypeError(
            f"{function}: {name} must be an array with nothing masked, the mask would be lost, got a masked"
            f" array; pass {name}.filled(value), or {name}.data with what is under the mask"
        )


def refuse_pair(function: str, cache: tuple[Any, ...]) -> None:
    """Refuse a forward function's result and its cache together, in the place of the cache.

    Raises
    ------
    TypeError
        With how to unpack it.
    """
    if len(cache) == 2 and isinstance(cache[1], _CACHES) and isinstance(cache[0], (np.ndarray, float)):
        raise TypeError(
            f"{function}: cache must be the cache alone, got a tuple of a result and its cache; unpack it:"
            " A, cache = ..."
        )


def _not_unpacked(value: tuple[Any, ...]) -> str:
    """What `value` is, if it is the result of a function or its cache."""
    if isinstance(value, _CACHES):
        return (
            f"the cache of a forward function, {type(value).__name__}; unpack what that returned,"
            " A, cache = ..., and give each in its place"
        )
    if len(value) == 2 and _is_cache(value[1]) and (_is_array(value[0]) or isinstance(value[1], _CACHES)):
        return (
            "a tuple of a result and its cache; unpack it: A, cache = ... (np.stack makes one array of two)"
        )
    if len(value) > 1 and all(map(_is_array, value)) and len({x.shape for x in value}) > 1:
        return f"a tuple of {len(value)} arrays of different shapes; unpack it, as in dA_prev, dW, db = ..."
    return ""


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim > 0


def _is_cache(value: Any) -> bool:
    """Whether a forward function, of whoever's, may have returned `value` beside its result."""
    return _is_array(value) or isinstance(value, (Mapping, tuple))


def _holds(masked: type, value: Any, depth: int) -> bool:
    """Whether `value` is an array with something masked, or a list or tuple with one somewhere in it."""
    if isinstance(value, (list, tuple)) and depth > 0:
        # Most lists are of numbers: those are passed over a whole list at a time.
        kinds = set(map(type, value)) - {int, float}
        return bool(kinds) and any(_holds(masked, item, depth - 1) for item in value)
    return isinstance(value, masked) and bool(np.ma.is_masked(value))
