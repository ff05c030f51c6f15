"""A case: one line of text that names an operation, its parameters, the dtype, the data and the seed.

``conv_forward:f32:m2h9w7c3_f3k4_s2p1:normal:17`` reads: float32, 2 samples of 9x7 with 3 channels,
4 filters of 3x3, stride 2, padding 1, data family ``normal``, seed 17. What goes beyond the contract's plain
call follows as `conformance.cases.options` says. ``Case.parse(str(case)) == case``, and
``str(Case.parse(text))`` is the text.

Where the data come from a file, the family is ``file`` and the file's name stands in place of the seed:
``conv_forward:f32:m8h32w32c3_f3k16_s1p1:file:net.npz``. ``net.npz@2`` are its values in another order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from conformance.cases.dtypes import KNOWN, working
from conformance.cases.operation import WORDS, Operation
from conformance.cases.options import Value, shortest, written
from conformance.operations import OPERATIONS
from conformance.operations.entry import Entry

_FAMILY = re.compile(r"[a-z0-9][a-z0-9_.-]*\Z")
_NUMBER = re.compile(r"(0|[1-9][0-9]{0,8})\Z")

#: The family of data that stand in a file, the kinds of files, and how a case names one.
FILE, SUFFIXES = "file", (".npz", ".safetensors")
_FILE = re.compile(r"(.{1,1000}(?:\.npz|\.safetensors))(?:@([1-9][0-9]{0,8}))?\Z")


@dataclass(frozen=True)
class Case:
    """One case; immutable, hashable and ordered by its text.

    Parameters
    ----------
    op : str
        A function of the contract.
    dtype : {"f32", "f64", "f16", "bf16"}
        The dtype of every floating array handed to the implementation.
    params : tuple of (str, Value)
        The parameters of the operation, in the order of its grammar, then the options that do not have
        their default, in the order of the operation's options.
    family : str
        The data family (`conformance.generation.families`).
    seed : int
        Seeds the data.
    file : str
        The file that has the data, of the family ``file`` alone.
    """

    op: str
    dtype: str
    params: tuple[tuple[str, Value], ...]
    family: str
    seed: int
    file: str = ""
    _values: dict[str, Value] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.__dict__["_values"] = dict(self.params)

    @classmethod
    def of(
        cls, op: str, dtype: str, values: Mapping[str, Value], family: str, seed: int, file: str = ""
    ) -> Case:
        """The case with these parameters and options; an option that is left out has its default."""
        operation = OPERATIONS[op]
        params = [(name, shortest(values[name])) for name in operation.parameters]
        for name, option in operation.trailing.items():
            value = values.get(name)
            if value is not None and (short := shortest(value)) != option.default:
                params.append((name, short))
        return cls(op, dtype, tuple(params), family, seed, file)

    def __reduce__(self) -> tuple[type[Case], tuple[Any, ...]]:
        """The fields alone: what is worked out from them is worked out again in another process."""
        return Case, (self.op, self.dtype, self.params, self.family, self.seed, self.file)

    def value(self, name: str) -> Value:
        """The parameter or option `name`, in whatever form it has; an option not given has its default."""
        if name in self._values:
            return self._values[name]
        option = self.operation.option.get(name)
        if option is None or option.default is None:
            raise KeyError(name)
        return option.default

    def get(self, name: str, default: Value) -> Value:
        """The parameter or option `name`; `default` where the operation has none of that name."""
        given = self._values.get(name)
        if given is not None:
            return given
        option = self.operation.option.get(name)
        return default if option is None or option.default is None else option.default

    def __getitem__(self, name: str) -> int:
        """The integer parameter `name` (``case["h"]``)."""
        given = self._values.get(name)
        if type(given) is int:
            return given
        value = self.value(name)
        if isinstance(value, str):
            raise KeyError(f"{name} is a word, not a number: use case.word({name!r})")
        if not isinstance(value, int):
            raise KeyError(f"{name} is {written(value)}, not a whole number: use case.value({name!r})")
        return value

    def word(self, name: str) -> str:
        """The word parameter `name` (``case.word("mode")``)."""
        return str(self.value(name))

    @cached_property
    def levels(self) -> dict[str, str]:
        """Of which kind each word and each option of the case is, by `Operation.factors`."""
        options = self.operation.option
        return {
            name: options[name].kind_of(self._values) if name in options else str(self._values[name])
            for name in self.operation.factors
        }

    @cached_property
    def beyond(self) -> tuple[str, ...]:
        """The options in which the case goes beyond the contract's plain call, by their keys."""
        options = self.operation.options
        return tuple(option.key for option in options if not option.is_plain(self._values)) if options else ()

    @property
    def operation(self) -> Entry:
        """The function this is a case of."""
        return OPERATIONS[self.op]

    @property
    def numpy_dtype(self) -> np.dtype[np.floating]:
        """The dtype of the floating arrays."""
        return np.dtype(KNOWN[self.dtype])

    @property
    def working_dtype(self) -> np.dtype[np.floating]:
        """The dtype that sums of them are computed in."""
        return working(self.dtype)

    def replace(self, **changes: Value) -> Case:
        """The same case with some parameters, or ``op``, ``dtype``, ``family``, ``seed``, changed."""
        fields: dict[str, Any] = {
            name: changes.pop(name, getattr(self, name)) for name in ("op", "dtype", "family", "seed")
        }
        known = {*self.operation.parameters, *self.operation.option}
        if not changes.keys() <= known:
            raise ValueError(f"{self.op} has no parameter {', '.join(sorted(changes.keys() - known))}")
        operation = OPERATIONS[fields["op"]]
        values = {n: v for n, v in self.params if n in operation.parameters or n in operation.option}
        fields["file"] = self.file if fields["family"] == FILE else ""
        return Case.of(values={**values, **changes}, **fields)

    @cached_property
    def _text(self) -> str:
        operation, params = self.operation, self.params
        count = len(operation.parameters)
        body = operation.template % tuple(
            [value if type(value) is int else written(value) for _, value in params[:count]]
        )
        for name, value in params[count:]:
            body += "_" + operation.option[name].token(value)
        last = str(self.seed) if not self.file else f"{self.file}@{self.seed}" if self.seed else self.file
        return f"{self.op}:{self.dtype}:{body}:{self.family}:{last}"

    def __str__(self) -> str:
        return self._text

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
        fields = text.strip().split(":", 4)
        if len(fields) != 5:
            raise ValueError(
                f"case {text!r} has {len(fields)} fields, expected 5: operation:dtype:parameters:family:seed"
            )
        op, dtype, body, family, seed = fields
        if op not in OPERATIONS:
            raise ValueError(f"case {text!r}: unknown operation {op!r}; `conformance list` shows them")
        if dtype not in KNOWN:
            raise ValueError(f"case {text!r}: dtype is {dtype!r}, expected one of {', '.join(KNOWN)}")
        if not _FAMILY.match(family):
            raise ValueError(f"case {text!r}: {family!r} is not a family name")
        file = ""
        if family == FILE:
            named = _FILE.match(seed) if seed.isprintable() else None
            if named is None:
                raise ValueError(f"case {text!r}: {seed!r} is no file, expected {' or '.join(SUFFIXES)}")
            file, seed = named[1], named[2] or "0"
        if not _NUMBER.match(seed):
            raise ValueError(f"case {text!r}: seed is {seed!r}, expected a whole number below 10**9")
        return cls(op, dtype, tuple(_read(OPERATIONS[op], body, text)), family, int(seed), file)


def _read(operation: Operation, body: str, text: str) -> Iterator[tuple[str, Value]]:
    """Yield the parameters that `body` (``m2h9w7c3_f3k4_s2p1``) gives for `operation`."""
    groups = body.split("_")
    count = len(operation.grammar)
    if len(groups) < count or (len(groups) > count and not operation.trailing):
        raise ValueError(f"case {text!r}: {body!r} has {len(groups)} groups, expected {_form(operation)}")
    for group, names in zip(groups, operation.grammar, strict=False):
        if names[0] in WORDS:
            if group not in WORDS[names[0]]:
                raise ValueError(
                    f"case {text!r}: {names[0]} is {group!r}, expected one of {', '.join(WORDS[names[0]])}"
                )
            yield names[0], group
            continue
        match = re.fullmatch("".join(f"{name}({_pattern(operation, name)})" for name in names), group)
        if match is None:
            raise ValueError(f"case {text!r}: {group!r} does not read as {_form(operation)}")
        for name, found in zip(names, match.groups(), strict=True):
            yield name, _value(operation, name, found, text)
    yield from _options(operation, groups[count:], text)


def _options(operation: Operation, tokens: list[str], text: str) -> Iterator[tuple[str, Value]]:
    """Yield the options that follow the groups, each at most once and in the operation's order."""
    left = list(operation.trailing)
    for token in tokens:
        matches = {
            name: re.fullmatch(f"{'' if option.bare else name}({option.pattern()})", token)
            for name, option in ((name, operation.option[name]) for name in left)
        }
        name, match = next(((name, match) for name, match in matches.items() if match), ("", None))
        if match is None:
            raise ValueError(
                f"case {text!r}: {token!r} is none of the options that may stand there, in this order: "
                f"{', '.join(_forms(operation, left)) or 'none'}"
            )
        value = _value(operation, name, match[1], text)
        if value == operation.option[name].default:
            raise ValueError(f"case {text!r}: {token!r} is the default, which is not written")
        yield name, value
        del left[: left.index(name) + 1]


def _pattern(operation: Operation, name: str) -> str:
    return operation.option[name].pattern() if name in operation.option else "0|[1-9][0-9]{0,8}"


def _value(operation: Operation, name: str, found: str, text: str) -> Value:
    if name not in operation.option:
        return int(found)
    try:
        return operation.option[name].read(found)
    except ValueError as error:
        raise ValueError(f"case {text!r}: {error}") from None


def _form(operation: Operation) -> str:
    """The grammar of an operation's parameters as a person would write it."""
    groups = (
        "|".join(WORDS[group[0]]) if group[0] in WORDS else "".join(f"{n}#" for n in group)
        for group in operation.grammar
    )
    return "_".join(groups) + "".join(f"[_{form}]" for form in _forms(operation, operation.trailing))


def _forms(operation: Operation, names: Iterable[str]) -> list[str]:
    """How each of these options is written."""
    options = [operation.option[name] for name in names]
    return [
        "|".join(written(v) for v in o.values() if v != o.default) if o.bare else f"{o.name}#"
        for o in options
    ]
