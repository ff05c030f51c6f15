"""What a caller most likely meant by an argument that is refused, and what to do instead."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from cnnref import caches

_CACHES = tuple(kind for kind in vars(caches).values() if isinstance(kind, type) and issubclass(kind, tuple))

#: What is written out without running anybody's code.
_PLAIN = frozenset((bool, int, float, complex, str, bytes, *np.sctypeDict.values())) - {np.object_, np.void}

#: Characters of a value, and entries of a tuple or list, that a message shows.
_SHOWN, _ENTRIES = 40, 8

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


def refuse_keywords(function: str, keywords: Mapping[str, Any], usual: str) -> None:
    """Refuse hyperparameters that are given twice, as a mapping and as `keywords`, or not at all.

    Raises
    ------
    TypeError
        With how to give them.
    """
    if keywords:
        raise TypeError(
            f"{function}: hparameters and {', '.join(map(str, keywords))} are both given; hyperparameters are"
            f" keys of hparameters or keywords, as in {usual}, not both"
        )
    raise TypeError(
        f"{function}: hparameters must be a mapping, got NoneType; or give its keys as keywords,"
        f" as in {usual}"
    )


def meant(given: Iterable[Any], names: tuple[str, ...]) -> str:
    """Which of `names` is most likely meant by one of the keys that were `given`."""
    import difflib  # of a refused call alone

    for key in filter(lambda key: type(key) is str, given):
        close = ["f"] if key == "kernel_size" and "f" in names else difflib.get_close_matches(key, names, 1)
        if close:
            return f"; did you mean {close[0]} by {key}?"
    return ""


def word_meant(given: str, words: tuple[str, ...]) -> str:
    """Which of `words` is most likely meant by the one that was `given`."""
    import difflib  # of a refused call alone

    plain = {word.lower(): word for word in words}
    close = ["average"] if given.lower() == "mean" else difflib.get_close_matches(given.lower(), plain, 1)
    return f"; did you mean {plain[close[0]]!r}?" if close and close[0] in plain else ""


def labels_meant(shape: tuple[int, ...], kind: str, rows: tuple[int, ...]) -> str:
    """What to do about labels whose shape, or kind of dtype, does not go with so many rows and classes."""
    if shape == rows and rows[-1] > 1:
        return "; of one-hot rows the labels are Y.argmax(1)"
    return "; pass Y.astype(np.int64)" if kind == "f" and shape[:1] == rows[:1] else ""


def described(value: Any) -> str:
    """The type of `value`, and the value itself where it is short and plain: ``float 0.5``."""
    kind = type(value)
    if kind in (tuple, list):
        entries = tuple(value[: _ENTRIES + 1])
        plain = len(entries) <= _ENTRIES and all(type(entry) in _PLAIN for entry in entries)
    else:
        plain = kind in _PLAIN
    try:
        text = (repr if kind in (tuple, list, str, bytes) else str)(value) if plain else ""
    except ValueError:  # an integer of thousands of digits
        text = ""
    return f"{kind.__name__} {text}" if 0 < len(text) <= _SHOWN else kind.__name__


def dimensions(name: str, shape: tuple[int, ...], ndim: int, axes: str) -> str:
    """What to do about an array with another number of dimensions than `ndim`, which `axes` names."""
    wide = [extent for extent in shape if extent != 1]
    if axes.startswith("(1, ") and len(wide) <= 1:
        return f"; reshape to {(*(1,) * (ndim - 1), wide[0] if wide else 1)}"
    if not axes.startswith("(m, "):
        return ""
    found = {
        (3, 4): f"a single image is {name}[None], images of one channel are {name}[..., None]",
        (1, 2): f"a single row is {name}[None]",
        (4, 2): f"cnnref.arr2col({name})[0] has the images as rows",
    }.get((len(shape), ndim))
    return f"; {found}" if found else ""


def channels(
    prefix: str, images: tuple[int, ...], filters: tuple[int, ...], groups: int, transpose: bool
) -> str:
    """What to do about images and filters of different channels: NCHW, PyTorch's filters, or both."""
    here, there, times = (3, 0, 1) if transpose else (2, 1, groups)
    last, first, in_place, in_torch = images[3], images[1], filters[here] * times, filters[there] * times
    turned_images = f"; {prefix}A_prev looks like NCHW: pass {prefix}A_prev.transpose(0, 2, 3, 1)"
    turned_filters = f"; {prefix}W looks like PyTorch's: pass {prefix}W.transpose(2, 3, 1, 0)"
    if first == in_place:
        return turned_images
    if last == in_torch:
        return turned_filters
    return turned_images + turned_filters if first == in_torch else ""


def turned(name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """What to do about an array of another shape than `expected`: its axes turned, or the same numbers."""
    if sorted(shape) == sorted(expected) and expected.count(1) >= len(expected) - 1:
        return f"; reshape to {expected}"
    if len(shape) == 4 and (shape[0], *shape[2:], shape[1]) == expected:
        return f"; looks like NCHW: pass {name}.transpose(0, 2, 3, 1)"
    return ""


def biases(
    prefix: str, shape: tuple[int, ...], filters: tuple[int, ...], groups: int, transpose: bool
) -> str:
    """What to do about biases of another number than there are filters: theirs may be PyTorch's axes."""
    here, (read, made) = (3, (0, 1)) if transpose else (2, (1, 0))
    n_C = filters[2] * groups if transpose else filters[3]
    of_torch = filters[made] * (groups if transpose else 1)
    if shape == (1, 1, 1, of_torch) and filters[read] == filters[here]:
        return f"; {prefix}W looks like PyTorch's: pass {prefix}W.transpose(2, 3, 1, 0)"
    return turned(f"{prefix}b", shape, (1, 1, 1, n_C))


def channels_of(name: str, shape: tuple[int, ...], images: tuple[int, ...], of: str = "A_prev") -> str:
    """What to do about an array with other than one number for each of the images' last axis."""
    if shape == (1, 1, 1, images[1]):
        return f"; {of} looks like NCHW: pass {of}.transpose(0, 2, 3, 1)"
    return turned(name, shape, (1, 1, 1, images[3]))


def window_too_large(name: str, shape: tuple[int, ...], f: int) -> str:
    """What to do about images that a window does not fit into as they are, and would with channels last."""
    if shape[1] < f <= min(shape[2:]):
        return f"; {name} looks like NCHW: pass {name}.transpose(0, 2, 3, 1)"
    return ""


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
