"""The implementation under test: found, imported, called as the contract says."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance import adapters
from conformance.bounds import Arithmetic
from conformance.calls import CALLS, named
from conformance.case import Case
from conformance.operations import OPERATIONS


class LoadError(ValueError):
    """The implementation named by ``--impl`` could not be used; the message says what to do."""


@dataclass(frozen=True)
class Outcome:
    """What one call came to.

    Attributes
    ----------
    outputs : dict of str to object
        The outputs by name; empty if the call failed.
    error : str or None
        ``"raised ValueError: ..."``, or what was wrong with the form of the answer.
    changed : tuple of str
        The arguments whose bytes the call changed.
    """

    outputs: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Implementation:
    """A module, or any object, with some of the contract's functions."""

    name: str
    target: Any
    arithmetic: Arithmetic

    def has(self, name: str) -> bool:
        """Whether there is a function of that name."""
        return callable(getattr(self.target, name, None))

    def function(self, name: str) -> Callable[..., Any]:
        """The function of that name."""
        function: Callable[..., Any] = getattr(self.target, name)
        return function

    def call(self, case: Case, arrays: Mapping[str, NDArray[Any]]) -> Outcome:
        """Call the function of `case` on copies of `arrays`, the forward function first for its cache."""
        copies = {name: array.copy() for name, array in arrays.items()}
        try:
            with np.errstate(all="ignore"):
                result = CALLS[case.op](self, case, copies)
        except (KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:  # SystemExit too: an implementation may not end the run
            return Outcome(error=f"raised {_one_line(error)}")
        changed = tuple(n for n, copy in copies.items() if copy.tobytes() != arrays[n].tobytes())
        try:
            return Outcome(named(case, result), changed=changed)
        except ValueError as error:
            return Outcome(error=str(error), changed=changed)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def dirty(expected: Mapping[str, NDArray[Any]], dtype: np.dtype[Any], value: float) -> None:
    """Fill memory of the sizes of the outputs with `value` and free it again.

    NumPy and the C allocator hand a freed block of the same size out first, so that an output the
    implementation forgets to write is likely to show `value`.
    """
    blocks = [np.full(x.shape, value, dtype) for x in expected.values() for _ in range(2)]
    del blocks


def load(spec: str) -> Implementation:
    """Load the implementation that ``--impl`` names.

    Parameters
    ----------
    spec : str
        ``package.module``, ``package.module:attribute``, ``path/to/file.py`` (also with
        ``:attribute``), or the short name of an adapter.

    Raises
    ------
    LoadError
        If there is no such module, it cannot be imported, or what it declares has no bound.
    """
    place, _, attribute = spec.partition(":") if not spec.endswith(".py") else (spec, "", "")
    is_file = place.endswith(".py") or os.sep in place
    target: Any = _from_file(place) if is_file else _from_name(place)
    for part in filter(None, attribute.split(".")):
        if not hasattr(target, part):
            raise LoadError(f"--impl {spec}: {place} has no attribute {attribute!r}")
        target = getattr(target, part)
    if not any(callable(getattr(target, name, None)) for name in OPERATIONS):
        raise LoadError(
            f"--impl {spec}: none of the {len(OPERATIONS)} functions is in it; `conformance list` shows them"
        )
    try:
        declared = getattr(target, "precision", None), getattr(target, "algorithm", None)
        return Implementation(spec, target, Arithmetic.declared(*declared))
    except ValueError as error:
        raise LoadError(f"--impl {spec}: {error}") from error


def _from_name(name: str) -> ModuleType:
    if name in adapters.names():
        name = f"conformance.adapters.{name}"
    if os.getcwd() not in sys.path:  # a console script does not look in the current directory by itself
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise LoadError(
                f"--impl {name}: no such module; give an importable name, module:attribute or a .py file"
            ) from error
        raise LoadError(f"--impl {name}: it imports {error.name!r}, which is not installed") from error
    except Exception as error:
        raise LoadError(f"--impl {name}: importing it raised {_one_line(error)}") from error


def _from_file(place: str) -> ModuleType:
    path = Path(place)
    if not path.is_file():
        raise LoadError(f"--impl {place}: no such file; give the path to a .py file or an importable name")
    spec = importlib.util.spec_from_file_location(f"_implementation_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise LoadError(f"--impl {place}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise LoadError(f"--impl {place}: importing it raised {_one_line(error)}") from error
    return module
