"""What goes between a judge and the process that holds the implementation: plain data, arrays in segments.

Nothing is pickled. A request is lists, words and numbers; an array is its dtype, its shape and where it lies
in a segment, an anonymous file in memory that is read into memory of one's own before it is looked at. What a
function answers arrives as what it is where the judge tells things apart (arrays, numbers and floats of
Python), else as `Foreign`: by its type's name and, where NumPy makes an array of it, that array.
"""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from conformance.cases.dtypes import KNOWN
from conformance.cases.request import Array, Cache, Made, Number, Output, Request, Step
from conformance.cases.script import Act, Layer, Script

#: The version of the protocol, of modules and of programs (docs/adapters.md).
VERSION = 2

#: The largest answer taken, in bytes: an extent that was never set must not exhaust the memory.
LARGEST = 1 << 30

#: Arrays begin at multiples of so many bytes.
_ALIGNED = 64

#: The longest text of an answer.
_TEXT = 1000

#: The kinds of dtypes whose arrays are bytes.
_PLAIN = "biufcSUmM"

_EXTRA: Mapping[str, np.dtype[Any]] = {np.dtype(kind).name: np.dtype(kind) for kind in KNOWN.values()}


class Block(msgspec.Struct, array_like=True, frozen=True):
    """An array in a segment; without an offset only what it would be."""

    dtype: str
    shape: tuple[int, ...]
    offset: int | None = None


class Hello(msgspec.Struct, tag="hello"):
    """The process is there, and has run nobody's code yet."""

    version: int = VERSION


class Load(msgspec.Struct, tag="load"):
    """The module to load, and the names that are looked for in it."""

    spec: str
    names: list[str]
    path: list[str]
    dialect: str | None = None
    device: str | None = None
    model: str | None = None
    trials: bool = True


#: Of each parameter of a function its name, kind and whether it has a default; None where nobody knows.
Signature = list[tuple[str, int, bool]] | None


class Declares(msgspec.Struct, tag="declares"):
    """What a module is and says of itself: `declared` where it is words, numbers and mappings of them.

    `model` is what a `Model` computes, so that a process started later need not run it again.
    """

    functions: dict[str, Signature]
    declared: dict[str, Any]
    version: str | None
    imported: list[str]
    dialect: str = "contract"
    model: str | None = None


class Trying(msgspec.Struct, tag="trying"):
    """The module is imported; its functions are called once to tell its dialect."""


class Unusable(msgspec.Struct, tag="unusable"):
    """The module cannot be loaded."""

    reason: str


class Item(msgspec.Struct, array_like=True):
    """One case: what is asked, how often, and the values that memory holds before each time."""

    number: int
    nonce: int
    request: list[Any]
    arrays: dict[str, Block]
    sizes: list[int]
    fills: Block
    script: list[Any] = []


class Batch(msgspec.Struct, tag="batch"):
    """Cases, in the order in which they are answered; their arrays and the answers' have a segment each."""

    items: list[Item]


class Result(msgspec.Struct, array_like=True):
    """What came of a request, once: `perform.Tried`."""

    kind: str
    text: str
    outputs: dict[str, list[Any]]
    changed: list[str]
    seconds: float = 0.0
    notes: list[str] = []


class Answered(msgspec.Struct, tag="answered"):
    """The answer to a case."""

    number: int
    nonce: int
    results: list[Result]


class Explain(msgspec.Struct, tag="explain"):
    """A failed output shown to a function that the module declares, where nothing is answered."""

    op: str
    index: int
    case: str
    output: str
    arrays: dict[str, Block]


class Explained(msgspec.Struct, tag="explained"):
    """What that function says."""

    value: list[Any]


class Finish(msgspec.Struct, tag="finish"):
    """Nothing more is asked: the process ends as programs of Python do."""


def legible(text: str) -> str:
    """Words of a process nobody vouches for, as they may be printed: what moves a cursor is taken out."""
    if text.isprintable():
        return text
    return "".join([letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text])


class WireError(ValueError):
    """What came is not what the protocol has; the text says what."""


class Writer:
    """Puts arrays one behind the other into a segment, when it is told to."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self._end, self._written = descriptor, 0, 0
        self._waiting: list[Any] = []

    def put(self, array: NDArray[Any]) -> Block:
        """Have an array of plain numbers written; one beyond `LARGEST` is only described."""
        dtype, size, at = array.dtype, array.nbytes, self._end
        spelled = dtype.str if dtype.kind in _PLAIN else dtype.name
        if size > LARGEST:
            return Block(spelled, array.shape)
        if size:
            self._waiting.append(_bytes(array))
            over = -size % _ALIGNED
            if over:
                self._waiting.append(_NOTHING[:over])
            self._end += size + over
        return Block(spelled, array.shape, at)

    def write(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, []
        for first in range(0, len(waiting), _VECTORS):
            left = waiting[first : first + _VECTORS]
            while left:
                done = os.pwritev(self.descriptor, left, self._written)
                self._written += done
                while left and done >= left[0].nbytes:
                    done -= left.pop(0).nbytes
                if left:
                    left[0] = left[0][done:]


#: The types that memory views of every Python read as bytes.
_CASTABLE = "?bBhHiIlLqQfd"


def _bytes(array: NDArray[Any]) -> memoryview | NDArray[Any]:
    """The bytes of an array, which may be a copy."""
    if array.dtype.char in _CASTABLE and array.flags.c_contiguous and array.dtype.isnative:
        return array.data.cast("B") if array.ndim else array.reshape(1).data.cast("B")
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


#: Arrays written in one go, and what lies between them.
_VECTORS = 256
_NOTHING = np.zeros(_ALIGNED, np.uint8)


class Segment:
    """An anonymous file in memory."""

    descriptor = -1

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("conformance", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)

    def seal(self) -> None:
        """Let nobody change it any more."""
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, seals)

    def close_to_seals(self) -> None:
        """Let nobody seal it: it is written again and again."""
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL)

    def close(self) -> None:
        """Close it; whoever else has it keeps it."""
        descriptor, self.descriptor = self.descriptor, -1  # first: Ctrl-C between the two closes none twice
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def whole(descriptor: int) -> NDArray[Any]:
    """All bytes of a segment that nobody changes any more."""
    there = np.empty(os.fstat(descriptor).st_size, np.uint8)
    _fill(there, descriptor, 0)
    return there


def part(segment: NDArray[Any], block: Block) -> NDArray[Any]:
    """An array of a segment that was read as a whole: a view of it."""
    size = np.dtype(_EXTRA.get(block.dtype, block.dtype)).itemsize * math.prod(block.shape)
    at = block.offset or 0
    return segment[at : at + size].view(_EXTRA.get(block.dtype, block.dtype)).reshape(block.shape)


def _fill(array: NDArray[Any], descriptor: int, offset: int) -> None:
    """Read as many bytes as there is room for.

    Raises
    ------
    WireError
        If there are fewer.
    """
    room, there = array.reshape(-1).view(np.uint8).data, 0
    while there < len(room):
        got = os.preadv(descriptor, [room[there:]], offset + there)
        if not got:
            raise WireError(f"{there} of {len(room)} bytes of an array")
        there += got


def taken(descriptor: int, block: Block) -> NDArray[Any]:
    """A copy of an array in a segment.

    Raises
    ------
    WireError
        If there is no such array.
    """
    dtype, shape = _dtype(block.dtype), block.shape
    if len(shape) > 32 or any(not 0 <= extent < 1 << 62 for extent in shape):
        raise WireError(f"an array of shape {shape}")
    size = dtype.itemsize * math.prod(shape)
    if block.offset is None:  # too large to be right, so that its values do not matter
        return np.broadcast_to(np.zeros((), dtype), shape)
    if size > LARGEST or block.offset < 0:
        raise WireError(f"an array of {size} bytes")
    array = np.empty(shape, dtype)
    if size:
        _fill(array, descriptor, block.offset)
    return array


def _dtype(text: str) -> np.dtype[Any]:
    try:
        found = _EXTRA[text] if text in _EXTRA else np.dtype(text)
    except (TypeError, ValueError, SyntaxError) as error:
        raise WireError(f"an array of dtype {text[:40]!r}") from error
    if (found.kind not in _PLAIN and text not in _EXTRA) or not found.itemsize:
        raise WireError(f"an array of dtype {text[:40]!r}")
    return found


def _is_plain(array: NDArray[Any]) -> bool:
    dtype = array.dtype
    return bool(dtype.itemsize) and (dtype.kind in _PLAIN or dtype.name in _EXTRA)


# Requests. Lists are what has a meaning of its own; tuples, lists and mappings of the caller are marked so.


class Sender:
    """Writes requests: what is an array in them goes among the arrays of the case."""

    def __init__(self, layout: str = "NHWC") -> None:
        self._layout = layout
        self.arrays: dict[str, NDArray[Any]] = {}

    def request(self, request: Request) -> list[Any]:
        """The request as lists, words and numbers."""
        steps = [
            [s.function, [self._value(x) for x in s.arguments], self._value(s.keywords), self._value(s.hyper),
             s.mode, s.hand_hyper]
            for s in request.steps
        ]  # fmt: skip
        return [steps, list(request.outputs), request.cached, dict(request.places), request.fields]

    def _value(self, x: Any) -> Any:
        kind = type(x)
        if kind is Array:
            return ["a", x.name]
        if x is None or kind in (bool, int, float, str):
            return x
        if kind is Number:
            return ["n", x.name]
        if kind is Output:
            return ["o", x.function]
        if kind is Cache:
            return ["c", x.function]
        if kind is Made:
            return ["m", x.name, {name: self._value(item) for name, item in x.fields.items()}]
        if kind is tuple or kind is list:
            return ["t" if kind is tuple else "l", [self._value(item) for item in x]]
        if isinstance(x, Mapping):
            return ["d", {name: self._value(item) for name, item in x.items()}]
        if isinstance(x, np.generic):
            return ["n", self._named(np.asarray(x))]
        if isinstance(x, np.ndarray):
            if x.ndim == 4 and self._layout != "NHWC":
                x = np.array(x.transpose(0, 3, 1, 2), order="C")
            return ["a", self._named(x)]
        raise TypeError(f"a request cannot hold a {kind.__name__}")

    def _named(self, array: NDArray[Any]) -> str:
        name = f"#{len(self.arrays)}"
        self.arrays[name] = array
        return name


def request_of(plain: list[Any]) -> Request:
    """The request that `Sender.request` wrote."""
    steps, outputs, cached, places, fields = plain
    return Request(
        tuple(
            Step(function, tuple(map(_read, arguments)), _read(keywords), _read(hyper), *rest)
            for function, arguments, keywords, hyper, *rest in steps
        ),
        tuple(outputs),
        cached,
        places,
        fields,
    )


def _read(x: Any) -> Any:
    if type(x) is not list:
        return x
    mark, what = x[0], x[1]
    if mark == "a":
        return Array(what)
    if mark in _NAMED:
        return _NAMED[mark](what)
    if mark == "m":
        return Made(what, {name: _read(item) for name, item in x[2].items()})
    if mark == "d":
        return {name: _read(item) for name, item in what.items()}
    items = [_read(item) for item in what]
    return tuple(items) if mark == "t" else items


_NAMED: Mapping[str, Any] = {"n": Number, "o": Output, "c": Cache}


def script_of(plain: list[Any], arrays: Mapping[str, NDArray[Any]]) -> Script:
    """The script that was written; an array's name begins with its layer's number."""
    layers, acts = plain
    return Script(
        tuple(
            Layer(request_of(request), _of_layer(arrays, number), form)
            for number, (request, form) in enumerate(layers)
        ),
        tuple(Act(*act) for act in acts),
    )


def _of_layer(arrays: Mapping[str, NDArray[Any]], number: int) -> dict[str, NDArray[Any]]:
    mark = f"{number}."
    return {name.removeprefix(mark): array for name, array in arrays.items() if name.startswith(mark)}


# Answers.


def told(value: Any, to: Writer) -> list[Any]:
    """A value that a function answered, for `heard`."""
    kind = type(value)
    if isinstance(value, np.ndarray):
        array = np.asarray(value)
        if _is_plain(array):
            return ["a", to.put(array)]
        return ["x", str(array.dtype)[:_TEXT], array.shape, _converted(array, to)]
    if isinstance(value, np.generic) and _is_plain(np.asarray(value)):
        return ["g", to.put(np.asarray(value))]
    if value is None or kind is bool or (kind is int and -(2**63) <= value < 2**63):
        return ["v", value]
    if isinstance(value, float):
        return ["v", float(value)]
    return ["f", _word(kind, "__module__"), _word(kind, "__name__"), _converted(value, to)]


def _converted(value: Any, to: Writer) -> Block | None:
    """What NumPy makes of it, if that is an array of numbers."""
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
        return to.put(np.asarray(array)) if _is_plain(array) else None
    except Exception:
        return None


def _word(kind: type[Any], name: str) -> str:
    word = getattr(kind, name, "?")
    return word[:_TEXT] if isinstance(word, str) else "?"


class Foreign:
    """What a function answered that is none of what outputs may be; its type is named as the answer's."""

    def __init__(self, array: NDArray[Any] | None) -> None:
        self._array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if self._array is None:
            return np.array(
                None, object
            )  # as of anything that is no array of numbers, but with the same bytes
        return self._array if dtype is None else self._array.astype(dtype)


def heard(plain: list[Any], descriptor: int) -> Any:
    """The value that `told` wrote.

    Raises
    ------
    WireError
        If it wrote none.
    """
    try:
        mark, *rest = plain
        if mark == "v":
            (value,) = rest
            if value is None or type(value) in (bool, int, float):
                return value
        if mark in ("a", "g"):
            whole = taken(descriptor, msgspec.convert(rest[0], Block))
            return whole if mark == "a" else whole.reshape(())[()]
        if mark in ("x", "f"):
            *names, block = rest
            array = None if block is None else taken(descriptor, msgspec.convert(block, Block))
            if mark == "f":
                module, name = (legible(str(word)) for word in names)
                return type(name, (Foreign,), {"__module__": module})(array)
            return _objects(str(names[0]), names[1], array)
    except (TypeError, ValueError, IndexError, OverflowError, msgspec.ValidationError) as error:
        raise WireError(legible(str(error)[:_TEXT])) from error
    raise WireError("a value of no known form")


def _objects(dtype: str, shape: Any, array: NDArray[Any] | None) -> Any:
    """An array of objects; of another dtype that is no numbers, what has its name, shape and nothing else."""
    extents = tuple(int(extent) for extent in shape)
    if dtype == "object" and math.prod(extents) < 1 << 20:
        objects = np.empty(extents, object)
        if array is not None and array.shape == extents:
            objects[...] = array
        return objects
    return np.broadcast_to(np.zeros((), [("", np.uint8)]), extents)
