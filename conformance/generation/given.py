"""Data that somebody brings: the tensors of a real network, in a file, by the contract's names.

An array is called ``ARRAY``, or ``OP/ARRAY`` where several operations are in one file; numbers and words
beside the arrays (``stride``, ``pad``, ``mode``) are the parameters that no shape tells. Nothing in a file is
unpickled, and its size is known before it is read.
"""

from __future__ import annotations

import math
import os
import stat
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import SUFFIXES, Case

Array = NDArray[Any]

#: A file may take this share of the machine's memory, and if nothing is known of that so many bytes.
_SHARE, _MOST = 8, 1 << 31


class GivenError(ValueError):
    """A file that cannot be used; the message says which, and what was expected."""


def arrays(case: Case, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """The arrays of a case of a file: its values, cut or repeated to the shapes of the case.

    Raises
    ------
    GivenError
        If the file lacks one of them, or cannot be read.
    """
    given = of(case.file, case.op)
    found: dict[str, Array] = {}
    for name, shape in shapes.items():
        if name not in given:
            raise GivenError(f"{case.file}: no array {name} of {case.op}")
        labels = name == "Y"
        values = _fitted(given[name], shape)
        axis = next((i for i, n in enumerate(shape) if n > 1), None)
        if axis is not None and case.seed:
            values = np.roll(values, case.seed % shape[axis], axis)
        if labels:
            values = np.where(values == case.get("ignore", "none"), values, values % max(case["n"], 1))
        found[name] = np.array(values, np.int64 if labels else case.numpy_dtype, order="C")
    return found


def _fitted(values: Array, shape: tuple[int, ...]) -> Array:
    if bare(values.shape) == bare(shape):
        return values.reshape(shape)
    values = values.reshape((1,) * (len(shape) - values.ndim) + values.shape[-len(shape) :] if shape else -1)
    if values.ndim != len(shape):
        return np.resize(values, shape)
    for axis, extent in enumerate(shape):
        values = np.take(values, np.arange(extent) % max(values.shape[axis], 1), axis)
    return values


def bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without axes of one: a bias is flat or not."""
    return tuple(n for n in shape if n != 1)


def of(path: str, op: str) -> dict[str, Array]:
    """What a file has for an operation, by the names of the contract."""
    names = contents(path)
    plain = {name: values for name, values in names.items() if "/" not in name}
    return plain | {name[len(op) + 1 :]: x for name, x in names.items() if name.startswith(f"{op}/")}


def contents(path: str) -> Mapping[str, Array]:
    """Everything in a file, by name.

    Raises
    ------
    GivenError
        If it is not there, no such file, damaged, or larger than the machine has room for.
    """
    if not path.endswith(SUFFIXES):
        raise GivenError(f"{path}: expected a file {' or '.join(SUFFIXES)}")
    if not path.isprintable():
        raise GivenError(f"{path!r}: a name with characters that cannot be printed")
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise GivenError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(status.st_mode):
        raise GivenError(f"{path}: is no regular file")
    if status.st_size > _room():
        raise GivenError(f"{path}: {status.st_size} bytes, more than the machine has room for")
    return _read(path, status.st_mtime_ns, status.st_size, os.getcwd())


@lru_cache(maxsize=2)
def _read(path: str, changed: int, size: int, folder: str) -> Mapping[str, Array]:
    try:
        return _npz(path) if path.endswith(SUFFIXES[0]) else _safetensors(path)
    except GivenError:
        raise
    except MemoryError:
        raise GivenError(f"{path}: not enough memory for it") from None
    except Exception as error:  # whatever a damaged file leads zipfile, zlib and NumPy to
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise GivenError(f"{path}: cannot be read: {said}") from None


def _npz(path: str) -> dict[str, Array]:
    found: dict[str, Array] = {}
    left = _room()
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as file:
                shape, _, dtype = _header(file)
                needed = math.prod(shape) * dtype.itemsize
                left -= needed
                if dtype.hasobject:
                    raise GivenError(f"{path}: {member.filename} holds Python objects, which are not read")
                if left < 0 or needed > member.file_size:
                    raise GivenError(
                        f"{path}: {member.filename} says it has {needed} bytes; there is no room"
                    )
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            found[name] = file[name]
    return found


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """The head of an array in NumPy's format."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, order, dtype = read(file)
    return shape, order, dtype


def _safetensors(path: str) -> dict[str, Array]:
    if find_spec("safetensors") is None:
        raise GivenError(f"{path}: needs the package safetensors: pip install safetensors")
    from safetensors import safe_open

    found: dict[str, Array] = {}
    with safe_open(path, framework="np") as file:
        for name, text in (file.metadata() or {}).items():
            if name != "format":
                found[name] = np.array(text)
        for name in file.keys():  # noqa: SIM118  it is no mapping
            found[name] = file.get_tensor(name)
    return found


def _room() -> int:
    """How many bytes a file may take."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _SHARE
    except (AttributeError, OSError, ValueError):
        return _MOST


def digest(path: str) -> str:
    """What tells this file from another of its name."""
    from hashlib import blake2b

    found = blake2b(digest_size=16)
    with open(Path(path), "rb") as file:
        while piece := file.read(1 << 20):
            found.update(piece)
    return found.hexdigest()
