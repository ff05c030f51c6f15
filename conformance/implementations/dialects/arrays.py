"""The contract's arrays as the dialects have them: channels first or last, filters OIHW, biases flat.

A *kind* says how an array goes there and how an answer comes back. What does not have the axes for it comes
back as it is, so that the verdict says what shape it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: How the axes of a kind go from NHWC to NCHW.
_AXES = {"image": (0, 3, 1, 2), "filters": (3, 2, 0, 1)}
#: The shape in the contract of what is a row of numbers elsewhere.
_ROWS = {"channels": (1, 1, 1, -1), "bias": (1, -1)}


def inward(kind: str, array: Array, layout: str = "NCHW") -> Array:
    """A copy of an array of the contract, in C order, as the dialect has it.

    Parameters
    ----------
    kind : str
        ``image``, ``filters``, ``channels`` (one number a channel), ``matrix`` (of a linear layer, ``(out,
        in)``), ``bias`` (of one), ``labels``, ``pixels`` (an image as rows of its channels); anything else,
        such as ``rows``, is the same everywhere.
    array : ndarray
        As the contract has it.
    layout : str
        ``NCHW`` or ``NHWC``, for images and filters.
    """
    if kind in _AXES and array.ndim == 4:
        return np.array(array.transpose(_AXES[kind]) if layout == "NCHW" else array, order="C")
    if kind in _ROWS:
        return np.array(array.reshape(-1))
    if kind == "pixels":
        return np.array(array.reshape(int(np.prod(array.shape[:-1])), array.shape[-1]))
    if kind == "labels":
        return np.array(array.reshape(-1), np.int64)
    return np.array(array.T if kind == "matrix" else array, order="C")


def outward(kind: str, value: Any, layout: str = "NCHW") -> Any:
    """An answer of the dialect as the contract has it."""
    if not isinstance(value, np.ndarray):
        return value
    if kind in _AXES and value.ndim == 4:
        return np.ascontiguousarray(value.transpose(np.argsort(_AXES[kind]))) if layout == "NCHW" else value
    if kind in _ROWS and value.size == max(value.shape, default=1):
        return value.reshape(_ROWS[kind])
    if kind == "matrix" and value.ndim == 2:
        return np.ascontiguousarray(value.T)
    return value


class Given:
    """What a function is given for arrays of the contract: copies, whose changes are shown in the arrays.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        The contract's.
    kinds : mapping of str to str
        The kind of each.
    layout : str, optional
        That of the function.
    """

    def __init__(self, arrays: Mapping[str, Array], kinds: Mapping[str, str], layout: str = "NCHW") -> None:
        self._arrays, self._kinds, self._layout = arrays, kinds, layout
        self.values = {name: inward(kinds[name], x, layout) for name, x in arrays.items()}
        self._before = {name: x.copy() for name, x in self.values.items()}

    def show_changes(self, *unless: str) -> None:
        """Put what was done to a copy into its array, where it is looked for; not of those named."""
        for name, value in self.values.items():
            if name not in unless and value.tobytes() != self._before[name].tobytes():
                written_back(self._kinds[name], self._arrays[name], value, self._layout)


def written_back(kind: str, array: Array, value: Array, layout: str = "NCHW") -> None:
    """Show in an array of the contract what was done to the copy that `inward` made of it."""
    if array.dtype == value.dtype and array.flags.writeable:
        array[...] = outward(kind, value, layout).reshape(array.shape)
