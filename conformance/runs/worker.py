"""A worker's life: it loads the implementation and judges the cases that it is handed, one answer a case."""

from __future__ import annotations

import gc
import os
import signal
import socket
import warnings
from typing import TYPE_CHECKING

import msgspec

from conformance.cases.case import Case
from conformance.conventions import Settings
from conformance.implementations.channel import Answering
from conformance.implementations.implementation import LoadError, load
from conformance.implementations.processes import bind_to_parent
from conformance.verdict.record import Record

if TYPE_CHECKING:
    from conformance.verdict.judge import Judge


class About(msgspec.Struct, tag=True, frozen=True):
    """What a worker says of the implementation it has loaded."""

    arithmetic: str
    version: str | None


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


MESSAGE = msgspec.msgpack.Decoder(About | Unusable | Answered)


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


def work(theirs: socket.socket, spec: str, settings: Settings, time_limit: float) -> None:
    """Judge what comes through the channel until it is closed."""
    bind_to_parent()
    channel = Answering(theirs)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    silence = os.open(os.devnull, os.O_WRONLY)  # an implementation that prints megabytes drowns nothing
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    warnings.simplefilter("ignore")  # an implementation's warnings would drown the run
    from conformance.verdict.judge import Judge

    try:
        implementation = load(spec, settings, time_limit)
    except LoadError as error:
        channel.send(Unusable(str(error)))
        return
    version = getattr(implementation.target, "__version__", None)
    channel.send(About(implementation.arithmetic.name, version and str(version)))
    judge = Judge(implementation)
    settle()
    _work(channel, judge)


#: What a worker is handed: the number and the line of each case.
ASKED: msgspec.msgpack.Decoder[list[tuple[int, str]]] = msgspec.msgpack.Decoder(list[tuple[int, str]])


def _work(channel: Answering, judge: Judge) -> None:
    while request := channel.receive():
        judge.forget()
        for number, line in ASKED.decode(request):
            case = Case.parse(line)
            channel.send(Answered(number, str(case), judge(case)))
