"""The life of a process that holds an implementation: it loads the module and answers what it is asked.

It knows requests and arrays. What is right, how far from it rounding may lead, what a case is called and what
the functions mean: nothing of that is ever here, whatever the module does to the process.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import os
import socket
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from numpy.typing import NDArray

from conformance.implementations import guard
from conformance.implementations.channel import Answering
from conformance.implementations.dialects import DialectError, Reading, adapted
from conformance.implementations.loading import LoadError, found
from conformance.implementations.looks import played
from conformance.implementations.perform import Tried, performed
from conformance.implementations.refusals import Own
from conformance.implementations.wire import (
    Answered,
    Batch,
    Declares,
    Explain,
    Explained,
    Finish,
    Hello,
    Item,
    Load,
    Result,
    Signature,
    Trying,
    Unusable,
    Writer,
    part,
    request_of,
    script_of,
    taken,
    told,
    whole,
)

_MESSAGE = msgspec.msgpack.Decoder(Load | Batch | Explain | Finish)

#: What a module says of itself in words, numbers and mappings.
DECLARED = (
    "layout",
    "options",
    "dtypes",
    "conventions",
    "precision",
    "algorithm",
    "accuracy",
    "order",
    "accepts",
)


class _Module:
    """The functions, as `calls.ask` takes them; a request has its arrays in their layout."""

    layout = "NHWC"

    def __init__(self, target: Any, own: Own) -> None:
        self.target, self.own = target, own

    def has(self, name: str) -> bool:
        return callable(getattr(self.target, name, None))

    def function(self, name: str) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(self.target, name)
        return function


def serve(theirs: socket.socket, parent: int) -> None:
    """Answer what comes through the channel until that is closed."""
    os.setsid()
    guard.ending_with(parent)
    guard.home()
    guard.readable()
    guard.untracing()
    warnings.simplefilter("ignore")  # an implementation's warnings would drown the run
    channel = Answering(theirs)
    channel.send(Hello())
    module: _Module | None = None
    while True:
        message, descriptors = channel.handed()
        if not message:
            return
        asked = _MESSAGE.decode(message)
        if isinstance(asked, Finish):
            return
        if isinstance(asked, Load):
            sys.path[:] = asked.path
            try:
                target, declares, own = loaded(
                    asked.spec,
                    asked.names,
                    Reading(asked.dialect, asked.device, asked.model),
                    (lambda: channel.send(Trying())) if asked.trials else None,
                )
            except LoadError as error:
                channel.send(Unusable(str(error)))
                return
            channel.send(declares)
            module = _Module(target, own)
            gc.collect()
            gc.freeze()  # it would go through all of it again and again
        elif module is not None and isinstance(asked, Batch):
            _answer(channel, module, asked, descriptors)
        elif module is not None:
            _explain(channel, module, asked, descriptors)
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _answer(channel: Answering, module: _Module, batch: Batch, descriptors: list[int]) -> None:
    inward, outward = descriptors
    segment, writer = whole(inward), Writer(outward)
    for item in batch.items:
        tried = _tried(module, item, segment)
        channel.stay()  # a forked copy has the segment of the answers, too
        results = [_result(t, writer) for t in tried]
        writer.write()
        channel.send(Answered(item.number, item.nonce, results))


def _tried(module: _Module, item: Item, segment: NDArray[Any]) -> list[Tried]:
    given = {name: part(segment, block) for name, block in item.arrays.items()}
    if item.script:
        return played(module, script_of(item.script, given))
    return performed(module, request_of(item.request), given, item.sizes, part(segment, item.fills))


def _result(tried: Tried, writer: Writer) -> Result:
    changed = [name for name in tried.changed if not name.startswith("#")]
    outputs = {name: told(value, writer) for name, value in tried.outputs.items()}
    return Result(tried.kind, tried.text, outputs, changed, tried.seconds, list(tried.notes))


def _explain(channel: Answering, module: _Module, asked: Explain, descriptors: list[int]) -> None:
    """Call a function that a module declares, as a witness."""
    from conformance.cases.case import Case  # a witness alone knows cases
    from conformance.implementations.declared import Seen

    inward, outward = descriptors
    shown = {name: taken(inward, block) for name, block in asked.arrays.items()}
    arrays = {n.partition(".")[2]: shown.pop(n) for n in list(shown) if n.startswith("arrays.")}
    explains = list(module.target.differs[asked.op])[asked.index]
    said = explains(Seen(Case.parse(asked.case), asked.output, arrays or None, **shown))
    writer = Writer(outward)
    value = told(said, writer)
    writer.write()
    channel.send(Explained(value))


def loaded(
    spec: str,
    names: list[str],
    reading: Reading,
    trying: Callable[[], None] | None = lambda: None,
) -> tuple[Any, Declares, Own]:
    """A module as an object with the contract's functions, what it says of itself, and what its source is.

    `trying` is as `dialects.adapted` has it.

    Raises
    ------
    LoadError
        If it cannot be imported, or is in no dialect.
    """
    return held(spec, found(spec), names, reading, trying)


def held(
    spec: str,
    target: Any,
    names: list[str],
    reading: Reading,
    trying: Callable[[], None] | None = lambda: None,
) -> tuple[Any, Declares, Own]:
    """As `loaded`, of an object that is there; `spec` is what it is called.

    Raises
    ------
    LoadError
        If it is in no dialect.
    """
    own, read = Own.of(target), "contract"
    if names:
        try:
            target, read = adapted(target, names, reading, trying)
        except DialectError as error:
            raise LoadError(f"--impl {spec}: {error}") from error
    return target, declared(target, names, read), own


def declared(target: Any, names: list[str], dialect: str) -> Declares:
    """What a module is and says of itself."""
    version, build = getattr(target, "__version__", None), getattr(target, "build", None)
    if version and isinstance(build, str) and build:
        version = f"{version}, {build}"
    values = {name: getattr(target, name, None) for name in DECLARED}
    # A function of such a name, `order` say, is no declaration.
    said = {name: plain(value) for name, value in values.items() if value is not None and not callable(value)}
    said["differs"] = _differs(getattr(target, "differs", {}))
    functions = {n: signature(getattr(target, n)) for n in names if callable(getattr(target, n, None))}
    imported: list[str] = [name for name in ("torch", "jax") if name in sys.modules]
    rows = set(getattr(target, "covers", {}).values()) if dialect == "torch-modules" else set()
    model = rows.pop() if len(rows) == 1 else None
    return Declares(functions, said, version and str(version), imported, dialect, model)


def plain(value: Any) -> Any:
    """A value of words, numbers, sequences and mappings of them; of anything else its text, short."""
    if value is None or isinstance(value, (bool, str, float)) or type(value) is int:
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list, set, frozenset)):
        return [plain(item) for item in value]
    return repr(value)[:200]


def _differs(differs: Any) -> Any:
    """``differs`` as lists, a function in it by its number: it is called where no answer is given."""
    if not isinstance(differs, Mapping):
        return plain(differs)
    found: dict[str, Any] = {}
    for op, entries in differs.items():
        if not isinstance(entries, Mapping):
            found[str(op)] = plain(entries)
            continue
        found[str(op)] = [
            [callable(what), index if callable(what) else plain(what), plain(sentence)]
            for index, (what, sentence) in enumerate(entries.items())
        ]
    return found


def signature(function: Any) -> Signature:
    """The parameters of a function; None of a compiled one that does not tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return [(p.name, int(p.kind), p.default is not p.empty) for p in parameters]
