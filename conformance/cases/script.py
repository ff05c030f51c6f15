"""Calls one after another, as real programs make them: what is asked to look at more than one of them.

Plain data, as a `request.Request` is: layers, each a request with its arrays, and acts upon them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from numpy.typing import NDArray

from conformance.cases.request import Request

#: How the arrays of a layer may lie in memory, and in which words a person would say so.
FORMS: Mapping[str, str] = {
    "fortran": "in Fortran order",
    "negative": "with negative strides",
    "slice": "that is every other element of a larger one",
    "read-only": "that is read-only",
    "swapped": "of the other byte order",
    "unaligned": "at an odd address",
    "expanded": "with a stride of zero",
}

#: The dtypes in which labels are handed over.
LABELS = ("int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64")


class Layer(NamedTuple):
    """A function with its arrays.

    Attributes
    ----------
    request : Request
        Its calls.
    arrays : mapping of str to ndarray
        What they are given, contiguous.
    form : str
        How that is handed over: one of `FORMS`, one of `LABELS` for the labels alone, or as it comes.
    """

    request: Request
    arrays: Mapping[str, NDArray[Any]]
    form: str = ""


class Act(NamedTuple):
    """Something that is done.

    Attributes
    ----------
    what : str
        ``call``: all calls of a layer; ``forward``: all but the last; ``backward``: the last, from the
        cache of the ``forward`` before; ``again``: nothing is called, the outputs of an earlier act are
        looked at once more; ``overwrite``: the arrays of a layer take the values of another's; ``alter``:
        the caller changes the hyperparameters that it has handed over; ``repeat``: a layer is called many
        times and looked at once, at the first that has other bits, or else the last; ``together``: the same
        by several callers at once; ``compiled``: all calls, of the function as its framework compiles it.
    layer : int
        The number of the layer; of an earlier act among those that are looked at, for ``again``.
    more : int
        The other layer, or how many times.
    threads : int
        How many threads the functions may use, if they can be told; 0 for as many as they like.
    """

    what: str
    layer: int = 0
    more: int = 0
    threads: int = 0

    @property
    def seen(self) -> bool:
        """Whether it gives outputs to look at."""
        return self.what not in ("forward", "overwrite", "alter")


class Script(NamedTuple):
    """Layers, and what is done with them."""

    layers: tuple[Layer, ...]
    acts: tuple[Act, ...]

    @property
    def times(self) -> int:
        """How often outputs are looked at."""
        return sum(act.seen for act in self.acts)
