"""Why a module cannot be imported, and what helps: missing packages, and what old code expects."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from conformance.implementations.python2 import renamed
from conformance.implementations.source import one_line, shown

#: What newer versions of Python and NumPy have removed, with what stands in its place.
_REMOVED: tuple[tuple[str, str], ...] = (
    (
        r"(?:module 'collections' has no attribute|cannot import name) '(Hashable|Iterable|Mapping|Sequence|"
        r"Callable|Iterator|MutableMapping|MutableSequence|Set|Sized|Container)'",
        "Python 3.10 has moved it to collections.abc: `from collections.abc import {0}`",
    ),
    (
        r"module 'numpy' has no attribute '(float|int|bool|object|complex|str|long)'",
        "NumPy 1.24 has removed it: write {0}, or np.{0}64 for the dtype",
    ),
    (r"module 'numpy' has no attribute '(\w+)'|`np\.(\w+)` was removed", "NumPy 2 has removed np.{0}"),
    (
        r"No module named '(imp|distutils)'",
        "Python 3.12 has removed {0}: importlib, or `pip install setuptools`",
    ),
    (r"module 'time' has no attribute '(clock)'", "Python 3.8 has removed it: time.perf_counter"),
)
#: What a project calls folders and files of its own, and means none to be installed.
_OWN = frozenset((
    "src", "lib", "util", "utils", "helper", "helpers", "common", "core", "layer", "layers", "model",
    "ops", "nn", "net", "network", "networks", "functions", "functional", "modules", "kernels", "config",
    "models", "activations", "losses", "optimizers", "im2col", "tools", "code",
))  # fmt: skip
#: In the folders beside the file and so many levels above it a module is looked for.
_LEVELS = 2
#: Packages that are called otherwise where they are installed from.
_INSTALLED_AS = {"cv2": "opencv-python", "PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}


def explained(error: BaseException, place: Path | None = None) -> str:
    """What went wrong at which line of whose source, and what helps.

    Parameters
    ----------
    error : BaseException
        What importing raised.
    place : Path, optional
        The file that was imported, where it was given as one.
    """
    said = f"importing it raised {one_line(error)}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        said = f"it imports {error.name!r}, which is not installed"
    parts = [said, _help(error, place), shown(error)]
    return "\n".join(part for part in parts if part)


def _help(error: BaseException, place: Path | None) -> str:
    text = str(error)
    for pattern, sentence in _REMOVED:
        found = re.search(pattern, text)
        if found:
            name = next((group for group in found.groups() if group), "")
            return f"  {sentence.format(name)}" if name else ""
    old = renamed(error)
    if old:
        return f"  {old}"
    if "relative import" in text and place is not None:
        return (
            f"  it is part of a package: from {place.parent.parent}, --impl {place.parent.name}.{place.stem}"
        )
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing(error.name, place)
    return ""


def _missing(name: str, place: Path | None) -> str:
    top = name.split(".")[0]
    loaded = getattr(sys.modules.get(top), "__path__", None)
    if loaded and "." in name:
        return (
            f"  there is a package {top!r} in {next(iter(loaded))}, another one: judge one project at a time"
        )
    near = place.parents if place is not None else ()
    for folder in near:
        if _has(folder, top):
            module = ".".join(place.relative_to(folder).with_suffix("").parts) if place is not None else ""
            return f"  {top} is in {folder}: go there, and give --impl {module}"
    for folder in near[:_LEVELS]:
        for found in sorted((*folder.glob(f"*/{top}"), *folder.glob(f"*/{top}.py"))):
            if _has(found.parent, top):
                return f"  {top} is in {found.parent}: put that on the path, PYTHONPATH={found.parent}"
    if top in _OWN:
        return f"  {top} is of the project that this file is from: PYTHONPATH=FOLDER, the one that has it"
    return f"  pip install {_INSTALLED_AS.get(top, top)}"


def _has(folder: Path, top: str) -> bool:
    # Not by methods of Path: a folder that may not be entered is an error to those.
    return os.path.isdir(folder / top) or os.path.isfile(folder / f"{top}.py")
