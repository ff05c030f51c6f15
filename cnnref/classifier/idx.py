"""Reads IDX files, plain or gzip: the format of MNIST and its relatives.

    2 bytes: zero; 1 byte: 0x08, unsigned bytes; 1 byte: number of axes; 4 bytes, big-endian, for each extent;
    the elements in C order

A file may be damaged, half downloaded or hostile. Nothing is allocated because a header says so: a plain file
must have the size that its header implies, a compressed one is read piece by piece and never beyond, to at
most 100 times its size.

Source: LeCun, Cortes and Burges, "The MNIST database", section "File formats".
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

_UNSIGNED_BYTES = 0x08
_PIECE = 1 << 20

#: What a byte of a compressed file may at most become: of MNIST it is five, of a bomb a thousand. The first
#: mebibyte is free.
_MOST_A_BYTE, _FREE = 100, 1 << 20


class DataError(ValueError):
    """A file cannot be used; the message is one line that names it and says what is wrong."""


def read_header(path: Path, axes: int) -> tuple[int, ...]:
    """Return the extents that the file's header states, and that its size allows for.

    Parameters
    ----------
    path : Path
        The file; gzip where its first bytes say so, whatever its name.
    axes : int
        Number of axes: 3 for images, 1 for labels.

    Raises
    ------
    DataError
        If the header is not that of such a file, or states more or less than the file can hold.
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as raw:
        stream, packed = _stream(raw)
        with _damage(path):
            return _header(path, stream, axes, os.fstat(raw.fileno()).st_size, packed)


def read(path: Path, axes: int) -> np.ndarray:
    """Return the elements as a uint8 array; parameters and errors as `read_header`."""
    with path.open("rb") as raw:
        stream, packed = _stream(raw)
        with _damage(path):
            shape = _header(path, stream, axes, os.fstat(raw.fileno()).st_size, packed)
            wanted = math.prod(shape)
            content = bytearray()
            while len(content) < wanted:
                piece = stream.read(min(_PIECE, wanted - len(content)))
                if not piece:
                    raise DataError(_short(path, shape, len(content)))
                content += piece
            if stream.read(1):
                raise DataError(f"{path}: holds more than the {_elements(shape)} that its header states")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _stream(raw: BinaryIO) -> tuple[BinaryIO, bool]:
    packed = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    return (gzip.GzipFile(fileobj=raw) if packed else raw), packed  # type: ignore[return-value]


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn what gzip raises about a damaged stream into a `DataError`."""
    try:
        yield
    except EOFError as error:
        raise DataError(f"{path}: the compressed data ends early: half downloaded?") from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the compressed data is damaged: {error}") from error


def _header(path: Path, stream: BinaryIO, axes: int, size: int, packed: bool) -> tuple[int, ...]:
    length = 4 + 4 * axes
    head = stream.read(length)
    if len(head) < 4:
        raise DataError(f"{path}: {len(head)} bytes, not even the 4 of the magic number: half downloaded?")
    magic = bytes((0, 0, _UNSIGNED_BYTES, axes))
    if head[:4] != magic:
        raise DataError(f"{path}: {_what(head, axes)}; expected the magic number {magic.hex(' ')}")
    if len(head) < length:
        raise DataError(f"{path}: {len(head)} bytes, the header alone has {length}: half downloaded?")
    shape = struct.unpack(f">{axes}I", head[4:])
    wanted = length + math.prod(shape)
    if not packed and size < wanted:
        raise DataError(_short(path, shape, size - length))
    if not packed and size > wanted:
        raise DataError(
            f"{path}: {size - wanted} bytes more than the {_elements(shape)} that its header states"
        )
    if packed and wanted > max(_FREE, _MOST_A_BYTE * size):
        raise DataError(
            f"{path}: the header states {_elements(shape)}, more than {size} compressed bytes can hold"
            f" ({_MOST_A_BYTE} each)"
        )
    if math.prod(max(n, 1) for n in shape) > sys.maxsize:  # no elements, of an extent that no array has
        raise DataError(f"{path}: the header states {_elements(shape)}, which no array can have")
    return shape


def _what(head: bytes, axes: int) -> str:
    if head.lstrip()[:1] == b"<":
        return "a web page or XML, perhaps an error message saved by a download"
    if head[:3] == bytes((0, 0, _UNSIGNED_BYTES)):
        kind = {1: "labels", 3: "images"}
        found = kind.get(head[3], f"an array of {head[3]} axes")
        return f"an IDX file of {found}, where {kind[axes]} should be"
    return f"not an IDX file of unsigned bytes, it starts with {head[:4].hex(' ')}"


def _elements(shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return f"{shape[0]} labels"
    return f"{shape[0]} images of {'x'.join(map(str, shape[1:]))}"


def _short(path: Path, shape: tuple[int, ...], found: int) -> str:
    return (
        f"{path}: the header states {_elements(shape)}, {math.prod(shape)} bytes, "
        f"but only {found} follow: half downloaded?"
    )
