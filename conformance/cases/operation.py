"""What a case has to know of the function it is of: its parameters, arrays, outputs and options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from conformance.cases.options import Option

#: Parameters written as words instead of a letter and a number, with the words allowed.
WORDS: dict[str, tuple[str, ...]] = {
    "mode": ("max", "average"),
    "activation": ("relu", "sigmoid", "NULL"),
    "approximate": ("none", "tanh"),
    "statistics": ("training", "inference"),
    "slopes": ("channelwise", "shared"),
}

Group = tuple[str, ...]
#: One kind of one factor.
Level = tuple[str, str]


@dataclass(frozen=True, eq=False, kw_only=True)
class Operation:
    """One function of the contract, as its cases are written.

    Attributes
    ----------
    name : str
        The function's name in the contract.
    grammar : tuple of tuple of str
        The parameters of a case, in the groups in which its name writes them.
    arrays : tuple of str
        The arrays (and scalars) drawn for a case, by the contract's argument names. For a
        backward function these are the forward inputs followed by the upstream gradient.
    outputs : tuple of str
        What is compared.
    upstream : str or None
        The upstream gradient among `arrays`, for a backward function.
    forward : str or None
        The function whose cache a backward function is given.
    options : tuple of Option
        What a case may say beyond the contract's plain call, in the order in which it is written.
    apart : tuple of two (str, str)
        Kinds of two options (or words) that do not go together: ``(("mode", "average"), ("d", "dilated"))``.
    """

    name: str
    grammar: tuple[Group, ...]
    arrays: tuple[str, ...]
    outputs: tuple[str, ...]
    upstream: str | None = None
    forward: str | None = None
    options: tuple[Option, ...] = ()
    apart: tuple[tuple[Level, Level], ...] = ()

    @cached_property
    def option(self) -> Mapping[str, Option]:
        """The options by name."""
        return {option.name: option for option in self.options}

    @cached_property
    def template(self) -> str:
        """How a case writes the groups: ``m%sh%sw%sc%s_f%ss%s_%s``."""
        return "_".join("".join("%s" if n in WORDS else f"{n}%s" for n in group) for group in self.grammar)

    @cached_property
    def trailing(self) -> Mapping[str, Option]:
        """The options that follow the groups of a case, by name."""
        return {name: option for name, option in self.option.items() if name not in self.parameters}

    @cached_property
    def factors(self) -> dict[str, tuple[str, ...]]:
        """What a run has to cover in pairs: the words of a case and its options, each with its kinds."""
        words = {name: WORDS[name] for name in self.parameters if name in WORDS}
        return {**words, **{option.name: tuple(option.kinds) for option in self.options}}

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """All parameters of a case in order."""
        return tuple(name for group in self.grammar for name in group)
