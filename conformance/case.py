"""A case: one line of text that names an operation, its parameters, the dtype, the data and the seed.

``conv_forward:f32:m2h9w7c3_f3k4_s2p1:normal:17`` reads: float32, 2 samples of 9x7 with 3 channels,
4 filters of 3x3, stride 2, padding 1, data family ``normal``, seed 17. ``Case.parse(str(case)) == case``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from conformance.operations import OPERATIONS, WORDS, Operation

DTYPES: Mapping[str, type[np.floating]] = MappingProxyType({"f32": np.float32, "f64": np.float64})

_FAMILY = re.compile(r"[a-z0-9][a-z0-9_.-]*\Z")
_NUMBER = re.compile(r"(0|[1-9][0-9]{0,8})\Z")

Value = int | str


@dataclass(frozen=True)
class Case:
    """One case; immutable, hashable and ordered by its text.

    Parameters
    ----------
    op : str
        A function of the contract.
    dtype : {"f32", "f64"}
        The dtype of every floating array handed to the implementation.
    params : tuple of (str, int or str)
        The parameters of the operation, in the order of its grammar.
    family : str
        The data family (`conformance.families`).
    seed : int
        Seeds the data.
    """

    op: str
    dtype: str
    params: tuple[tuple[str, Value], ...]
    family: str
    seed: int

    def __getitem__(self, name: str) -> int:
        """The integer parameter `name` (``case["h"]``)."""
        value = dict(self.params)[name]
        if not isinstance(value, int):
            raise KeyError(f"{name} is a word, not a number: use case.word({name!r})")
        return value

    def word(self, name: str) -> str:
        """The word parameter `name` (``case.word("mode")``)."""
        return str(dict(self.params)[name])

    @property
    def operation(self) -> Operation:
        """The function this is a case of."""
        return OPERATIONS[self.op]

    @property
    def numpy_dtype(self) -> np.dtype[np.floating]:
        """The dtype of the floating arrays."""
        return np.dtype(DTYPES[self.dtype])

    def replace(self, **changes: Value) -> Case:
        """The same case with some parameters, or ``op``, ``dtype``, ``family``, ``seed``, changed."""
        fields = {name: changes.pop(name, getattr(self, name)) for name in ("op", "dtype", "family", "seed")}
        params = tuple((name, changes.pop(name, value)) for name, value in self.params)
        if changes:
            raise ValueError(f"{self.op} has no parameter {', '.join(sorted(changes))}")
        return Case(params=params, **fields)

    def __str__(self) -> str:
        values = dict(self.params)
        groups = (
            "".join(str(values[n]) if n in WORDS else f"{n}{values[n]}" for n in group)
            for group in self.operation.grammar
        )
        return f"{self.op}:{self.dtype}:{'_'.join(groups)}:{self.family}:{self.seed}"

    def __lt__(self, other: Case) -> bool:
        return str(self) < str(other)

    @classmethod
    def parse(cls, text: str) -> Case:
        """Read a case from its text.

        Raises
        ------
        ValueError
            If the text is not a case; the message says which part and what was expected.
        """
        fields = text.strip().split(":")
        if len(fields) != 5:
            raise ValueError(
                f"case {text!r} has {len(fields)} fields, expected 5: operation:dtype:parameters:family:seed"
            )
        op, dtype, body, family, seed = fields
        if op not in OPERATIONS:
            raise ValueError(f"case {text!r}: unknown operation {op!r}; `conformance list` shows them")
        if dtype not in DTYPES:
            raise ValueError(f"case {text!r}: dtype is {dtype!r}, expected one of {', '.join(DTYPES)}")
        if not _FAMILY.match(family):
            raise ValueError(f"case {text!r}: {family!r} is not a family name")
        if not _NUMBER.match(seed):
            raise ValueError(f"case {text!r}: seed is {seed!r}, expected a whole number below 10**9")
        return cls(op, dtype, tuple(_read(OPERATIONS[op], body, text)), family, int(seed))


def _read(operation: Operation, body: str, text: str) -> Iterator[tuple[str, Value]]:
    """Yield the parameters that `body` (``m2h9w7c3_f3k4_s2p1``) gives for `operation`."""
    groups = body.split("_")
    if len(groups) != len(operation.grammar):
        raise ValueError(f"case {text!r}: {body!r} has {len(groups)} groups, expected {_form(operation)}")
    for group, names in zip(groups, operation.grammar, strict=True):
        if names[0] in WORDS:
            if group not in WORDS[names[0]]:
                raise ValueError(
                    f"case {text!r}: {names[0]} is {group!r}, expected one of {', '.join(WORDS[names[0]])}"
                )
            yield names[0], group
            continue
        match = re.fullmatch("".join(f"{name}(0|[1-9][0-9]{{0,8}})" for name in names), group)
        if match is None:
            raise ValueError(f"case {text!r}: {group!r} does not read as {_form(operation)}")
        for name, digits in zip(names, match.groups(), strict=True):
            yield name, int(digits)


def _form(operation: Operation) -> str:
    """The grammar of an operation's parameters as a person would write it."""
    return "_".join(
        "|".join(WORDS[group[0]]) if group[0] in WORDS else "".join(f"{n}#" for n in group)
        for group in operation.grammar
    )
