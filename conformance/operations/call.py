"""How a function is called, as data: what `resolved` turns into the `request.Request` of one case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from conformance.cases.request import Array, Cache, Made, Number, Output, Request, Step

if TYPE_CHECKING:
    from conformance.cases.case import Case
    from conformance.operations.entry import Entry

#: Computes an array of a case, in NHWC, where no function of the implementation gives it.
Computed = Callable[["Case", Any], Any]


class Parameter(NamedTuple):
    """A parameter of the case."""

    name: str


class Is(NamedTuple):
    """Whether a parameter of the case is that word."""

    name: str
    word: str


class Returned(NamedTuple):
    """What a function gives, or without that function what is computed here."""

    function: str
    computed: Computed


class _Sign(NamedTuple):
    name: str


#: The cache of the forward function.
CACHE = _Sign("cache")
#: The mapping of hyperparameters, as a field of a cache made by hand.
HYPER = _Sign("hparameters")

#: An argument: an array by its name, a `Number`, a `Parameter`, a number; a tuple or mapping of these; CACHE;
#: in a cache made by hand also `Computed`, HYPER and a `Made`.
Argument = Any


@dataclass(frozen=True)
class Call:
    """How a function is called.

    Attributes
    ----------
    arguments : tuple of Argument
        What it is given by position.
    keywords : bool
        Whether it is given the options of the case by name, those that are not at their default.
    hyper : tuple of str
        The parameters among its hyperparameters; the options of the case follow them.
    mode : str
        The parameter that is the mode beside the hyperparameters.
    hand_hyper : bool
        Whether they are handed over: a backward function has them in its cache, and is given them only where
        its signature names them.
    given : mapping of str to (Returned or Computed)
        What the forward function is given in place of an array of the case.
    fused : str
        A function that gives the cache from the arrays of the case themselves: of an implementation that has
        it, no other is called before.
    by_hand : Argument
        The cache that it would give, for an implementation that lacks it; None of a function that gives none.
        A function of the case alone, where the form of the cache depends on it.
    """

    arguments: tuple[Argument, ...]
    keywords: bool = False
    hyper: tuple[str, ...] = ()
    mode: str = ""
    hand_hyper: bool = True
    given: Mapping[str, Returned | Computed] = field(default_factory=dict)
    fused: str = ""
    by_hand: Argument = None

    @cached_property
    def fixed(self) -> bool:
        """Whether it is the same for every case."""
        plain = all(isinstance(a, (str, Number)) or a is CACHE for a in self.arguments)
        return plain and not (self.keywords or self.hyper or self.given)

    def backward(self, upstream: str) -> Call:
        """The call of the gradient: the upstream gradient, the cache and the same words and options."""
        words = tuple(argument for argument in self.arguments if isinstance(argument, Parameter))
        return Call(
            (upstream, CACHE, *words), self.keywords, self.hyper, self.mode, hand_hyper=not self.hyper
        )


def resolved(
    operations: Mapping[str, Entry], case: Case, has: Callable[[str], bool], arrays: Mapping[str, Any]
) -> Request:
    """What an implementation is asked for `case`.

    Parameters
    ----------
    operations : mapping of str to Entry
        The operations by name.
    case : Case
        The case.
    has : callable
        Whether the implementation has a function of that name.
    arrays : mapping of str to ndarray
        The arrays of the case in NHWC, of which is computed what the implementation has no function for.
    """
    entry = case.operation
    call, forward = entry.call, operations.get(str(entry.forward)) if CACHE in entry.call.arguments else None
    if call.fixed and (forward is None or (forward.call.fixed and has(forward.name))):
        return _fixed(entry, forward)
    if call.fused and has(call.fused):
        own = _step(entry, case, arrays, {}, Cache(call.fused))
        before = Step(call.fused, tuple(Array(name) for name in entry.arrays), own.keywords)
        return Request((before, own), entry.outputs, *entry.answer)
    steps: list[Step] = []
    given: dict[str, Any] = {}
    for name, source in call.given.items():
        if isinstance(source, Returned) and source.function in operations and has(source.function):
            steps.append(_step(operations[source.function], case, arrays))
            given[name] = Output(source.function)
        else:
            given[name] = _computed(source.computed if isinstance(source, Returned) else source, case, arrays)
    cache: Any = None
    if forward is not None:
        if has(forward.name):
            steps.append(_step(forward, case, arrays, given))
            cache = Cache(forward.name)
        else:
            cache = _cache(forward, case, arrays, given)
    steps.append(_step(entry, case, arrays, {}, cache))
    return Request(tuple(steps), entry.outputs, *entry.answer)


@cache
def _fixed(entry: Entry, forward: Entry | None) -> Request:
    """What is asked for every case of an operation whose call depends on nothing else."""

    def step(of: Entry, cache: Any) -> Step:
        names = (Array(a) if isinstance(a, str) else a for a in of.call.arguments)
        return Step(of.name, tuple(cache if a is CACHE else a for a in names))

    before = () if forward is None else (step(forward, None),)
    cache = None if forward is None else Cache(forward.name)
    return Request((*before, step(entry, cache)), entry.outputs, *entry.answer)


def _computed(function: Computed, case: Case, arrays: Mapping[str, Any]) -> Any:
    with np.errstate(all="ignore"):
        return function(case, arrays)


def _step(
    entry: Entry, case: Case, arrays: Mapping[str, Any], given: Mapping[str, Any] = {}, cache: Any = None
) -> Step:
    call = entry.call
    arguments = tuple(
        [cache if argument is CACHE else _value(argument, case, arrays, given) for argument in call.arguments]
    )
    keywords: dict[str, Any] = {}
    if call.keywords:
        params = dict(case.params)
        keywords = {o.key: params[o.name] for o in entry.options if o.name in params}
    if not call.hyper:
        return Step(entry.name, arguments, keywords)
    mode = case.word(call.mode) if call.mode else None
    return Step(entry.name, arguments, keywords, hyper(entry, case), mode, call.hand_hyper)


def _cache(forward: Entry, case: Case, arrays: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """The cache of the forward function, made by hand."""
    form = forward.call.by_hand
    if callable(form):
        form = form(case)

    def filled(part: Any) -> Any:
        if isinstance(part, Made):
            return Made(part.name, {name: filled(value) for name, value in part.fields.items()})
        if part is HYPER:
            return hyper(forward, case)
        return _value(part, case, {**arrays, **given}, given)

    return filled(form)


def _value(argument: Argument, case: Case, arrays: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """An argument of one case."""
    if type(argument) is str:
        return given[argument] if argument in given else Array(argument)
    kind = type(argument)
    if kind is Parameter:
        return case.value(argument.name)
    if kind is Is:
        return case.word(argument.name) == argument.word
    if kind is tuple:
        return tuple([_value(item, case, arrays, given) for item in argument])
    if kind is dict:
        return {name: _value(item, case, arrays, given) for name, item in argument.items()}
    if kind is not Number and callable(argument):
        return _computed(argument, case, arrays)
    return argument


#: How a word of an option is handed over.
_WORDS: dict[str, Any] = {"floor": False, "ceil": True, "include": True, "exclude": False}
_KEYS = {"f": "f", "s": "stride", "p": "pad"}


def hyper(entry: Entry, case: Case) -> dict[str, Any]:
    """The ``hparameters`` of a case: the contract's keys, then those of the options given."""
    found = {_KEYS[name]: _handed(case.value(name)) for name in entry.call.hyper}
    params = dict(case.params)
    for option in entry.options:
        value = params.get(option.name)
        if option.key not in found and value is not None and option.name != "f":
            found[option.key] = _handed(value)
    return found


def _handed(value: Any) -> Any:
    """A value as ``hparameters`` have it."""
    if isinstance(value, tuple) and len(value) == 4:
        return (value[:2], value[2:])
    return _WORDS.get(value, value) if isinstance(value, str) else value
