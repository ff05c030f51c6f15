"""Messages from a child that runs code nobody vouches for, and that may write anything to any descriptor.

A message arrives whole or not at all, and the kernel says which process sent it: what a forked copy of the
child sends is no answer of the child's. Reading never waits and never allocates what a sender announces.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

#: The largest message. The records of a case are a few thousand bytes.
LARGEST = 1 << 17

#: Messages of other processes that are thrown away in one go.
_FOREIGN = 100

_CREDENTIALS = struct.Struct("=iII")  # pid, uid, gid
_SPACE = socket.CMSG_SPACE(_CREDENTIALS.size)

Message = TypeVar("Message")


class BrokenChannelError(Exception):
    """The child sent something that is no message; the text says what."""


class Channel:
    """The parent's end; `theirs` is the child's."""

    def __init__(self) -> None:
        self._socket, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.setblocking(False)
        self._buffer = memoryview(bytearray(LARGEST))
        self.sender = 0

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._socket.fileno()

    def send(self, message: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send without waiting, descriptors along with the message.

        Raises
        ------
        OSError
            If the child is gone or does not read.
        """
        if descriptors:
            socket.send_fds(self._socket, [message], descriptors)
        else:
            self._socket.send(message)

    def receive(self, sender: int | None, decoder: msgspec.msgpack.Decoder[Message]) -> Message | None:
        """The next message of the process `sender`; None if there is none at the moment.

        Without a sender it is that of whoever sends first, which `sender` is then.

        Raises
        ------
        EOFError
            If nobody holds the other end any more.
        BrokenChannelError
            If it is not what `decoder` reads.
        """
        for _ in range(_FOREIGN):
            try:
                size, extra, flags, _ = self._socket.recvmsg_into([self._buffer], _SPACE)
            except BlockingIOError:
                return None
            except (
                ConnectionResetError
            ):  # it ended before it had read all: said once, before what it has sent
                continue
            if not extra:  # an empty message has a sender, the end has none
                raise EOFError
            self.sender = _CREDENTIALS.unpack(extra[0][2])[0]
            if sender is not None and self.sender != sender:
                continue
            if flags & socket.MSG_TRUNC:
                raise BrokenChannelError(f"it sent more than {LARGEST} bytes at once")
            try:
                return decoder.decode(self._buffer[:size])
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise BrokenChannelError(f"it sent {size} bytes that are no answer") from error
        return None

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def __del__(self) -> None:
        if hasattr(self, "_socket"):  # Ctrl-C may have come before there was one
            self.close()


def _whole(value: Any) -> Any:
    """`value`, of plain types, with U+FFFD for each half of a surrogate pair."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_whole(key): _whole(inner) for key, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, (list, tuple)) else value


class Answering:
    """The child's end; of no use to a forked copy of the child, which ends where it would go on as one."""

    def __init__(self, theirs: socket.socket) -> None:
        self._socket, self._pid = theirs, os.getpid()
        self._encode = msgspec.msgpack.Encoder(enc_hook=_plain).encode
        os.register_at_fork(after_in_child=theirs.close)

    def stay(self) -> None:
        """End a forked copy of the child."""
        if os.getpid() != self._pid:
            os._exit(0)

    def send(self, message: Any) -> None:
        """Send a message, for as long as it takes the parent to read."""
        self.stay()
        try:
            encoded = self._encode(message)
        except UnicodeEncodeError:  # an exception's text may hold half of a surrogate pair
            encoded = self._encode(_whole(msgspec.to_builtins(message, enc_hook=_plain)))
        while True:
            try:
                self._socket.send(encoded)
                return
            except BlockingIOError:  # a kernel made the descriptor non-blocking
                select.select([], [self._socket], [], 1.0)

    def receive(self) -> bytes:
        """The parent's next message; empty if there will be none."""
        return self.handed()[0]

    def handed(self) -> tuple[bytes, list[int]]:
        """The parent's next message and the descriptors that came with it."""
        while True:
            try:
                message, descriptors, _, _ = socket.recv_fds(self._socket, LARGEST, 2)
                return message, descriptors
            except BlockingIOError:
                select.select([self._socket], [], [], 1.0)


def _plain(value: Any) -> Any:
    """NumPy's scalars, of which float64 is a float of Python's as well."""
    return value.item()
