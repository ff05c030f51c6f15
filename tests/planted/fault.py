"""The register of planted faults, and the implementations they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from conformance.adapters import numpy_loops


@dataclass(frozen=True)
class Fault:
    """A wrong function in place of a right one.

    Attributes
    ----------
    op : str
        The function replaced.
    outputs : tuple of str
        The outputs that come out wrong; no other may fail.
    slip : str
        The diagnosis, a name of the catalogue.
    dtype : str
        The dtype whose cases show it.
    wrong : callable
        The wrong function.
    """

    op: str
    outputs: tuple[str, ...]
    slip: str
    dtype: str
    wrong: Callable[..., Any]

    def __str__(self) -> str:
        return f"{self.op}-{self.wrong.__name__}"


FAULTS: list[Fault] = []


def fault(op: str, outputs: str, slip: str, dtype: str = "f32") -> Callable[[Any], Any]:
    """Register the decorated function as a wrong `op`."""

    def register(wrong: Callable[..., Any]) -> Callable[..., Any]:
        FAULTS.append(Fault(op, tuple(outputs.split()), slip, dtype, wrong))
        return wrong

    return register


def implementation(fault: Fault) -> SimpleNamespace:
    """The correct functions with the faulty one in its place."""
    functions = {name: value for name, value in vars(numpy_loops).items() if not name.startswith("_")}
    return SimpleNamespace(**{**functions, fault.op: fault.wrong})
