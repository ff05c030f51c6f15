"""Options: what a case may say beyond the contract's plain calls, and the values a run draws for each.

An option is one token of a case and is left out where it has its default, so that the line of a plain case
never changes. Options that a convolution or a pool has in its plain form too (window, stride, padding) stand
where they always stood and take more forms; the others follow the groups of the operation, in the order in
which the operation lists them::

    conv_forward:f32:m2h9w7c4_f3x5k8_s2x1p1.2.0.1_d2x1_g4:normal:17
    pool_forward:f32:m2h9w7c3_f3s2_max_p1_ceil:ties:4

A value is written ``3``, ``0.1``, ``1e-12``, ``3x5`` (rows, columns), ``1.2.0.1`` (top, bottom, left,
right) or as a word, each after the letters of its option; a word may also stand alone. There is one way to
write each value: ``3x3`` is refused, because it is 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Value = int | float | str | tuple[int, ...]
Params = Mapping[str, Value]

_NATURAL = r"(?:0|[1-9][0-9]{0,8})"
_FORMS = {
    "number": rf"-?{_NATURAL}",
    "decimal": rf"-?{_NATURAL}\.[0-9]{{0,3}}[1-9]",
    "power": r"[1-9]e-[1-9][0-9]?",
    "pair": rf"{_NATURAL}x{_NATURAL}",
    "sides": rf"{_NATURAL}(?:\.{_NATURAL}){{3}}",
}


def form(value: Value) -> str:
    """How a value is written: number, decimal, power, pair, sides or word."""
    if isinstance(value, str):
        return "word"
    if isinstance(value, tuple):
        return "pair" if len(value) == 2 else "sides"
    if isinstance(value, int):
        return "number"
    return "power" if "e" in str(value) else "decimal"


def written(value: Value) -> str:
    """The text of a value."""
    if isinstance(value, str):
        return value.replace("_", "-")
    if isinstance(value, tuple):
        return ("x" if len(value) == 2 else ".").join(map(str, value))
    return str(value).replace("e-0", "e-")


def shortest(value: Value) -> Value:
    """The shortest form of the same value: a pair of equals is a number, sides that are a pair one."""
    if not isinstance(value, tuple):
        return value
    if len(value) == 4:
        top, bottom, left, right = value
        if (top, left) != (bottom, right):
            return value
        value = (top, left)
    return value[0] if value[0] == value[1] else value


@dataclass(frozen=True, eq=False)
class Option:
    """An option.

    Attributes
    ----------
    name : str
        What a case calls it: the letters before its value, or for an option of bare words any name.
    key : str
        What an implementation calls it: the key in ``hparameters``, or the argument.
    text : str
        What it is, for ``conformance list`` and the report.
    kinds : mapping of str to tuple of Value
        The kinds of values that a run has to cover, with the values it draws of each. A kind without values
        is drawn as in a plain case, or by `draw`.
    default : Value or None
        What is not written; None for an option that stands in a group of the operation.
    plain : int
        How many of the first kinds are the contract's own.
    bare : bool
        Whether its words are written alone, without its name.
    kind : callable, optional
        The kind that the parameters of a case are of, where the form of the value does not decide it.
    draw : callable, optional
        ``draw(kind, parameters, number)`` gives the parameters that a value of `kind` changes, for an option
        whose values depend on the others.
    """

    name: str
    key: str
    text: str
    kinds: Mapping[str, tuple[Value, ...]]
    default: Value | None = None
    plain: int = 1
    bare: bool = False
    kind: Callable[[Params], str] | None = None
    draw: Callable[[str, Params, int], dict[str, Value]] | None = None

    def values(self) -> tuple[Value, ...]:
        """Every value that a run draws."""
        return tuple(value for values in self.kinds.values() for value in values)

    def kind_of(self, params: Params) -> str:
        """The kind that a case with these parameters is of."""
        if self.kind is not None:
            return self.kind(params)
        value = params.get(self.name, self.default)
        if value in self._kinds:
            return self._kinds[value]
        like = [
            k for k, values in self.kinds.items() if value is not None and form(value) in map(form, values)
        ]
        return like[-1] if like else next(iter(self.kinds))

    def is_plain(self, params: Params) -> bool:
        """Whether the contract has such a value."""
        return self.is_plain_kind(self.kind_of(params))

    def is_plain_kind(self, kind: str) -> bool:
        """Whether the contract has values of `kind`."""
        return kind in self._plain

    @cached_property
    def _plain(self) -> frozenset[str]:
        return frozenset(list(self.kinds)[: self.plain])

    @cached_property
    def _kinds(self) -> dict[Value | None, str]:
        """The first kind that has each value."""
        return {value: kind for kind, values in reversed(list(self.kinds.items())) for value in values}

    def pool(self, kind: str) -> tuple[Value | None, ...] | None:
        """What a value of `kind` is drawn from: its values, no value, or for `draw` any number."""
        return None if self.draw is not None else self.kinds[kind] or (None,)

    def drawn(self, kind: str, params: Params, value: Any) -> dict[str, Value]:
        """The parameters that `value`, drawn from the pool of `kind`, changes."""
        if self.draw is not None:
            return self.draw(kind, params, value)
        return {} if value is None else {self.name: value}

    def pattern(self) -> str:
        """The regular expression of a value."""
        words = sorted(
            (re.escape(written(v)) for v in self.values() if isinstance(v, str)), key=len, reverse=True
        )
        forms = {form(value) for value in self.values()} | ({"number"} if self.default is None else set())
        return "|".join([*(_FORMS[name] for name in _FORMS if name in forms), *words])

    def token(self, value: Value) -> str:
        """The token of a case that gives it `value`."""
        return written(value) if self.bare else self.name + written(value)

    def read(self, text: str) -> Value:
        """The value that `text` writes, `text` being of its pattern.

        Raises
        ------
        ValueError
            If there is a shorter way to write it.
        """
        value: Value | None = next(
            (v for v in self.values() if isinstance(v, str) and written(v) == text), None
        )
        if value is None:
            value = number(text)
        short = shortest(value)
        if short != value or written(value) != text:
            raise ValueError(f"{self.name} is {text}, which is written {written(short)}")
        return value


def number(text: str) -> Value:
    """The number, decimal, power, pair or sides that `text` writes."""
    if "x" in text:
        return tuple(map(int, text.split("x")))
    parts = text.split(".")
    if len(parts) == 4:
        return tuple(map(int, parts))
    return float(text) if len(parts) == 2 or "e" in text else int(text)
