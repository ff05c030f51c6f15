"""The user's own cases: a file of case lines and shapes (``--shapes``), a file of tensors (``--inputs``).

A shape names an operation as the contract or any dialect does, and its extents::

    conv2d: n=8 c=3 h=224 w=224 k=64 f=7 s=2 p=3
    softmax: m=64 n=1000
    pool_forward:f32:m2h9w7c3_f3s2_max:ties:4

A layer is its function and its gradient. Each line is judged in every family of data that goes with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from conformance.cases.case import Case
from conformance.cases.operation import WORDS
from conformance.cases.option_table import PARAMETERS
from conformance.cases.options import Value, number
from conformance.commands.usage import UsageError
from conformance.generation import brought, feasible
from conformance.generation.families import FAMILIES
from conformance.generation.given import GivenError
from conformance.implementations.dialects import cs231n, layers
from conformance.implementations.dialects.own import spelled
from conformance.implementations.dialects.table import ROWS, Row
from conformance.models.line import shapes_of
from conformance.models.line import written as written_shapes
from conformance.operations import OPERATIONS
from conformance.operations.entry import Entry
from conformance.verdict.record import MODEL

#: Bytes of a file of shapes, and cases that it may come to.
_MOST, _CASES = 1 << 20, 200_000

#: What parameters are called beside their letters and the contract's and PyTorch's names.
_ALIASES: Mapping[str, str] = {
    "batch": "m", "samples": "m", "height": "h", "width": "w", "channels": "c", "in_channels": "c",
    "num_features": "c", "out_channels": "k", "filters": "k", "kernel_size": "f", "kernel": "f",
    "window": "f", "classes": "n", "in_features": "i", "out_features": "o", "stride": "s", "pad": "p",
    "padding": "p", "training": "statistics",
}  # fmt: skip
#: Names of classes that are no function's.
_CLASSES = {"cross_entropy": "CrossEntropyLoss", "pad": "ZeroPad2d"}

#: Words as people write them.
_SAID: Mapping[str, Mapping[str, str]] = {
    "mode": {"avg": "average", "mean": "average"},
    "activation": {"null": "NULL", "none": "NULL"},
    "statistics": {"true": "training", "1": "training", "false": "inference", "0": "inference"},
    "rounding": {"true": "ceil", "1": "ceil", "false": "floor", "0": "floor"},
    "border": {"true": "include", "1": "include", "false": "exclude", "0": "exclude"},
}

#: An operation, and words that its name says.
_Named = tuple[str, Mapping[str, Value]]


def of_shapes(
    path: Path | Sequence[str], operations: Sequence[str], dtypes: Sequence[str], seed: int
) -> list[Case]:
    """The cases of a file of shapes and case lines, or of such lines, in every family of data.

    Raises
    ------
    UsageError
        If it cannot be read or a line is neither; with the file, the line and what was expected.
    """
    found: dict[Case, None] = {}
    lines, where = (_lines(path), f"--shapes {path}") if isinstance(path, Path) else (path, "shapes")
    for count, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            for case in _cases(text, dtypes, seed):
                if case.op in operations:
                    found |= dict.fromkeys(_families(case))
            if len(found) > _CASES:
                raise ValueError(f"more than {_CASES} cases until here")
        except (ValueError, KeyError, TypeError) as error:
            said = " ".join(str(error).split())
            raise UsageError(f"{where}, line {count}: {said[:600]}") from None
    if not found:
        raise UsageError(f"{where}: no case of the operations asked for")
    return list(found)


def of_models(path: Path) -> list[str]:
    """The shapes of a `ModelNew` that a file says, ``ModelNew: 16x3x32x32 16x10``; none if it says others.

    Raises
    ------
    UsageError
        If they are not all such.
    """
    found: dict[str, None] = {}
    for count, line in enumerate(_lines(path), 1):
        name, _, rest = line.partition("#")[0].strip().partition(":")
        if not name:
            continue
        if name.strip() != MODEL:
            if not found:
                return []
            raise UsageError(f"--shapes {path}, line {count}: expected {MODEL}: 16x3x32x32, as above")
        try:
            found[f"{MODEL}:{written_shapes(shapes_of('_'.join(rest.split())))}"] = None
        except ValueError as error:
            raise UsageError(f"--shapes {path}, line {count}: {error}") from None
    return list(found)


def of_inputs(path: str, operations: Sequence[str], dtypes: Sequence[str], named: bool) -> list[Case]:
    """The cases of a file of tensors; `named` is whether the operations were asked for by name.

    Raises
    ------
    UsageError
        If it cannot be used.
    """
    try:
        return brought.listed(path, operations, dtypes, alone=named and len(operations) == 1)
    except GivenError as error:
        raise UsageError(f"--inputs {error}") from None


def _lines(path: Path) -> list[str]:
    try:
        if not path.is_file():
            raise UsageError(f"--shapes {path}: {'is no file' if path.exists() else 'no such file'}")
        with open(path, "rb") as file:
            data = file.read(_MOST + 1)
        if len(data) > _MOST:
            raise UsageError(f"--shapes {path}: more than {_MOST} bytes")
        return data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"--shapes {path}, line {line}: not UTF-8 text") from None


def _families(case: Case) -> Iterator[Case]:
    """A case, then the same in every other family that goes with it."""
    yield case
    if not case.file:
        others = (case.replace(family=name) for name in FAMILIES if name != case.family)
        yield from (other for other in others if FAMILIES[other.family].suits(other))


def _cases(text: str, dtypes: Sequence[str], seed: int) -> Iterator[Case]:
    """The cases that a line says, in one family each."""
    name, colon, rest = (part.strip() for part in text.partition(":"))
    if "=" not in rest and rest.count(":") >= 3:
        case = Case.parse(text)
        feasible.check(case)
        if case.dtype not in dtypes:
            raise ValueError(f"dtype is {case.dtype}, asked for are {', '.join(dtypes)} (--dtype)")
        if case.family not in FAMILIES:
            raise ValueError(f"no data family {case.family!r}; `conformance list` shows them")
        if not FAMILIES[case.family].suits(case):
            raise ValueError(f"family {case.family!r} does not go with {case.op} so")
        yield case
        return
    named = _names().get(name) or _names().get(spelled(name))
    if not colon or not named:
        known = ", ".join(row.name for row in ROWS[:4])
        raise ValueError(
            f"{name[:60]!r} is no operation; expected a case, or {known} ... or a function of `conformance "
            "list`, then a colon and n=8 c=3 ..."
        )
    for op, words in named:
        said = _read(OPERATIONS[op], rest)
        if any(said.get(key, word) != word for key, word in words.items()):
            raise ValueError(f"{name} is {' and '.join(map(str, words.values()))}, whatever stands behind it")
        for values in _every_word(OPERATIONS[op], {**said, **words}):
            for dtype in dtypes:
                drawn = (Case.of(op, dtype, values, name, seed) for name in FAMILIES)
                case = Case.parse(str(next(c for c in drawn if FAMILIES[c.family].suits(c))))
                feasible.check(case)
                yield case


def _every_word(entry: Entry, values: Mapping[str, Value]) -> Iterator[dict[str, Value]]:
    """The values of a shape, once for each word that it leaves open; what is missing is an error."""
    found: dict[str, Value] = {"p": 0, "s": values.get("f", 1) if "mode" in entry.parameters else 1, **values}
    missing = [name for name in entry.parameters if name not in found and name not in WORDS]
    if missing:
        lacking = ", ".join(f"{name} ({PARAMETERS[name]})" for name in missing)
        raise ValueError(f"{entry.name}: expected also {lacking}")
    open_word = next((name for name in entry.parameters if name in WORDS and name not in found), None)
    for word in WORDS[open_word] if open_word else ("",):
        yield {**found, open_word: word} if open_word else found


def _read(entry: Entry, text: str) -> dict[str, Value]:
    """The extents and options of a shape, by the letters of the operation."""
    pairs: dict[str, str] = {}
    for item in re.split(r"[\s,;]+", text):
        key, equals, value = item.partition("=")
        if not (key and equals and value):
            raise ValueError(f"{item[:60]!r}, expected KEY=VALUE such as h=224")
        if key in pairs:
            raise ValueError(f"{key} is there twice")
        pairs[key] = value
    keys = {key.lower() for key in pairs}
    found: dict[str, Value] = {}
    for key, value in pairs.items():
        name = _parameter(entry, key, keys)
        if name in found:
            raise ValueError(f"{key}: {name} is there twice")
        found[name] = _value(entry, name, value)
    return found


def _parameter(entry: Entry, key: str, keys: set[str]) -> str:
    """The parameter or option of an operation that a key means."""
    known = {*entry.parameters, *entry.option}
    rows = "n" in entry.parameters and {"n", "c"} <= keys  # PyTorch's: n samples of c classes
    swapped = {"n": "m", "c": "n"} if rows else {"n": "m"} if "n" not in known else {}
    named = {option.key: name for name, option in entry.option.items()}
    named |= {there: named[here] for here, there in _torch(entry.name).items() if here in named}
    for word in (key, key.lower()):
        for name in (swapped.get(word, word), named.get(word), _ALIASES.get(word)):
            if name in known:
                return str(name)
    letters = ", ".join(f"{name} ({PARAMETERS.get(name, name)})" for name in (*entry.parameters, *named))
    raise ValueError(f"{entry.name} has no {key[:40]!r}; expected {letters}")


@cache
def _torch(op: str) -> Mapping[str, str]:
    """What PyTorch calls the contract's options of an operation."""
    return {
        here: there
        for row in ROWS
        if op in (row.forward, row.backward)
        for here, there in row.options.items()
    }


def _value(entry: Entry, name: str, text: str) -> Value:
    said = _SAID.get(name, {}).get(text.lower(), text)
    words = (
        WORDS.get(name) or [v for v in entry.option[name].values() if isinstance(v, str)]
        if name in WORDS or name in entry.option
        else ()
    )
    if said in words:
        return said
    try:
        return number(said)
    except ValueError:
        forms = " or ".join(["a number", *words])
        raise ValueError(f"{name} is {text[:40]!r}, expected {forms}") from None


@cache
def _names() -> dict[str, tuple[_Named, ...]]:
    """Every name of an operation: the contract's, and what each dialect calls it."""
    found: dict[str, tuple[_Named, ...]] = {}

    def add(row: Row, name: str, ways: Sequence[str] = ("forward", "backward")) -> None:
        words: dict[str, Value] = {"mode": row.mode} if row.mode else {}
        named = [(op, words) for way in ways if (op := getattr(row, way)) in OPERATIONS]
        if named:
            found.setdefault(name, tuple(named))
            found.setdefault(spelled(name), tuple(named))

    for op in OPERATIONS:
        found[op] = ((op, {}),)
    for row in ROWS:
        for name in (row.name, *row.also, *filter(None, [_CLASSES.get(row.name)])):
            found.pop(name, None)  # relu is a layer: its function and its gradient
            add(row, name)
        for stem in cs231n.STEMS.get(row.name, ()):
            for way in ("forward", "backward"):
                for suffix in cs231n.SUFFIXES:
                    add(row, f"{stem}_{way}{suffix}", (way,))
        for name in (*layers.NAMES.get(row.name, ()), *cs231n.STEMS.get(row.name, ())):
            add(row, name)
    return found


def names_of(name: str) -> tuple[str, ...]:
    """The operations that a function or class of that name may be, in any dialect."""
    return tuple(op for op, _ in _names().get(name) or _names().get(spelled(name)) or ())


def restricted(operations: Sequence[str], dtypes: Sequence[str], cases: Sequence[Case]) -> dict[str, Any]:
    """The operations and dtypes of a run of these cases alone."""
    ops, types = {case.op for case in cases}, {case.dtype for case in cases}
    return {
        "operations": tuple(op for op in operations if op in ops),
        "dtypes": tuple(dtype for dtype in dtypes if dtype in types),
    }
