"""What goes between the judge and the process of a model: arrays of numbers behind their length."""

from __future__ import annotations

import io
import json
import os
import struct
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_LENGTH = struct.Struct("=Q")

#: The longest message taken.
LARGEST = 1 << 31

Message = dict[str, Any]


def send(stream: IO[bytes], said: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write one message."""
    room = io.BytesIO()
    text = np.frombuffer(json.dumps(said).encode(), np.uint8)
    members: dict[str, Any] = {"said": text, **{f"@{name}": array for name, array in arrays.items()}}
    np.savez(room, **members)
    content = room.getvalue()
    stream.write(_LENGTH.pack(len(content)) + content)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[Message, dict[str, NDArray[Any]]] | None:
    """The next message; None at the end. Nothing is unpickled.

    Raises
    ------
    ValueError
        If what comes is no message.
    """
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    size = _LENGTH.unpack(head)[0]
    if size > LARGEST:
        raise ValueError("a message that is too long")
    content = stream.read(size)
    if len(content) < size:
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            said = json.loads(found["said"].tobytes())
            arrays = {name[1:]: found[name] for name in found.files if name.startswith("@")}
    except Exception as error:
        raise ValueError(f"no message: {error}") from error
    if not isinstance(said, dict):
        raise ValueError("no message")
    return said, arrays


def opened(descriptors: str) -> tuple[IO[bytes], IO[bytes]]:
    """The two ends that a process was started with."""
    inward, outward = map(int, descriptors.split(","))
    for descriptor in (inward, outward):
        os.set_inheritable(descriptor, False)
    return os.fdopen(inward, "rb"), os.fdopen(outward, "wb")
