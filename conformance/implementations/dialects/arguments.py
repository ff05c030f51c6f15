"""Which parameter of a function takes which argument, read from its signature or from its documentation.

People name their parameters as they like: an argument goes to a parameter that is called as PyTorch calls it,
or as somebody else does (`ALSO`); an array that no name claims goes to the next parameter without a default.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from typing import Any

from conformance.implementations.signature import ALIASES, LackingError

#: Other names of an argument of ``torch.nn.functional``, in lower case.
ALSO: dict[str, tuple[str, ...]] = {
    "input": ("input", "x", "inputs", "a", "a_prev", "z", "image", "images", "data", "inp", "logits"),
    "weight": ("weight", "w", "weights", "kernel", "kernels", "filter", "filters", "gamma", "scale"),
    "bias": ("bias", "b", "biases", "beta", "shift", "offset"),
    "target": ("target", "y", "targets", "label", "labels", "t"),
    "running_mean": ("running_mean", "mean"),
    "running_var": ("running_var", "var", "running_variance", "variance"),
    "kernel_size": ALIASES["f"],
    "padding": ALIASES["pad"],
    **{name: ALIASES[name] for name in ("stride", "dilation", "groups", "output_padding")},
    "negative_slope": ("negative_slope", "alpha", "slope", "a", "leak"),
    "eps": ("eps", "epsilon"),
    "training": ("training", "train", "is_training"),
    "dim": ("dim", "axis"),
    "output_size": ("output_size", "size"),
    "pad": ("pad", "padding", "p"),
}  # fmt: skip
_VARIABLE = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def parameters_of(function: Callable[..., Any]) -> list[Parameter] | None:
    """The parameters of a function; None if nothing says what they are.

    A compiled function has no signature, but the first line of its documentation may be one.
    """
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        first = next(iter((getattr(function, "__doc__", None) or "").strip().splitlines()), "")
    found = re.search(r"\w\((.*)\)", first)
    if found is None:
        return None
    parts = [
        part.strip() for part in re.split(r",(?![^\[(]*[\])])", found[1]) if part.strip() not in ("", "*")
    ]
    names = [re.match(r"\w+", part) for part in parts]
    if not all(names):
        return None
    nameless = re.search(r"\barg0\b", first) is not None
    plain = Parameter.POSITIONAL_ONLY if nameless else Parameter.POSITIONAL_OR_KEYWORD
    # What has a default may be taken by name alone, which such a line does not say.
    optional = Parameter.POSITIONAL_ONLY if nameless else Parameter.KEYWORD_ONLY
    return [
        Parameter(
            name[0], optional if "=" in part else plain, default=None if "=" in part else Parameter.empty
        )
        for name, part in zip(names, parts, strict=True)
        if name is not None
    ]


def named(parameters: Sequence[Parameter], name: str) -> Parameter | None:
    """The parameter that takes the argument `name`, if any is called so."""
    for also in ALSO.get(name, (name,)):
        for parameter in parameters:
            if parameter.name.lower() == also and parameter.kind not in _VARIABLE:
                return parameter
    return None


class Takes:
    """Where a function takes its arguments.

    Parameters
    ----------
    function : callable
        The function.
    arrays : sequence of str
        Its array arguments, in the usual order.
    options : sequence of str
        Its other arguments, in the usual order.
    skip : int, optional
        How many parameters come first that are none of these: ``ctx``.
    """

    def __init__(
        self, function: Callable[..., Any], arrays: Sequence[str], options: Sequence[str], skip: int = 0
    ) -> None:
        every = parameters_of(function)
        self._unknown = every is None
        every = (every or [])[skip:]
        self._plain = [p for p in every if p.kind not in _VARIABLE]
        self._many = any(p.kind is Parameter.VAR_POSITIONAL for p in every)
        self._any = any(p.kind is Parameter.VAR_KEYWORD for p in every)
        self._arrays, self._order = tuple(arrays), (*arrays, *options)
        self._found: dict[str, Parameter] = {}
        for name in (*arrays, *options):
            free = [p for p in self._plain if p not in self._found.values()]
            parameter = named(free, name)
            if parameter is not None:
                self._found[name] = parameter
        for names in (arrays, options):
            for name in names:
                free = [p for p in self._plain if p not in self._found.values() and p.default is p.empty]
                if name not in self._found and free:
                    self._found[name] = free[0]

    def has(self, name: str) -> bool:
        """Whether there is a place for that argument."""
        return self._unknown or self._any or self._many or name in self._found

    def names(self, name: str) -> bool:
        """Whether a parameter is there for that argument alone."""
        return name in self._found

    def call(
        self,
        function: Callable[..., Any],
        arguments: Mapping[str, Any],
        neutral: Mapping[str, Any],
        by_position: bool = False,
    ) -> Any:
        """Call it.

        Parameters
        ----------
        function : callable
            The function, or the ``apply`` of one.
        arguments : mapping of str to object
            Every argument.
        neutral : mapping of str to object
            Values of arguments that may be missing.
        by_position : bool
            Whether it takes nothing by name.

        Raises
        ------
        LackingError
            If there is no place for an argument that has another value.
        """
        for name, value in arguments.items():
            if not self.has(name) and not (name in neutral and neutral[name] == value):
                raise LackingError(f"takes no {name}")
        if self._unknown or (self._many and not self._found):
            there = [name for name in self._order if name in arguments]
            words = [name for name in there if self._any and name not in self._arrays]
            return function(
                *(arguments[name] for name in there if name not in words),
                **{name: arguments[name] for name in words},
            )
        place = {p.name: name for name, p in self._found.items() if name in arguments}
        positional: list[Any] = []
        named: dict[str, Any] = {}
        gap = False
        for parameter in self._plain:
            given = parameter.name in place
            if parameter.kind is Parameter.KEYWORD_ONLY or (gap and not by_position):
                if given:
                    named[parameter.name] = arguments[place[parameter.name]]
            elif given:
                positional.append(arguments[place[parameter.name]])
            elif parameter.default is not parameter.empty and (
                by_position or parameter.kind is Parameter.POSITIONAL_ONLY
            ):
                positional.append(parameter.default)
            else:
                gap = True
        if self._any:
            named |= {n: x for n, x in arguments.items() if n not in self._found}
        return function(*positional, **named)
