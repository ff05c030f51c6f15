"""Reads .npy arrays that anyone may have written: nothing is evaluated, nothing allocated on their word.

NumPy's own reader evaluates the header as Python, which a hostile one can make fail in a dozen ways, or take
the process with it. Arrays of numbers and texts have headers of a small regular language: that is read.

Source: ``numpy.lib.format``, "Format Version 1.0", 2.0 and 3.0.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np

_MAGIC = b"\x93NUMPY"

#: Bytes of a header: NumPy's are of one or two blocks of 64.
_LONGEST = 1 << 12

#: The start of a file that holds all of its header.
HEAD = _LONGEST + 12

#: Its keys stand in the order in which NumPy, and who follows it, writes them.
_TEXT = re.compile(
    rb"""\s*\{\s*['"]descr['"]\s*:\s*['"]([<>|=]?[biufU]\d{1,9})['"]\s*,"""
    rb"""\s*['"]fortran_order['"]\s*:\s*(True|False)\s*,\s*['"]shape['"]\s*:\s*\(([\d,\s]*)\)\s*,?\s*\}\s*"""
)
_EXTENTS = re.compile(r"\s*|\s*\d{1,18}\s*,\s*|\s*\d{1,18}\s*(?:,\s*\d{1,18}\s*)+,?\s*")


class Header(NamedTuple):
    """What a header states, and how many bytes it has."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype
    length: int

    @property
    def size(self) -> int:
        """Bytes of the header and of the elements that it states."""
        return self.length + math.prod(self.shape) * self.dtype.itemsize


def header(content: bytes) -> Header:
    """Read the header at the start of `content`, of whose rest nothing need be there.

    Raises
    ------
    ValueError
        If it is not that of an array of numbers or texts; the message does not name the file.
    """
    if content[:6] != _MAGIC:
        raise ValueError(f"does not start with the magic of an .npy array, got {content[:6]!r}")
    if len(content) < 10:
        raise ValueError(f"ends after {len(content)} bytes")
    version = tuple(content[6:8])
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"has the .npy version {version[0]}.{version[1]}, expected 1.0 to 3.0")
    start = 10 if version == (1, 0) else 12
    length = int.from_bytes(content[8:start], "little")
    if length > _LONGEST:
        raise ValueError(f"has a header of {length} bytes, expected at most {_LONGEST}")
    text = content[start : start + length]
    if len(text) < length:
        raise ValueError(f"ends within its header of {length} bytes")
    return Header(*_fields(text), start + length)


def array(content: bytes) -> np.ndarray:
    """Return the array that `content` is, writable.

    Raises
    ------
    ValueError
        As `header`, or if `content` has another size than its header states.
    """
    found = header(content[:HEAD])
    if found.size != len(content):
        raise ValueError(f"does not hold what its header states: {found.size} bytes, got {len(content)}")
    if found.dtype.kind == "U":
        bytes(content[found.length :]).decode(f"utf-32-{'be' if found.dtype.byteorder == '>' else 'le'}")
    try:
        flat = np.frombuffer(content, found.dtype, math.prod(found.shape), found.length)
        shaped = flat.reshape(found.shape, order="F" if found.fortran_order else "C")
    except (OverflowError, ValueError) as error:  # more axes than NumPy has, or no elements of a huge extent
        raise ValueError(f"cannot be an array of shape {found.shape}: {error}") from error
    return shaped.copy(order="K")


def _fields(text: bytes) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and dtype from the text of a dictionary."""
    match = _TEXT.fullmatch(text)
    extents = match[3].decode() if match else "none"
    if match is None or not _EXTENTS.fullmatch(extents):
        raise ValueError(f"has no header of an array of numbers, got {text[:80]!r}")
    shape = tuple(int(n) for n in extents.split(",") if n.strip())
    return shape, match[2] == b"True", _dtype(match[1].decode())


def _dtype(descr: str) -> np.dtype:
    try:
        dtype = np.dtype(descr)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"has elements of the unknown type {descr!r}") from error
    if dtype.itemsize == 0:
        raise ValueError(f"has elements of no bytes, {descr!r}")
    return dtype
