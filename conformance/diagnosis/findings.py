"""What is found out about a failure: the smallest case, one wrong entry, where, and pictures of it.

After a run this is done for the first failure of each operation, output and diagnosis, in processes of
their own: a kernel that fails may also crash, and takes only its own finding with it.
"""

from __future__ import annotations

import socket
import time
import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from typing import Any, NamedTuple

import msgspec
import numpy as np

from conformance.cases.case import Case
from conformance.conventions import Settings
from conformance.diagnosis import picture, where
from conformance.diagnosis.circumstances import circumstances
from conformance.diagnosis.history import Histories, History
from conformance.diagnosis.identities import vote
from conformance.diagnosis.jacobian import entry
from conformance.diagnosis.shrink import Same, shrink
from conformance.faults.diagnose import UNEXPLAINED
from conformance.implementations.channel import Answering, BrokenChannelError, Channel
from conformance.implementations.child import LostError
from conformance.implementations.implementation import Implementation, load
from conformance.implementations.processes import bind_to_parent, context, end, start
from conformance.verdict.again import first_failing, of_calls
from conformance.verdict.compare import failing
from conformance.verdict.judge import Trial
from conformance.verdict.record import Record, number

#: Seconds for one failure: to shrink, and then to look for the entry.
SHRINK, ENTRY = 3.0, 1.5


@dataclass(frozen=True)
class Finding:
    """What is known of one failure.

    Attributes
    ----------
    case, output, diagnosis : str
        The failure.
    shrunk : str
        The smallest case that fails in the same way.
    entry : str
        What is wrong there with one element, in one sentence without a full stop.
    rule : str
        Which elements of the case itself are wrong; empty if there is no array to compare.
    condition : str
        Under which condition it fails, ``only with groups``, with counts; empty if none was found.
    pictures : tuple of Picture
        The failing elements over the image plane, and the wrong taps.
    identities : tuple of str
        What the identities that need no oracle say of the function, the verdict first.
    place : str
        An element of the smallest case with both values and its limit; empty if there is none to compare.
    reason : str
        Why there is no element to compare: what was raised, returned instead, or died.
    terms : tuple of str
        The terms of the wrong element that differ most, or what the inputs have in its place.
    alone : bool
        Whether the smallest case fails in a process that is asked nothing else.
    """

    case: str
    output: str
    diagnosis: str
    shrunk: str
    entry: str
    rule: str = ""
    condition: str = ""
    pictures: tuple[picture.Picture, ...] = ()
    identities: tuple[str, ...] = ()
    place: str = ""
    reason: str = ""
    terms: tuple[str, ...] = ()
    alone: bool = True

    def to_dict(self) -> dict[str, Any]:
        """What ``summary.json`` holds."""
        return {**vars(self), "pictures": [p.to_dict() for p in self.pictures]}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Finding:
        """Read what `to_dict` wrote."""
        drawn = tuple(picture.Picture.from_dict(p) for p in found["pictures"])
        return cls(
            **{
                **found,
                "pictures": drawn,
                "identities": tuple(found["identities"]),
                "terms": tuple(found.get("terms", ())),
            }
        )

    def lines(self) -> list[str]:
        """The finding for a terminal."""
        named = self.diagnosis != UNEXPLAINED  # else the condition is what it is called by
        found = [f"condition: {self.condition}"] if self.condition and named else []
        found += [f"where: {self.rule}"] if self.rule else []
        for drawn in self.pictures:
            found += drawn.text()
        if self.shrunk != self.case:
            found.append(f"smallest case: {self.shrunk}")
        if self.entry and not self.reason:
            found.append(f"there: {self.entry}")
        found += [f"  {term}" for term in self.terms]
        return [*found, *self.identities]


def find(implementation: Implementation, record: Record, history: History | None = None) -> Finding:
    """Find out about one failure; `history` is what the run has seen of the output."""
    case = Case.parse(record.case)
    attempt = partial(Trial, implementation)
    around = circumstances(attempt, record, history)
    first = Trial(implementation, case)
    first.records(None)
    rule, pictures = _where(first, record)
    same = Same(attempt, record, around.rule)
    small = shrink(attempt, record, SHRINK, same) if same(case) else case
    trial = Trial(implementation, small)
    small_record = next(r for r in trial.records(None) if r.output == record.output)
    # What is kept between calls may show in another process alone.
    if small_record.status == "passed" and of_calls(record.diagnosis):
        small_record = record
    place = _place(small_record)
    wrong, alone = None, True
    if of_calls(record.diagnosis):  # what an element is made of is not what is wrong
        alone = _shown(implementation, small)
        if not alone and small != case and _shown(implementation, case):
            small, alone = case, True
    elif trial.outcome.error is None:
        wrong = entry(implementation, small, record.output, ENTRY)
    if wrong is not None:
        pictures += wrong.pictures
    return Finding(
        record.case,
        record.output,
        str(record.diagnosis),
        str(small),
        wrong.text if wrong is not None else place or small_record.reason,
        rule,
        around.sentence(same.failed, same.passed),
        tuple(pictures),
        () if of_calls(record.diagnosis) else tuple(vote(implementation, case).lines()),
        place,
        "" if place else small_record.reason,
        wrong.terms if wrong is not None else _beside(trial, small_record) if place else (),
        alone,
    )


def _beside(trial: Trial, record: Record) -> tuple[str, ...]:
    """The elements of the inputs at the place of a wrong one, of those that have its shape."""
    if not record.index:
        return ()
    shape, place = trial.expected[record.output].shape, tuple(record.index)
    at = f"[{','.join(map(str, place))}]"
    return tuple(
        f"{name}{at} is {float(array[place]):.6g}"
        for name, array in trial.arrays.items()
        if array.shape == shape
    )


def _shown(implementation: Implementation, case: Case) -> bool:
    """Whether a case fails in a process that is asked nothing else, as ``conformance repro`` asks it."""
    fresh = implementation.fresh()
    return fresh is None or first_failing(fresh, case).failed


def _where(trial: Trial, record: Record) -> tuple[str, list[picture.Picture]]:
    """The rule and the picture of the failing elements."""
    got, expected, limit = trial.compared(record.output)
    if not isinstance(got, np.ndarray) or got.shape != expected.shape or not expected.ndim:
        return "", []
    mask = failing(got, expected, limit)
    if not mask.any():  # it fails for its dtype, or against the statistical limit
        return "", []
    names = where.axes(trial.case, record.output, mask.ndim)
    drawn = picture.plane(mask, names, record.output)
    return where.rule(mask, names), [drawn] if drawn else []


def _place(record: Record) -> str:
    """The worst element of a record with both values and, where it is beyond it, its limit; empty if no
    value is wrong.
    """
    if record.index is None or record.expected is None or record.got is None:
        return ""
    at = f"[{','.join(map(str, record.index))}]" if record.index else ""
    got, expected = float(record.got), float(record.expected)
    if np.array_equal(got, expected, equal_nan=True):  # what is wrong is the call, not what came of it
        return ""
    digits = next((d for d in (6, 9, 12) if f"{got:.{d}g}" != f"{expected:.{d}g}"), 17)
    text = f"{record.output}{at} is {got:.{digits}g}, expected {expected:.{digits}g}"
    share = 0.0 if record.max_bound_fraction is None else number(record.max_bound_fraction)
    if share <= 1:
        return text
    return text + (" exactly" if np.isinf(share) else f", at most {abs(got - expected) / share:.3g} off")


def bare(record: Record) -> Finding:
    """What a failure says by itself, where there was no time to look into it, or it could not be."""
    text = _place(record)
    reason = "" if text else record.reason
    return Finding(
        record.case,
        record.output,
        str(record.diagnosis),
        record.case,
        text or reason,
        place=text,
        reason=reason,
    )


#: A failure, and what the run has seen of its output.
Asked = tuple[Record, History]


class Held(NamedTuple):
    """The implementation, how strictly it is read, and the command of its sandbox."""

    spec: str
    settings: Settings | None
    wrapped: tuple[str, ...]


def _work(theirs: socket.socket, held: Held, asked: Sequence[Asked]) -> None:
    """A child's life: one finding after another."""
    bind_to_parent()
    channel = Answering(theirs)
    warnings.simplefilter("ignore")
    implementation = load(held.spec, held.settings, survives=False, wrapped=held.wrapped)
    with suppress(LostError):  # who asked hears that there is no more
        for record, history in asked:
            channel.send(find(implementation, record, history))


_MESSAGE = msgspec.msgpack.Decoder(Finding)


@dataclass(eq=False)
class _Child:
    """A child and the failures that it has not looked into."""

    process: Any
    channel: Channel
    left: list[Asked]

    @classmethod
    def of(cls, share: list[Asked], held: Held) -> _Child:
        """A child that has just been started."""
        channel = Channel()
        process = context().Process(target=_work, args=(channel.theirs, held, share), daemon=True)
        start(process)
        channel.theirs.close()
        return cls(process, channel, share)

    def hear(self) -> Finding | None:
        """The next finding; None if there is none yet.

        Raises
        ------
        EOFError, BrokenChannelError
            If there will be none.
        """
        dead = not self.process.is_alive()
        finding = self.channel.receive(self.process.pid, _MESSAGE)
        if finding is None and dead:
            raise EOFError
        if finding is not None:
            asked = self.left.pop(0)[0] if self.left else None
            if asked is None or (finding.case, finding.output) != (asked.case, asked.output):
                raise BrokenChannelError("it found out what it was not asked")
        return finding

    def end(self) -> None:
        """Kill it."""
        end(self.process)
        self.channel.close()


def find_all(
    spec: str,
    records: Sequence[Record],
    processes: int,
    seconds: float,
    settings: Settings | None = None,
    histories: Histories | None = None,
    wrapped: tuple[str, ...] = (),
) -> list[Finding]:
    """Find out about several failures of one implementation, in child processes.

    Parameters
    ----------
    spec : str
        The implementation, as ``--impl`` names it.
    records : sequence of Record
        The failures.
    processes : int
        How many children at a time.
    seconds : float
        When to stop; of failures not reached by then there is what the record says.
    settings : Settings, optional
        How strictly the implementation is read.
    histories : Histories, optional
        What the run has seen of each output.
    wrapped : tuple of str, optional
        The command of a sandbox.

    Returns
    -------
    list of Finding
        In the order of `records`.
    """
    if not records:
        return []
    held = Held(spec, settings, wrapped)
    until = time.monotonic() + seconds
    asked = [(record, (histories or Histories()).of(record)) for record in records]
    shares = deque(share for i in range(processes) if (share := asked[i::processes]))
    found: dict[tuple[str, str], Finding] = {}
    running: list[_Child] = []
    try:
        while (shares or running) and time.monotonic() < until:
            while shares and len(running) < processes:
                running.append(_Child.of(shares.popleft(), held))
            descriptors = [d for child in running for d in (child.channel.fileno(), child.process.sentinel)]
            wait(descriptors, timeout=max(0.0, until - time.monotonic()))
            for child in list(running):
                try:
                    while (finding := child.hear()) is not None:
                        found[finding.case, finding.output] = finding
                except (EOFError, BrokenChannelError):
                    running.remove(child)
                    child.end()
                    if child.left:  # it died of the first one left
                        shares.append(child.left[1:])
    finally:
        for child in running:
            child.end()
    return [found.get((r.case, r.output)) or bare(r) for r in records]
