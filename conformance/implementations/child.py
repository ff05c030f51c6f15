"""The process that holds an implementation, as a judge sees it: asked ahead, heard in order, started anew.

Each answer belongs to a request by its number and a number nobody can guess, and counts if the process that
was asked has sent it. What the process died of is held against the first request that it has not answered;
the others are asked again.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing.connection import wait
from random import SystemRandom
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from conformance.cases.request import Request
from conformance.cases.script import Script
from conformance.implementations import guard
from conformance.implementations.channel import BrokenChannelError, Channel
from conformance.implementations.dialects import Reading
from conformance.implementations.loading import LoadError
from conformance.implementations.nursery import Nursery
from conformance.implementations.perform import Tried
from conformance.implementations.processes import LOST, OUTSIDE, cause
from conformance.implementations.program import TIME_LIMIT
from conformance.implementations.refusals import lasting
from conformance.implementations.wire import (
    VERSION,
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
    Segment,
    Sender,
    Trying,
    Unusable,
    WireError,
    Writer,
    heard,
    legible,
)

#: What the process says.
Said = Hello | Trying | Declares | Unusable | Answered | Explained

_MESSAGE: msgspec.msgpack.Decoder[Said] = msgspec.msgpack.Decoder(Said)
_RANDOM = SystemRandom()

#: Requests that are sent at a time, and bytes of their arrays.
_GROUP, _BYTES = 8, 1 << 23

#: Seconds until a process is dead that has nothing to answer on any more.
_DYING = 5.0

#: How often it is started anew after errors of a device that stay, unless most requests are answered.
_RENEWALS = 20

#: How often it is started when something else ends it while it loads the module.
_STARTS = 4

Arrays = Mapping[str, NDArray[Any]]


class LostError(BaseException):
    """The process ended, hung or broke its channel; what catches errors of an implementation lets it through.

    Attributes
    ----------
    why : str
        How, up to "in".
    code : int or None
        How it ended, if it ended by itself.
    """

    def __init__(self, why: str, code: int | None = None) -> None:
        super().__init__(why)
        self.why, self.code = why, code

    @property
    def outside(self) -> bool:
        """Whether something else may have ended it."""
        return self.code in OUTSIDE


class Ticket:
    """A request and what became of it."""

    def __init__(
        self, request: Request, layout: str, given: Arrays, sizes: Sequence[int], fills: Any
    ) -> None:
        sender = Sender(layout)
        self.plain = sender.request(request)
        self.outputs = request.outputs
        self.arrays: dict[str, NDArray[Any]] = {**given, **sender.arrays}
        self.sizes, self.fills = list(sizes), fills
        self.times: int = len(fills)  # how many answers it has at most
        self.script: list[Any] = []
        self.bytes = sum(array.nbytes for array in self.arrays.values())
        self.number = self.nonce = 0
        self.segment: Segment | None = None  # where its answer is put, once it is sent
        self.since = 0.0  # when it was
        self.tried: list[Tried] | None = None
        self.lost: LostError | None = None

    @classmethod
    def of(cls, script: Script, layout: str) -> Ticket:
        """A script instead of a request."""
        found, layers = cls(script.layers[0].request, layout, {}, [], np.zeros(0)), []
        found.plain, found.arrays = [], {}
        for number, layer in enumerate(script.layers):
            sender = Sender(layout)
            layers.append([sender.request(layer.request), layer.form])
            found.arrays |= {f"{number}.{n}": a for n, a in {**layer.arrays, **sender.arrays}.items()}
        found.script, found.times = [layers, [list(act) for act in script.acts]], script.times
        found.bytes = sum(array.nbytes for array in found.arrays.values())
        return found

    def took(self, seconds: float) -> float:
        """How long a call took, as its process says; not longer than the answer was waited for."""
        waited = time.monotonic() - self.since
        return seconds if 0.0 <= seconds <= waited else waited

    def item(self, number: int, writer: Writer) -> Item:
        """The request as it is sent, its arrays written."""
        self.number, self.nonce = number, _RANDOM.getrandbits(60)
        arrays = {name: writer.put(array) for name, array in self.arrays.items()}
        return Item(number, self.nonce, self.plain, arrays, self.sizes, writer.put(self.fills), self.script)


class Child:
    """A module in a process of its own.

    Parameters
    ----------
    spec : str
        The module, as ``--impl`` names it.
    names : iterable of str
        The functions that are looked for.
    time_limit : float
        Seconds for a request.
    wrapped : sequence of str, optional
        A command in front of the process's own, which makes a sandbox.
    read : Reading, optional
        How it is read, where it does not say so itself.

    Raises
    ------
    LoadError
        If the module cannot be used.
    """

    def __init__(
        self,
        spec: str,
        names: Iterable[str],
        time_limit: float,
        *,
        wrapped: Sequence[str] = (),
        read: Reading = Reading(),  # noqa: B008  it cannot change
    ) -> None:
        guard.unreadable()
        self._spec, self._names, self._limit, self._wrapped = spec, list(names), time_limit, wrapped
        self._reading, self._trials = read, True
        self._nursery: Nursery | None = None
        self._channel: Channel | None = None
        self._pid = self._number = 0
        self._since = 0.0
        self._answers = self._renewals = 0
        self._unsent = deque[Ticket]()
        self._sent = deque[Ticket]()
        self.declares = self._begin()

    def has(self, name: str) -> bool:
        """Whether the module has that function."""
        return name in self.declares.functions

    def ask(
        self, request: Request, layout: str, given: Arrays, sizes: Sequence[int], fills: NDArray[Any]
    ) -> Ticket:
        """Ask for something, soon; `heard` waits for the answer."""
        return self._asked(Ticket(request, layout, given, sizes, fills))

    def look(self, script: Script, layout: str) -> Ticket:
        """Ask for calls one after another, as `ask` does for one."""
        return self._asked(Ticket.of(script, layout))

    def _asked(self, ticket: Ticket) -> Ticket:
        self._unsent.append(ticket)
        if len(self._unsent) >= _GROUP or ticket.bytes > _BYTES:
            if self._channel is not None:
                self._listen(0.0)
            self._flush()
        return ticket

    def heard(self, ticket: Ticket) -> list[Tried]:
        """What came of a request.

        Raises
        ------
        LostError
            If the process was lost at it.
        LoadError
            If the process was lost before, and the module cannot be loaded again.
        """
        while ticket.tried is None:
            if ticket.lost is not None:
                raise ticket.lost
            if self._channel is None:
                self._begin()
            self._flush()
            self._listen(min(1.0, self._limit / 4))
        return ticket.tried

    def explain(self, op: str, index: int, case: str, output: str, arrays: Arrays) -> Any:
        """What a function that the module declares, by its place there, says of a failed output.

        Raises
        ------
        LostError
            If the process was lost.
        LoadError
            If the module cannot be loaded again.
        """
        if self._channel is None:
            self._begin()
        assert self._channel is not None
        shown, answer = Segment(), Segment()
        writer = Writer(shown.descriptor)
        blocks = {name: writer.put(array) for name, array in arrays.items()}
        writer.write()
        shown.seal()
        message = msgspec.msgpack.encode(Explain(op, index, case, output, blocks))
        try:
            self._channel.send(message, [shown.descriptor, answer.descriptor])
            said = self._next(time.monotonic() + self._limit, self._limit)
            if isinstance(said, Explained):
                return heard(said.value, answer.descriptor)
            raise BrokenChannelError("it answered what it was not asked")
        except (OSError, BrokenChannelError, WireError) as error:
            self._end()
            raise LostError(f"the process broke the channel it answers on ({error}) in") from error
        except LostError:
            self._end()
            raise

    def process(self) -> list[str]:
        """Where the module is, in sentences."""
        own = f"{self._pid}, of its own: forked from one that has NumPy alone"
        also = ", ".join(self.declares.imported)
        return [own, f"it has imported {also}" if also else "it has imported neither torch nor jax"]

    def second(self) -> Child:
        """Another process that holds the module."""
        return Child(self._spec, self._names, self._limit, wrapped=self._wrapped, read=self._reading)

    def finish(self, patience: float) -> int | None:
        """Let the process come to its own end; how it ended, None if it has not within so many seconds."""
        if self._channel is None or self._nursery is None:
            return None
        with contextlib.suppress(OSError):
            self._channel.send(msgspec.msgpack.encode(Finish()))
        return self._nursery.ended(patience)

    def abandon(self) -> None:
        """Forget every request; end the process if it is at one."""
        if self._sent:
            self._end()
        self._sent.clear()
        self._unsent.clear()

    def renew(self) -> None:
        """End the process: the next request is answered by another."""
        self.abandon()
        self._end()

    def close(self) -> None:
        """End everything."""
        self.renew()
        if self._nursery is not None:
            self._nursery.close()

    def _begin(self) -> Declares:
        """Start the process and have it load the module; again if something else ends it meanwhile.

        What was called to tell its dialect is judged in another process; a module that does not live through
        that is told by its names alone.
        """
        for attempt in range(1, _STARTS + 1):
            trials = self._trials
            try:
                declares = self._load()
            except LostError as lost:
                self._end()
                if trials == self._trials and (not lost.outside or attempt == _STARTS):
                    raise LoadError(f"--impl {self._spec}: {lost.why} loading it") from lost
            except BrokenChannelError as error:
                self._end()
                if trials != self._trials:
                    continue
                why = f"the process broke the channel it answers on ({error}) in"
                raise LoadError(f"--impl {self._spec}: {why} loading it") from error
            else:
                model = declares.model or self._reading.model
                self._reading = self._reading._replace(dialect=declares.dialect, model=model)
                if trials == self._trials:
                    return declares
                self._end()  # who answers has been called by nobody yet
        raise AssertionError

    def _load(self) -> Declares:
        if self._nursery is None or self._nursery.gone:
            self._nursery = Nursery(self._wrapped)
        self._channel = channel = Channel()
        try:
            self._nursery.start(channel.theirs)
        except OSError as error:
            self._nursery.close()
            raise LostError(f"the process died of {cause(LOST)} in", LOST) from error
        finally:
            channel.theirs.close()
        limit = max(self._limit, TIME_LIMIT)  # loading takes as long as it takes
        until = time.monotonic() + limit
        self._pid = 0
        while True:
            message = self._next(until, limit)
            if isinstance(message, Hello) and not self._pid and message.version == VERSION:
                self._pid = channel.sender  # nobody else's code has run there yet
                load = Load(self._spec, self._names, sys.path, *self._reading, self._trials)
                channel.send(msgspec.msgpack.encode(load))
            elif isinstance(message, Trying) and self._trials:
                self._trials, limit = False, self._limit
                until = time.monotonic() + limit
            elif isinstance(message, Unusable):
                self._end()
                raise LoadError(legible(message.reason))
            elif isinstance(message, Declares) and self._pid:
                return message
            else:
                raise BrokenChannelError("it answered what it was not asked")

    def _next(self, until: float, limit: float) -> Said:
        """The next message of a process that is loading.

        Raises
        ------
        LostError
            If there is none.
        BrokenChannelError
            If something else came.
        """
        assert self._nursery is not None
        assert self._channel is not None
        code: int | None = None
        while True:
            with contextlib.suppress(EOFError):
                message = self._channel.receive(self._pid or None, _MESSAGE)
                if message is not None:
                    return message
            if code is not None:
                raise LostError(f"the process died of {cause(code)} in", code)
            left = until - time.monotonic()
            if left <= 0:
                raise LostError(f"no answer within {limit:g} seconds from")
            wait([self._channel.fileno(), self._nursery.fileno()], min(left, 1.0))
            code = self._nursery.ended()

    def _flush(self) -> None:
        """Send what is not sent."""
        while self._unsent and self._channel is not None:
            group: list[Ticket] = []
            while self._unsent and len(group) < _GROUP and sum(t.bytes for t in group) < _BYTES:
                group.append(self._unsent.popleft())
            given, answers = Segment(), Segment()
            writer = Writer(given.descriptor)
            items = [t.item(self._number + i, writer) for i, t in enumerate(group, 1)]
            writer.write()
            given.seal()
            try:
                message = msgspec.msgpack.encode(Batch(items))
                self._channel.send(message, [given.descriptor, answers.descriptor])
            except OSError:  # it does not read, or is dead: heard of in a moment
                self._unsent.extendleft(reversed(group))
                return
            finally:
                given.close()
            self._number += len(group)
            sent = time.monotonic()
            if not self._sent:
                self._since = sent
            for ticket in group:
                ticket.segment, ticket.since = answers, sent
            self._sent.extend(group)

    def _listen(self, patience: float) -> None:
        """Take what the process has sent; wait for something if there is nothing."""
        assert self._nursery is not None
        assert self._channel is not None
        try:
            if self._take_all():
                return
            if patience:
                wait([self._channel.fileno(), self._nursery.fileno()], patience)
                if self._take_all():
                    return
        except EOFError:  # it is dead, as a rule
            code = self._nursery.ended(_DYING)
            if code is None:
                self._lose("the process closed the channel it answers on in")
            else:
                self._lose(f"the process died of {cause(code)} in", code)
            return
        except BrokenChannelError as error:
            self._lose(f"the process broke the channel it answers on ({error}) in")
            return
        code = self._nursery.ended()
        if code is not None:
            with contextlib.suppress(EOFError, BrokenChannelError):
                self._take_all()
            self._lose(f"the process died of {cause(code)} in", code)
        elif self._sent and time.monotonic() - self._since > self._limit:
            self._lose(f"no answer within {self._limit:g} seconds from")

    def _take_all(self) -> bool:
        """Take every message that is there; whether there was one."""
        assert self._channel is not None
        some = False
        while (message := self._channel.receive(self._pid, _MESSAGE)) is not None:
            some = True
            if not isinstance(message, Answered) or not self._sent:
                raise BrokenChannelError("it answered what it was not asked")
            ticket = self._sent[0]
            if (message.number, message.nonce) != (ticket.number, ticket.nonce):
                raise BrokenChannelError("it answered what it was not asked")
            ticket.tried = self._read(ticket, message.results)
            ticket.segment = None
            self._sent.popleft()
            self._since = time.monotonic()
            self._answers += 1
            if self._spoilt(ticket.tried):
                self._renewals += 1
                self._restart()
                return True
        return some

    def _spoilt(self, tried: list[Tried]) -> bool:
        """Whether the process answers nothing any more after this, and another is worth its start."""
        hopeless = self._renewals >= _RENEWALS and 2 * self._renewals > self._answers
        return tried[-1].kind == "error" and lasting(tried[-1].text) and not hopeless

    def _read(self, ticket: Ticket, results: list[Result]) -> list[Tried]:
        """The answer, copied out of its segment."""
        assert ticket.segment is not None
        found = []
        try:
            for result in results:
                answered = result.kind == "answered"
                if result.kind not in KINDS or (answered and list(result.outputs) != list(ticket.outputs)):
                    raise WireError("outputs of other names")
                descriptor = ticket.segment.descriptor
                outputs = {name: heard(value, descriptor) for name, value in result.outputs.items()}
                changed = tuple(name for name in result.changed if name in ticket.arrays)
                text, notes = legible(result.text), tuple(map(legible, result.notes))
                found.append(Tried(result.kind, text, outputs, changed, ticket.took(result.seconds), notes))
        except (WireError, OSError) as error:
            raise BrokenChannelError(str(error)) from error
        if not 0 < len(found) <= ticket.times or (len(found) < ticket.times and found[-1].kind == "answered"):
            raise BrokenChannelError("it answered more or less than it was asked")
        return found

    def _lose(self, why: str, code: int | None = None) -> None:
        """Hold what became of the process against what it was at; the rest is asked again."""
        if self._sent:
            self._sent.popleft().lost = LostError(why, code)
        self._restart()

    def _restart(self) -> None:
        """End the process: what it has not answered is asked of another."""
        self._end()
        while self._sent:
            ticket = self._sent.pop()
            ticket.segment = None
            self._unsent.appendleft(ticket)

    def _end(self) -> None:
        if self._nursery is not None:
            self._nursery.end()
        if self._channel is not None:
            self._channel.close()
        self._channel = None


#: What may come of a request.
KINDS = ("answered", "absent", "refused", "error")


def filled(values: Sequence[float], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Values that memory holds before a call."""
    with np.errstate(all="ignore"):
        return np.array(values, np.float64).astype(dtype)
