"""`Model` and `ModelNew`, each in a process of its own, asked for one case after another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conformance.cases.request import Array, Request, Step
from conformance.implementations.child import Child, LostError, filled
from conformance.implementations.dialects import Reading
from conformance.implementations.loading import LoadError
from conformance.implementations.perform import Tried
from conformance.models.line import Line, Shape
from conformance.verdict.record import MODEL

Arrays = Mapping[str, NDArray[Any]]

#: Seconds that `Model` has for a case, and how often `ModelNew` may be lost before it is asked no more.
PATIENCE, LOSSES = 600.0, 5

_FILL = filled((0.0,), np.dtype(np.float64))


class Prepared(NamedTuple):
    """A case: what `ModelNew` is told, its arrays, what is right and how far from it rounding may lead."""

    line: Line
    said: dict[str, Any]
    given: dict[str, NDArray[Any]]
    right: dict[str, NDArray[Any]]
    limits: dict[str, NDArray[Any]]

    @property
    def tier(self) -> str:
        """Whether nothing is rounded."""
        return "measured" if any(limit.any() for limit in self.limits.values()) else "exact"


class Reference:
    """The `Model` of a file; its process has read the file before `ModelNew` runs.

    Raises
    ------
    LoadError
        If it cannot be run.
    """

    def __init__(self, spec: str) -> None:
        self._spec = spec
        place = "conformance.models.prepare:SERVED"
        self._child = Child(place, ("described", "case"), PATIENCE, read=Reading("contract"))
        try:
            answer = self._asked("described", (spec,), ("described",))
        except LoadError:
            self.close()
            raise
        said = json.loads(answer["described"].tobytes())
        self.dtype = str(said.pop("dtype"))
        self.variants: list[tuple[Shape, ...]] = [
            tuple(map(tuple, shapes)) for shapes in said.pop("variants")
        ]
        self._said: dict[str, Any] = said

    def prepared(self, line: Line) -> Prepared:
        """A case of it.

        Raises
        ------
        LoadError
            If it has none of these shapes.
        """
        if len(line.shapes) != len(self.variants[0]):
            raise LoadError(
                f"case {line}: {len(line.shapes)} shapes, get_inputs() gives {len(self.variants[0])}"
            )
        outputs = self._said["outputs"]
        kinds = [f"{kind}.{name}" for kind in ("right", "limit") for name in outputs]
        found = self._asked("case", (self._spec, str(line)), (*kinds, *self._said["names"]))
        right, limits = ({n: found.pop(f"{kind}.{n}") for n in outputs} for kind in ("right", "limit"))
        return Prepared(line, {**self._said, "dtype": line.dtype}, found, right, limits)

    def _asked(self, function: str, words: tuple[str, ...], outputs: Sequence[str]) -> dict[str, Any]:
        try:
            tried = _ask(self._child, Request((Step(function, words),), tuple(outputs)), {})
        except LostError as lost:
            tried = Tried("error", f"{lost.why} this case")
        if tried.kind != "answered":
            said = tried.text.removeprefix("raised ")
            raise LoadError(f"--impl {self._spec}: Model, by get_init_inputs() and get_inputs(): {said}")
        return dict(tried.outputs)

    def close(self) -> None:
        """End the process."""
        self._child.close()


class Candidate:
    """The `ModelNew` of a file, loaded anew when its process is lost.

    Raises
    ------
    LoadError
        If it cannot be built.
    """

    def __init__(
        self, spec: str, time_limit: float, wrapped: Sequence[str] = (), device: str | None = None
    ) -> None:
        self._spec, self._losses = spec, 0
        self._child = Child(spec, (MODEL,), time_limit, wrapped=wrapped, read=Reading("compared", device))

    def answer(self, case: Prepared) -> Tried:
        """What comes of a case.

        Raises
        ------
        LoadError
            If it cannot be told which parameter is which.
        """
        if self._losses > LOSSES:
            return Tried("error", f"not called: the process was lost {self._losses} times before")
        step = Step(MODEL, (case.said, *map(Array, case.given)))
        try:
            tried = _ask(self._child, Request((step,), tuple(case.right)), case.given)
        except LostError as lost:
            self._losses += 1
            return Tried("error", f"{lost.why} this case")
        if tried.text.startswith("raised UnmatchedError: "):
            why = tried.text.partition("\n")[0].removeprefix("raised UnmatchedError: ")
            raise LoadError(f"--impl {self._spec}: {why}")
        return tried

    def renew(self) -> None:
        """Have the next case answered by another process."""
        self._child.renew()

    def close(self) -> None:
        """End the process."""
        self._child.close()


class Pair(NamedTuple):
    """Both of a file."""

    reference: Reference
    candidate: Candidate

    @classmethod
    @contextmanager
    def of(
        cls, spec: str, time_limit: float, wrapped: Sequence[str] = (), device: str | None = None
    ) -> Iterator[Pair]:
        """The pair of a file, until that is done with: what is right is read before `ModelNew` runs.

        Raises
        ------
        LoadError
            If one of them cannot be built.
        """
        with (
            closing(Reference(spec)) as reference,
            closing(Candidate(spec, time_limit, wrapped, device)) as candidate,
        ):
            yield cls(reference, candidate)


def _ask(child: Child, request: Request, arrays: Arrays) -> Tried:
    (tried,) = child.heard(child.ask(request, "NHWC", arrays, [], _FILL))
    return tried
