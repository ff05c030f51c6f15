"""A JSON document from somewhere: read strictly, held against its type; errors name line, field and value.

JSON is taken as RFC 8259 has it: no NaN, no number that overflows, no key twice, no half of a surrogate pair.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec

#: Keys and indices, from the outermost in.
Place = tuple[str | int, ...]

#: A document longer than this is not read into memory.
LARGEST = 1 << 28

#: What came where a field is missing.
NOTHING = object()

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


class SchemaError(ValueError):
    """A file that was read back does not hold what it should; the message says where."""


class MisfitError(ValueError):
    """A value that is not what was expected at its place; the message is without file and line."""

    def __init__(self, path: Place, expected: str, got: Any) -> None:
        self.path = path
        shown = "nothing" if got is NOTHING else json.dumps(got)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        names = (f"[{key}]" if isinstance(key, int) else f".{_printable(key)}" for key in path)
        field = "".join(names).lstrip(".")
        super().__init__(
            f"{field}: expected {expected}, got {shown}" if field else f"expected {expected}, got {shown}"
        )


def _printable(key: str) -> str:
    return key if key.isprintable() else ascii(key)[1:-1]


class Document(msgspec.Struct):
    """What a document may hold."""

    def misfits(self) -> None:
        """Raise `MisfitError` for what has the right type and no meaning."""


def read(path: Path, kind: type[Document]) -> dict[str, Any]:
    """The document in `path`, which is of `kind`.

    Raises
    ------
    SchemaError
        If it is not; the message names file, line, field, what was expected and what came.
    OSError
        If it cannot be read.
    """
    with open(path, "rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise SchemaError(f"{path}: expected at most {LARGEST} bytes")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SchemaError(
            f"{path}, line {line}: expected UTF-8, got the byte {content[error.start]:#04x}"
        ) from None
    try:
        found = _parsed(text)
        if not isinstance(found, dict):
            raise MisfitError((), "an object", found)
        blame(found, kind).misfits()
    except json.JSONDecodeError as error:
        got = text.split("\n")[error.lineno - 1].strip()[:40]
        raise SchemaError(f"{path}, line {error.lineno}: not JSON: {error.msg}, got {got!r}") from None
    except RecursionError:
        raise SchemaError(f"{path}: brackets in each other too deep for any such file") from None
    except _StrangeError as error:
        line, misfit = strange(text, frozenset(error.args)) or (1, error)
        raise SchemaError(f"{path}, line {line}: {misfit}") from None
    except MisfitError as error:
        raise SchemaError(f"{path}, line {line_of(text, error.path)}: {error}") from None
    return found


class _StrangeError(ValueError):
    """JSON that the standard library takes and others do not, or would not keep."""


def _parsed(text: str) -> Any:
    found = json.loads(
        text, object_pairs_hook=_unique, parse_constant=_refused, parse_float=_finite, parse_int=_whole
    )
    if "\\u" in text:
        try:
            json.dumps(found, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise _StrangeError("expected text, got half a surrogate pair") from None
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _StrangeError
    return found


def _refused(word: str) -> None:
    raise _StrangeError(word)


def _finite(text: str) -> float:
    found = float(text)
    if math.isinf(found):
        raise _StrangeError(text)
    return found


def _whole(text: str) -> int:
    if len(text) > 20:
        raise _StrangeError(text)
    return int(text)


def blame(found: Any, kind: type[Document]) -> Document:
    """`found` as a `kind`.

    Raises
    ------
    MisfitError
        For the first value that has not its type; it names the place to the last key.
    """
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise _misfit(found, kind, (), error) from None


def _misfit(found: Any, kind: Any, path: Place, error: msgspec.ValidationError) -> MisfitError:
    for key, child, of in _children(found, kind):
        try:
            msgspec.convert(child, of)
        except msgspec.ValidationError as inner:
            return _misfit(child, of, (*path, key), inner)
    said = str(error).partition(" - at ")[0]
    missing, unknown = "Object missing required field ", "Object contains unknown field "
    if said.startswith(missing):
        return MisfitError((*path, said.removeprefix(missing).strip("`")), "a value", NOTHING)
    if said.startswith(unknown):
        key = said.removeprefix(unknown).strip("`")
        return MisfitError((*path, key), "no such field", found[key])
    words = [word for part in get_args(kind) for word in get_args(part) if isinstance(word, str)]
    if words:
        return MisfitError(path, f"a number from 0 or {json.dumps(words[0])}", found)
    return MisfitError(path, said.partition(", got ")[0].removeprefix("Expected ").replace("`", ""), found)


def _children(found: Any, kind: Any) -> Iterator[tuple[str | int, Any, Any]]:
    """The values inside `found` with the type that each should have."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is dict and isinstance(found, dict):
        yield from ((key, child, inner[1]) for key, child in found.items())
    elif origin is list and isinstance(found, list):
        yield from ((number, child, inner[0]) for number, child in enumerate(found))
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(found, dict):
        for field in msgspec.structs.fields(kind):
            if field.name in found:
                yield field.name, found[field.name], field.type


def places(text: str) -> Iterator[tuple[Place, int, str]]:
    """Place, line and first token of each value of a JSON document, in their order."""
    path: list[str | int] = []
    opened: list[str] = []
    key_next, line, counted = False, 1, 0
    for token in _TOKEN.finditer(text):
        word = token[0]
        if word in ("}", "]"):
            opened.pop()
            path.pop()
        elif word == ",":
            if opened[-1] == "[":
                path[-1] = int(path[-1]) + 1
            key_next = opened[-1] == "{"
        elif key_next:
            path[-1], key_next = json.loads(word), False
        elif word != ":":
            line += text.count("\n", counted, token.start())
            counted = token.start()
            yield tuple(path), line, word
            if word in ("{", "["):
                opened.append(word)
                path.append(0)
                key_next = word == "{"


def line_of(text: str, wanted: Place) -> int:
    """The line of the value at a path, or of what would hold it."""
    best, depth = 1, -1
    for path, line, _ in places(text):
        if len(path) > depth and path == wanted[: len(path)]:
            best, depth = line, len(path)
    return best


def strange(text: str, words: frozenset[str]) -> tuple[int, MisfitError] | None:
    """The line of the first number that is one of `words`, or of a value that stands a second time."""
    seen: set[Place] = set()
    for path, line, word in places(text):
        if path in seen:
            return line, MisfitError(path, "each key once", "a second one")
        if word in words:
            return line, MisfitError(path, "a finite number (nan, inf and -inf are words)", word)
        seen.add(path)
    return None
