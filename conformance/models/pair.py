"""`ModelNew` held against `Model`: the records of each case, and what the run came to."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conformance.bounds.storage import spacing
from conformance.cases.dtypes import KNOWN
from conformance.faults.diagnose import UNEXPLAINED, of_error
from conformance.generation.families import FAMILIES
from conformance.implementations.dialects.model_pair import called, single
from conformance.implementations.dialects.own import DialectError
from conformance.implementations.loading import LoadError
from conformance.models.line import DTYPES, Line
from conformance.models.message import receive, send
from conformance.verdict.compare import failing
from conformance.verdict.record import MODEL, Record, plain

Arrays = Mapping[str, NDArray[Any]]

#: Seconds that `Model` has for all cases, and how often `ModelNew` is started again after it died.
PATIENCE, RESTARTS = 600.0, 5


class Prepared(NamedTuple):
    """A case: what `ModelNew` is told, its arrays, what is right and how far from it rounding may lead."""

    line: Line
    said: dict[str, Any]
    given: dict[str, NDArray[Any]]
    right: dict[str, NDArray[Any]]
    limits: dict[str, NDArray[Any]]


def several(spec: str) -> bool:
    """Whether the `Model` of a pair is no single operation that the suite has an oracle for."""
    try:
        return not single(called(spec))
    except DialectError:  # what cannot be told without values may run with some
        return True


class _Process:
    """A program of this package with two pipes; `words` stand around their descriptors."""

    def __init__(
        self, program: str, before: Sequence[str], after: Sequence[str], wrapped: Sequence[str] = ()
    ) -> None:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        words = [
            sys.executable,
            "-m",
            f"conformance.models.{program}",
            *before,
            f"{theirs_in},{theirs_out}",
            *after,
        ]
        environment = {**os.environ, "MALLOC_PERTURB_": str(random.SystemRandom().randint(1, 255))}
        self._process = subprocess.Popen(
            [*wrapped, *words], pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self.inward, self.outward = os.fdopen(ours_in, "rb"), os.fdopen(ours_out, "wb")

    def receive(self, patience: float) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The next message.

        Raises
        ------
        ValueError
            If there is none, or what came is none.
        """
        timer = threading.Timer(patience, self.kill)
        timer.start()
        try:
            found = receive(self.inward)
        finally:
            hung = not timer.is_alive()
            timer.cancel()
        if found is None:
            raise ValueError(f"no answer within {patience:g} seconds" if hung else "the process died")
        return found

    def kill(self) -> None:
        """End it, and what it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    def close(self) -> None:
        """End it, and wait for its end."""
        self.kill()
        self._process.wait()
        for stream in (self.inward, self.outward):
            with contextlib.suppress(OSError):
                stream.close()


def prepared(spec: str, count: int, seed: int, only: str = "") -> list[Prepared]:
    """Run `Model` in a process that has ended when this returns.

    Raises
    ------
    LoadError
        If it cannot be run.
    """
    process, found = _Process("prepare", [spec], [str(count), str(seed), only]), list[Prepared]()
    try:
        while True:
            said, arrays = process.receive(PATIENCE)
            if "error" in said:
                raise LoadError(
                    f"--impl {spec}: Model, by get_init_inputs() and get_inputs(): {said['error']}"
                )
            if said.get("end"):
                return found
            kinds: dict[str, dict[str, NDArray[Any]]] = {"right": {}, "limit": {}}
            given = {}
            for name, array in arrays.items():
                kind, _, output = name.partition(".")
                if kind in kinds:
                    kinds[kind][output] = array
                else:
                    given[name] = array
            line = Line.parse(said.pop("case"))
            found.append(Prepared(line, said, given, kinds["right"], kinds["limit"]))
    except ValueError as error:
        if isinstance(error, LoadError):
            raise
        raise LoadError(f"--impl {spec}: Model: {error}") from error
    finally:
        process.close()


class Candidate:
    """`ModelNew` in a process of its own, started again when that is lost.

    Raises
    ------
    LoadError
        If it cannot be built.
    """

    def __init__(self, spec: str, time_limit: float, wrapped: Sequence[str] = ()) -> None:
        self._spec, self._limit, self._wrapped = spec, time_limit, wrapped
        self._process: _Process | None = None
        self._starts = 0
        #: Whether an answer had no graph, so that its gradients are absent.
        self.graphless = False

    def records(self, case: Prepared) -> list[Record]:
        """The records of one case."""
        tier = str(case.said.pop("tier"))
        try:
            said, values = self._asked(case)
        except ValueError as error:
            return _failed(case, f"{error} in this case")
        if "unusable" in said:
            raise LoadError(f"--impl {self._spec}: {said['unusable']}")
        if "error" in said:
            return _failed(case, str(said["error"]))
        dtypes = said.get("dtypes", {})
        outputs = list(case.right)
        if not said.get("graph"):
            self.graphless, outputs = True, [name for name in outputs if not name.startswith("d(")]
        return [self._record(case, name, values.get(name), str(dtypes.get(name)), tier) for name in outputs]

    def _asked(self, case: Prepared) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        if self._process is None:
            if self._starts > RESTARTS:
                raise ValueError(f"not called: the process was lost {self._starts} times before it; lost")
            self._starts += 1
            self._process = _Process(
                "answer", [self._spec], ["0" if self._wrapped else str(os.getpid())], self._wrapped
            )
            ready, _ = self._heard(max(self._limit, 60.0))
            if "unusable" in ready:
                raise LoadError(f"--impl {self._spec}: ModelNew: {ready['unusable']}")
        number = random.SystemRandom().getrandbits(50)
        try:
            send(self._process.outward, {**case.said, "number": number}, case.given)
        except OSError:
            self.close()
            raise ValueError("the process died") from None
        said, values = self._heard(self._limit)
        if said.get("number") != number:
            self.close()
            raise ValueError("it answered what it was not asked")
        return said, values

    def _heard(self, patience: float) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        assert self._process is not None
        try:
            return self._process.receive(patience)
        except ValueError:
            self.close()
            raise

    def _record(self, case: Prepared, name: str, got: Any, dtype: str, tier: str) -> Record:
        """The record of one output."""
        right, limit, line = case.right[name], case.limits[name], case.line
        blank = _blank(line, name)
        if got is None or got.dtype != np.float64 or got.shape != right.shape:
            shape = "is none where there should be a gradient" if got is None else f"has shape {got.shape}"
            return blank.but(
                status="failed", reason=f"{shape}, expected shape {right.shape}", diagnosis=UNEXPLAINED
            )
        with np.errstate(all="ignore"):
            error = np.where((got == right) | (np.isnan(got) & np.isnan(right)), 0.0, np.abs(got - right))
            share = np.nan_to_num(np.where(error == 0, 0.0, error / limit), nan=np.inf, posinf=np.inf)
            ulps = np.nan_to_num(
                error / spacing(np.abs(right), np.dtype(KNOWN[line.dtype])), nan=np.inf, posinf=np.inf
            )
        wrong = failing(got, right, limit)
        share = np.where(wrong, np.maximum(share, np.nextafter(1, 2)), np.minimum(share, 1.0))
        place = np.unravel_index(int(np.argmax(share)), share.shape) if share.size else None
        record = blank.but(
            status="failed" if wrong.any() else "passed", tier=tier,
            max_error_ulp=plain(float(ulps.max(initial=0.0))),
            max_bound_fraction=plain(float(share.max(initial=0.0))),
            index=None if place is None else [int(i) for i in place],
            expected=None if place is None else plain(float(right[place])),
            got=None if place is None else plain(float(got[place])),
        )  # fmt: skip
        if wrong.any():
            measured = (
                "differ, and nothing is rounded in Model on these data"
                if tier == "exact"
                else (
                    f"are further from Model in float64 than its rounding is measured to lead, at worst "
                    f"{float(share.max()):.3g} times"
                )
            )
            reason = f"{int(wrong.sum())} of {wrong.size} elements {measured}"
            return record.but(reason=reason, diagnosis=UNEXPLAINED)
        if name.startswith("y") and DTYPES.get(dtype) != line.dtype:
            reason = f"is {dtype}; Model gives {line.dtype}"
            return record.but(status="failed", reason=reason, diagnosis="dtype-not-kept")
        return record

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.close()
            self._process = None


def _blank(line: Line, output: str) -> Record:
    kind = FAMILIES[line.family].kind
    return Record(str(line), MODEL, output, line.dtype, line.family, kind, "failed", reason="")


def _failed(case: Prepared, reason: str) -> list[Record]:
    return [_blank(case.line, n).but(reason=reason, diagnosis=of_error(reason)) for n in case.right]


def judged(
    spec: str, cases: Sequence[Prepared], time_limit: float, wrapped: Sequence[str] = ()
) -> Iterator[tuple[Prepared, list[Record], bool]]:
    """Each case with its records, and whether its answer had a graph."""
    candidate = Candidate(spec, time_limit, wrapped)
    try:
        for case in cases:
            records = candidate.records(case)
            yield case, records, not candidate.graphless
    finally:
        candidate.close()
