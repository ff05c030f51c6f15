"""A worker's life: it judges what it is handed, one answer a case. The implementation lives elsewhere."""

from __future__ import annotations

import gc
import os
import signal
import socket
import warnings
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from conformance.cases.case import Case
from conformance.conventions import Settings
from conformance.generation.given import GivenError
from conformance.implementations.channel import Answering
from conformance.implementations.child import LostError
from conformance.implementations.implementation import load
from conformance.implementations.loading import LoadError
from conformance.implementations.processes import bind_to_parent
from conformance.implementations.program import TIME_LIMIT
from conformance.verdict.record import Record

if TYPE_CHECKING:
    from conformance.verdict.judge import Judge


class About(msgspec.Struct, tag=True, frozen=True):
    """What a worker says of the implementation it has loaded."""

    arithmetic: str
    version: str | None
    dialect: str = "contract"


class Unusable(msgspec.Struct, tag=True):
    """The implementation cannot be loaded."""

    reason: str


class Answered(msgspec.Struct, tag=True):
    """The records of the next case."""

    number: int
    case: str
    records: list[Record]

    def belongs_to(self, number: int, case: Case) -> bool:
        """Whether this is an answer to that case."""
        return self.number == number and self.case == str(case) and belong(self.records, case)


class Lost(msgspec.Struct, tag=True):
    """The implementation's process was lost at the next case; nothing was made of those after it."""

    number: int
    case: str
    why: str
    code: int | None


MESSAGE = msgspec.msgpack.Decoder(About | Unusable | Answered | Lost)


def belong(records: list[Record], case: Case) -> bool:
    """Whether these are the records of that case: one for each output, in order."""
    if len(records) != len(case.operation.outputs):
        return False
    text, of = str(case), (case.op, case.dtype, case.family)
    return all(
        record.case == text and record.output == output and (record.op, record.dtype, record.family) == of
        for record, output in zip(records, case.operation.outputs, strict=True)
    )


def settle() -> None:
    """Take all that is loaded out of the garbage collector's sight: it goes through it again and again."""
    gc.collect()
    gc.freeze()


class Holding(NamedTuple):
    """How a worker holds the implementation.

    Attributes
    ----------
    time_limit : float
        Seconds for a case.
    isolate : bool
        Whether what it is handed at a time has a process of its own.
    wrapped : tuple of str
        The command of a sandbox.
    """

    time_limit: float = TIME_LIMIT
    isolate: bool = False
    wrapped: tuple[str, ...] = ()


#: Nothing asked for.
PLAIN = Holding()


def work(theirs: socket.socket, spec: str, settings: Settings, holding: Holding) -> None:
    """Judge what comes through the channel until it is closed."""
    bind_to_parent()
    channel = Answering(theirs)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    silence = os.open(os.devnull, os.O_WRONLY)  # an implementation that prints megabytes drowns nothing
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    warnings.simplefilter("ignore")  # NumPy's would drown the run
    from conformance.verdict.judge import Judge

    try:
        implementation = load(spec, settings, holding.time_limit, False, holding.wrapped)
    except LoadError as error:
        channel.send(Unusable(str(error)))
        return
    channel.send(About(implementation.arithmetic.name, implementation.version, implementation.dialect))
    judge = Judge(implementation, holding.isolate)
    settle()
    while request := channel.receive():
        try:
            _judge(channel, judge, ASKED.decode(request))
        except (LoadError, GivenError) as error:
            channel.send(Unusable(str(error)))
            return
        if holding.isolate:
            implementation.renew()


#: What a worker is handed: the number and the line of each case.
ASKED: msgspec.msgpack.Decoder[list[tuple[int, str]]] = msgspec.msgpack.Decoder(list[tuple[int, str]])


def _judge(channel: Answering, judge: Judge, asked: list[tuple[int, str]]) -> None:
    """Judge cases up to the first at which the implementation's process is lost."""
    judge.forget()
    judged = judge.each(Case.parse(line) for _, line in asked)
    for number, line in asked:
        try:
            records = next(judged)
        except LostError as lost:
            judge.implementation.abandon()
            channel.send(Lost(number, line, lost.why, lost.code))
            return
        channel.send(Answered(number, line, records))
