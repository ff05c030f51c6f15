"""The implementation under test: found, imported, called as the contract says."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.cases.dtypes import DTYPES, NAMES
from conformance.cases.request import Request
from conformance.conventions import Settings, offered, parse
from conformance.faults import is_diagnosis
from conformance.implementations import UNDECLARED, adapters, declared
from conformance.implementations.calls import ask, named
from conformance.implementations.declared import Declared
from conformance.implementations.layout import LAYOUTS, inward, outward
from conformance.implementations.memory import same_bytes
from conformance.implementations.program import TIME_LIMIT, Program, ProgramError
from conformance.operations import OPERATIONS
from conformance.operations.call import resolved


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
    absent : str or None
        Why the implementation says that it has no answer for such a case (`NotImplementedError`).
    """

    outputs: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    changed: tuple[str, ...] = ()
    absent: str | None = None


@runtime_checkable
class Direct(Protocol):
    """An implementation that is handed whole cases instead of calls: a program behind pipes."""

    def has(self, name: str) -> bool:
        """Whether it has that function."""

    def answer(self, case: Case, arrays: Mapping[str, NDArray[Any]]) -> Mapping[str, Any]:
        """The outputs by name."""


@dataclass(frozen=True)
class Implementation:
    """A module, or any object, with some of the contract's functions."""

    name: str
    target: Any
    arithmetic: Arithmetic
    layout: str = "NHWC"
    settings: Settings = field(default_factory=Settings)
    options: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = tuple(DTYPES)
    differs: Declared = field(default_factory=dict)

    def lacks(self, case: Case) -> str | None:
        """The option of `case` that the implementation does not declare; None if it takes all of them."""
        return next((key for key in case.beyond if not self._takes(f"{case.op}.{key}")), None)

    def _takes(self, option: str) -> bool:
        """Whether the implementation declares the option of that operation."""
        if option not in self._taken:
            self._taken[option] = any(fnmatchcase(option, _dotted(pattern)) for pattern in self.options)
        return self._taken[option]

    @cached_property
    def _taken(self) -> dict[str, bool]:
        """What `_takes` has found."""
        return {}

    @cached_property
    def _direct(self) -> Direct | None:
        """The target, if it is handed whole cases."""
        return self.target if isinstance(self.target, Direct) else None

    def has(self, name: str) -> bool:
        """Whether there is a function of that name."""
        return self._direct.has(name) if self._direct else callable(getattr(self.target, name, None))

    def function(self, name: str) -> Callable[..., Any]:
        """The function of that name."""
        function: Callable[..., Any] = getattr(self.target, name)
        return function

    def request(self, case: Case, arrays: Mapping[str, NDArray[Any]]) -> Request:
        """What it is asked for `case`: the function's calls, the forward function first for its cache."""
        return resolved(OPERATIONS, case, self.has, offered(case, arrays, self.settings))

    def call(self, case: Case, arrays: Mapping[str, NDArray[Any]]) -> Outcome:
        """Call the function of `case` on copies of `arrays`, the forward function first for its cache."""
        if case.dtype not in self.dtypes:
            return Outcome(absent=f"{UNDECLARED}no dtype {case.dtype}")
        lacking = self.lacks(case)
        if lacking is not None:
            return Outcome(absent=f"{UNDECLARED}no option {lacking}")
        given = inward(case, offered(case, arrays, self.settings), self.layout)
        copies = {name: array.copy() for name, array in given.items()}
        request = None if self._direct else self.request(case, arrays)
        try:
            with np.errstate(all="ignore"):
                if request is not None:
                    result: Any = ask(self, request, copies)
                else:
                    result = self._direct.answer(case, copies)  # type: ignore[union-attr]
        except (KeyboardInterrupt, MemoryError):
            raise
        except NotImplementedError as error:
            return Outcome(absent=f"not implemented: {' '.join(str(error).split())[:300]}")
        except BaseException as error:  # SystemExit too: an implementation may not end the run
            return Outcome(error=f"raised {_one_line(error)}")
        changed = tuple([n for n, copy in copies.items() if not same_bytes(copy, given[n])])
        try:
            outputs = dict(result) if request is None else named(request, result)
            return Outcome(outward(case, outputs, self.layout), changed=changed)
        except ValueError as error:
            return Outcome(error=str(error), changed=changed)


def is_explanation(word: str) -> bool:
    """Whether a declared difference can be tied to it: a diagnosis, or a convention with one of its values.

    Raises
    ------
    ConventionError
        If it is ``NAME=VALUE``, and there is no such convention or value.
    """
    return bool(parse([word])) if "=" in word else is_diagnosis(word)


def _options(declared: Any) -> tuple[str, ...]:
    """The options that a module declares: ``options = ("dilation", "pool_*.ceil_mode")``, or ``"*"``.

    Raises
    ------
    ValueError
        If one of them is no option of any operation.
    """
    patterns = (declared,) if isinstance(declared, str) else tuple(map(str, declared))
    known = [f"{op.name}.{option.key}" for op in OPERATIONS.values() for option in op.options]
    for pattern in patterns:
        if not any(fnmatchcase(name, _dotted(pattern)) for name in known):
            keys = sorted({name.partition(".")[2] for name in known})
            raise ValueError(
                f"options has {pattern!r}, expected OPERATION.OPTION or some of {', '.join(keys)}"
            )
    return patterns


def _dtypes(declared: Any) -> tuple[str, ...]:
    """The dtypes that a module declares: ``dtypes = ("f32", "f16")``.

    Raises
    ------
    ValueError
        If one of them is no dtype of a case.
    """
    names = (declared,) if isinstance(declared, str) else tuple(map(str, declared))
    every = ("f32", "f64", "f16", "bf16")  # bf16 may be declared where ml_dtypes is not installed
    for name in names:
        if NAMES.get(name, name) not in every:
            raise ValueError(f"dtypes has {name!r}, expected some of {', '.join(every)}")
    return tuple(NAMES.get(name, name) for name in names)


def _dotted(pattern: str) -> str:
    """An option alone is meant for every operation."""
    return pattern if "." in pattern else f"*.{pattern}"


def has(target: Any, name: str) -> bool:
    """Whether `target` has the function `name`."""
    return target.has(name) if isinstance(target, Direct) else callable(getattr(target, name, None))


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def load(spec: str, settings: Settings | None = None, time_limit: float = TIME_LIMIT) -> Implementation:
    """Load the implementation that ``--impl`` names.

    Parameters
    ----------
    spec : str
        ``package.module``, ``package.module:attribute``, ``path/to/file.py`` (also with
        ``:attribute``), ``exec:COMMAND`` (a program that speaks the protocol of docs/adapters.md), or
        the short name of an adapter.
    settings : Settings, optional
        How strictly it is read. Conventions that its module declares (``conventions = {...}``) hold
        where `settings` says nothing else.
    time_limit : float, optional
        Seconds that a case may take; a program behind pipes is ended before they are over.

    Raises
    ------
    LoadError
        If there is no such module, it cannot be imported, or what it declares has no bound.
    """
    target = Program(shlex.split(spec[5:]), time_limit) if spec.startswith("exec:") else _found(spec)
    settings = settings or Settings()
    try:
        if not any(has(target, name) for name in OPERATIONS):
            raise LoadError(
                f"--impl {spec}: none of the {len(OPERATIONS)} functions is in it; "
                "`conformance list` shows them"
            )
        layout = getattr(target, "layout", "NHWC")
        if layout not in LAYOUTS:
            raise LoadError(f"--impl {spec}: layout is {layout!r}, expected one of {', '.join(LAYOUTS)}")
        options = _options(getattr(target, "options", ()))
        dtypes = _dtypes(getattr(target, "dtypes", tuple(DTYPES)))
        differs = declared.read(getattr(target, "differs", {}), is_explanation)
        chosen = getattr(target, "conventions", {})
        conventions = {**parse(f"{n}={v}" for n, v in chosen.items()), **settings.conventions}
        arithmetic = Arithmetic.declared(
            getattr(target, "precision", None), getattr(target, "algorithm", None)
        )
    except LoadError:
        raise
    except (ValueError, ProgramError) as error:
        raise LoadError(f"--impl {spec}: {error}") from error
    settings = replace(settings, conventions=conventions)
    return Implementation(spec, target, arithmetic, layout, settings, options, dtypes, differs)


def _found(spec: str) -> Any:
    """The module, or what is in it."""
    place, _, attribute = spec.partition(":") if not spec.endswith(".py") else (spec, "", "")
    is_file = place.endswith(".py") or os.sep in place
    target: Any = _from_file(place) if is_file else _from_name(place)
    for part in filter(None, attribute.split(".")):
        if not hasattr(target, part):
            raise LoadError(f"--impl {spec}: {place} has no attribute {attribute!r}")
        target = getattr(target, part)
    return target


def _from_name(name: str) -> ModuleType:
    if name in adapters():
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
