"""How the functions that people already have take their hyperparameters, read from their signatures.

The contract's form is ``conv_forward(A_prev, W, b, hparameters)`` and ``pool_forward(A_prev, hparameters,
mode)``. Read as well: hyperparameters one by one, by name in any order or by position
(``conv_forward(A_prev, W, b, stride, pad)``), in the backward functions too, and a pooling function
without a mode, which is asked for maxima only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

#: Other names of a hyperparameter.
ALIASES: dict[str, tuple[str, ...]] = {
    "stride": ("stride", "strides", "s"),
    "pad": ("pad", "padding", "pads", "p"),
    "dilation": ("dilation", "dilations", "dilation_rate", "d"),
    "groups": ("groups", "feature_group_count", "group"),
    "output_padding": ("output_padding", "outpad", "adj"),
    "ceil_mode": ("ceil_mode",),
    "count_include_pad": ("count_include_pad",),
    "f": ("f", "size", "kernel", "kernel_size", "ksize", "pool_size", "window", "window_size"),
    "mode": ("mode", "pool_mode", "kind"),
}

#: Values of the contract's keys that make no difference.
NEUTRAL = {"stride": 1, "pad": 0}

#: What stands for the whole mapping.
WHOLE = ("hparameters", "hparams", "hyperparameters", "hyperparams", "params", "parameters", "conv_param")


class LackingError(NotImplementedError):
    """The implementation says that it has no answer for such a case: it is absent, not wrong."""


def called(
    function: Callable[..., Any],
    arrays: tuple[Any, ...],
    hyper: Mapping[str, Any],
    mode: str | None = None,
    hand_hyper: bool = True,
) -> Any:
    """Call `function` on `arrays`, with its hyperparameters in the form its signature asks for.

    Parameters
    ----------
    function : callable
        The implementation's.
    arrays : tuple
        What goes first, by position.
    hyper : mapping of str to object
        The hyperparameters by the contract's names.
    mode : str, optional
        The mode of a pooling function.
    hand_hyper : bool
        Whether the contract hands the mapping over. A backward function has it in its cache, and is
        given hyperparameters only where its signature names them.
    """
    rest: list[Any] = [] if mode is None else [mode]
    contract = (*arrays, hyper, *rest) if hand_hyper else (*arrays, *rest)
    every = _parameters(function)
    if every is None:
        return function(*contract)
    values: list[tuple[inspect.Parameter, Any]]
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    free = [p for p in every[len(arrays) :] if p.kind not in variable]
    if any(p.kind in variable for p in every) and not free:
        if any(p.kind is p.VAR_POSITIONAL for p in every):
            return function(*contract)
        return function(*arrays, **hyper, **({} if mode is None else {"mode": mode}))
    whole = _named(free, WHOLE)
    mode_parameter = _named(free, ALIASES["mode"])
    named = {key: p for key in hyper if (p := _named(free, ALIASES[key])) is not None}
    required = [p for p in free if p.default is p.empty and p.kind is not p.KEYWORD_ONLY]
    unknown = [p for p in required if p is not mode_parameter]
    if named and not (whole and hand_hyper):
        for key, value in hyper.items() if hand_hyper else ():
            # What is handed beyond the contract's keys never has its default.
            if key not in named and key != "f" and value != NEUTRAL.get(key):
                raise LackingError(f"takes no {key}")
        values = [(p, hyper[key]) for key, p in named.items()]
    elif not hand_hyper:
        values = []
    elif len(unknown) >= len(hyper) > 1 and whole is None:
        # Names that say nothing: by position, in the contract's order.
        values = list(zip(free, hyper.values(), strict=False))
    else:
        values = [(p, hyper) for p in free[:1]]
        if not values:
            return function(*contract)  # whose TypeError says what is wrong
    if mode is not None:
        spare = [p for p in free if all(p is not taken for taken, _ in values)]
        place = mode_parameter or next(iter(spare), None)
        if place is not None:
            values.append((place, mode))
        elif mode != "max":
            raise LackingError("takes no mode, so it has maxima only")
    ordered = sorted(values, key=lambda pair: free.index(pair[0]))
    positional = [value for p, value in ordered if p.kind is p.POSITIONAL_ONLY]
    by_name = {p.name: value for p, value in ordered if p.kind is not p.POSITIONAL_ONLY}
    return function(*arrays, *positional, **by_name)


#: What was read of functions before, by their identity; the function is kept, so that it stays its own.
_READ: dict[int, tuple[Callable[..., Any], list[inspect.Parameter] | None]] = {}


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """The parameters of a function; None of a compiled one that does not tell."""
    known = _READ.get(id(function))
    if known is not None and known[0] is function:
        return known[1]
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        found = None
    if len(_READ) > 1000:  # methods are another object each time
        _READ.clear()
    _READ[id(function)] = function, found
    return found


def _named(free: list[inspect.Parameter], names: tuple[str, ...]) -> inspect.Parameter | None:
    return next((p for name in names for p in free if p.name.lower() == name), None)
