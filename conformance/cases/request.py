"""What an implementation is asked for one case: its functions to call, one after another, with what.

Plain data. Whoever carries it out has no need of the operations, of the case or of the right answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

#: How the text of a call begins that ended in an error of the device, and of what a dialect has to remark.
DEVICE, REMARKED = "raised a device error: ", "dialect: "


@dataclass(frozen=True, slots=True)
class Array:
    """An array of the case, by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class Number:
    """The one number of an array without axes."""

    name: str


@dataclass(frozen=True, slots=True)
class Output:
    """The output of a function called before."""

    function: str


@dataclass(frozen=True, slots=True)
class Cache:
    """The cache of a function called before, in whatever form that gave it."""

    function: str


@dataclass(frozen=True)
class Made:
    """A cache made by hand: a named tuple of these fields."""

    name: str
    fields: Mapping[str, Any]


class Step(NamedTuple):
    """One call.

    Attributes
    ----------
    function : str
        Its name.
    arguments : tuple
        What it is given by position: each one of the above, an array in NHWC, or plain numbers and words,
        tuples and mappings of them.
    keywords : dict
        What it is given by name, numbers and words.
    hyper : dict or None
        Hyperparameters, handed over in the form that the function's signature asks for (`signature.called`).
    mode : str or None
        The mode that goes with them.
    hand_hyper : bool
        Whether the contract hands the hyperparameters over; a backward function has them in its cache.
    """

    function: str
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any] = {}
    hyper: Mapping[str, Any] | None = None
    mode: str | None = None
    hand_hyper: bool = True


class Request(NamedTuple):
    """The calls of a case; the answer of the last one is judged.

    Attributes
    ----------
    steps : tuple of Step
        Each but the last answers an output and a cache.
    outputs : tuple of str
        The names of the outputs, in the contract's order.
    cached : bool
        Whether the last call answers an output and a cache too.
    places : mapping of str to int
        Outputs that are fields of that cache, with their places in it.
    fields : int
        How many fields it has then.
    """

    steps: tuple[Step, ...]
    outputs: tuple[str, ...]
    cached: bool = False
    places: Mapping[str, int] = {}
    fields: int = 0
