"""The module that ``--impl`` names, found and imported. Nothing of the suite's own is needed for it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from conformance.implementations import adapters
from conformance.implementations.import_help import explained


class LoadError(ValueError):
    """The implementation named by ``--impl`` could not be used; the message says what to do."""


def found(spec: str) -> Any:
    """The module, or what is in it.

    Raises
    ------
    LoadError
        If there is no such module or attribute, or it cannot be imported.
    """
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
        raise LoadError(f"--impl {name}: {explained(error)}") from error
    except Exception as error:
        raise LoadError(f"--impl {name}: {explained(error)}") from error


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
        raise LoadError(f"--impl {place}: {explained(error, path.resolve())}") from error
    return module
