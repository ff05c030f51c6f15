"""Programs in any language: ``--impl 'exec:./kernels'``. The protocol is in docs/adapters.md.

The program is started once and asked, case by case, on its standard input: a line of text, then for
each array a line of text and its bytes. It answers on its standard output in the same form; one that asks
for segments finds the bytes there, and puts its own there. It keeps no state between requests: a gradient
is asked for with the forward inputs beside the upstream gradient.
"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import subprocess
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case
from conformance.cases.dtypes import DTYPES
from conformance.cases.options import written
from conformance.implementations.processes import OUTSIDE, cause
from conformance.implementations.wire import LARGEST, VERSION, Block, Segment, WireError, Writer, taken
from conformance.operations import OPERATIONS

#: Seconds that a case may take, if nothing else is asked for; one takes milliseconds.
TIME_LIMIT = 60.0
#: The part of a case's time that a program has for one answer: its silence is then what is recorded, and it
#: is ended, before the process that asked it is taken for hung.
ANSWER = 0.9
#: The longest line of text.
LINE = 4096
#: Bytes written or read at a time.
_PIECE = 1 << 20
#: Seconds between looks whether a program that says nothing is dead.
_LOOK = 0.5

_DTYPES: dict[str, np.dtype[Any]] = {"f32": np.dtype("<f4"), "f64": np.dtype("<f8"), "i64": np.dtype("<i8")}


#: What a program may say of itself before its functions.
_SAYS = ("protocol", "layout", "options", "dtypes", "accepts")

#: Tells a program the descriptors of its segments: that of its arguments, that of its answers.
SEGMENTS = "CONFORMANCE_SEGMENTS"


class ProgramError(RuntimeError):
    """The program could not be started, died, hung or did not keep to the protocol."""


class KilledError(ProgramError):
    """The program was ended by a signal that may be somebody else's, for want of memory say."""


class Program:
    """An implementation behind pipes.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    time_limit : float, optional
        Seconds for a case; an answer may take `ANSWER` of them.
    """

    def __init__(self, command: Sequence[str], time_limit: float = TIME_LIMIT) -> None:
        if not command:
            raise ProgramError("no command; expected exec:COMMAND")
        self._command, self._patience = list(command), ANSWER * time_limit
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: BinaryIO | None = None
        # Called at the latest when this object is gone: it holds the pipes, so that none is collected before.
        self._ending: weakref.finalize[..., Any] | None = None
        self._buffer, self._unsent = b"", memoryview(b"")
        self._allowed = self._deadline = 0.0
        self._functions: frozenset[str] | None = None
        self._given: Segment
        self._answers: Segment
        #: Whether arrays lie in them, as the program that is running has asked.
        self.segments = False
        self.layout = "NHWC"
        self.options: tuple[str, ...] = ()
        self.dtypes: tuple[str, ...] = tuple(DTYPES)
        self.accepts: dict[str, tuple[str, ...]] = {}

    def has(self, name: str) -> bool:
        """Whether the program says that it has that function."""
        if self._functions is None:
            self._functions = frozenset(self._introduced())
        return name in self._functions

    def answer(self, case: Case, arrays: Mapping[str, NDArray[Any]]) -> Mapping[str, Any]:
        """The outputs of a case.

        Raises
        ------
        ProgramError
            If the program died, hung or broke the protocol; it is started anew for the next case.
        NotImplementedError
            If it says that it has no answer for such a case.
        RuntimeError
            If it says that the case is an error.
        """
        try:
            outputs = self._ask(case, arrays)
        except KilledError:  # not its own doing, perhaps
            outputs = self._ask(case, arrays)
        forms = case.operation.forms
        # What the contract has as a Python float comes as an array of one number.
        return {
            n: float(value.reshape(()))
            if n in forms and forms[n].dtype is None and value.size == 1
            else value
            for n, value in outputs.items()
        }

    def close(self) -> None:
        """End the program."""
        self._process, self._buffer, self._unsent = None, b"", memoryview(b"")
        if self._ending is not None:
            self._ending()

    def _introduced(self) -> list[str]:
        """What the program says it is: ``functions NAME ...``, before it lines of `_SAYS` if it likes."""
        with self._kept_to_the_protocol():
            self._start()
            first = self._functions is None  # loading takes as long as it takes, however short a case's limit
            self._send(b"functions\n", max(self._patience, ANSWER * TIME_LIMIT) if first else self._patience)
            words = self._line().split()
            while words[:1] and words[0] in _SAYS:
                if words[0] == "protocol":
                    self._speaks(words[1:])
                elif words[0] == "layout" and len(words) == 2:
                    self.layout = words[1]
                elif words[0] == "options":
                    self.options = tuple(words[1:])
                elif words[0] == "dtypes":
                    self.dtypes = tuple(words[1:])
                elif words[0] == "accepts":
                    self.accepts = _accepted(words[1:])
                words = self._line().split()
            if words[:1] != ["functions"]:
                raise self._protocol(" ".join(words), "functions NAME ...")
            unknown = [word for word in words[1:] if word not in OPERATIONS]
            if unknown:
                raise ProgramError(f"it says it has {unknown[0]!r}; `conformance list` shows the names")
            self._nothing_more("after its introduction")
        return words[1:]

    def _speaks(self, words: list[str]) -> None:
        """The version of the protocol that the program speaks, and whether arrays are to lie in segments."""
        if words not in (["1"], [str(VERSION)], [str(VERSION), "segments"]):
            expected = f"protocol 1, protocol {VERSION} or protocol {VERSION} segments"
            raise self._protocol(" ".join(["protocol", *words]), expected)
        self.segments = "segments" in words

    @contextlib.contextmanager
    def _kept_to_the_protocol(self) -> Iterator[None]:
        """End the program when anything goes wrong: what it has written cannot be told from later answers."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _request(self, case: Case, arrays: Mapping[str, NDArray[Any]]) -> bytes:
        """The request for a case; its arrays' bytes are in it, or in the segment that is made anew."""
        parameters = [f"{name}={written(value)}" for name, value in case.params]
        request = [f"call {case.op} {case.dtype} {len(arrays)} {' '.join(parameters)}\n".encode()]
        writer = Writer(self._given.descriptor)
        for name, array in arrays.items():
            kind = "i64" if array.dtype.kind in "iu" else case.dtype
            words = ["array", name, kind, str(array.ndim), *map(str, array.shape)]
            plain = array.astype(_DTYPES[kind])
            if self.segments:
                at = writer.put(plain).offset
                assert at is not None  # no case has an array beyond `LARGEST`
                words.append(str(at))
            request.append(" ".join(words).encode() + b"\n")
            if not self.segments:
                request.append(plain.tobytes())
        if self.segments:
            for segment in (self._given, self._answers):
                os.ftruncate(segment.descriptor, 0)  # nothing of another case is there
            writer.write()
        return b"".join(request)

    def _ask(self, case: Case, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        if self._process is None:
            self._introduced()
        outputs: dict[str, NDArray[Any]] = {}
        names = case.operation.outputs
        with self._kept_to_the_protocol():
            self._nothing_more("before it was asked")
            self._send(self._request(case, arrays), self._patience)
            words = self._line().split()
            if words == ["ok", str(len(names))]:
                while len(outputs) < len(names):
                    name, value = self._array([name for name in names if name not in outputs])
                    outputs[name] = value
            elif words[:1] not in (["absent"], ["error"]):
                raise self._protocol(" ".join(words), f"ok {len(names)}, error TEXT or absent TEXT")
            self._nothing_more("after its answer")
        if words[0] == "absent":
            raise NotImplementedError(" ".join(words[1:]) or "the program says so")
        if words[0] == "error":
            raise RuntimeError(" ".join(words[1:]))
        return outputs

    def _nothing_more(self, when: str) -> None:
        """Refuse bytes that would be taken for the next answer."""
        assert self._process is not None
        assert self._process.stdout is not None
        if not self._buffer and self._ready(0.0):
            self._buffer = os.read(self._process.stdout.fileno(), _PIECE)
        if self._buffer:
            got = self._buffer[:40].partition(b"\n")[0].decode("ascii", "replace")
            raise ProgramError(f"the program wrote {got!r} {when}, expected nothing")

    def _array(self, names: Sequence[str]) -> tuple[str, NDArray[Any]]:
        line = self._line()
        words = line.split()
        form = "array NAME f32|f64|i64 AXES EXTENT ..." + (" OFFSET" if self.segments else "")
        if len(words) < 4 or words[0] != "array" or words[1] not in names or words[2] not in _DTYPES:
            raise self._protocol(line, f"{form} with a name of {', '.join(names)}")
        if not all(word.isascii() and word.isdecimal() and len(word) < 20 for word in words[3:]):
            raise self._protocol(line, form)
        axes, *shape = (int(word) for word in words[3:])
        at = shape.pop() if self.segments and shape else None
        if self.segments and at is None:
            raise self._protocol(line, form)
        if axes != len(shape) or axes > 8:
            raise self._protocol(line, form)
        dtype = _DTYPES[words[2]]
        size = dtype.itemsize * math.prod(extent or 1 for extent in shape)  # NumPy's bound, zeros or not
        if size > LARGEST:
            raise ProgramError(f"{line!r} announces more than {LARGEST} bytes")
        if at is not None:
            try:
                data = taken(self._answers.descriptor, Block(dtype.str, tuple(shape), at))
            except (WireError, OSError) as error:
                raise ProgramError(f"{line!r} is not in the segment of the answers: {error}") from error
        else:
            data = np.frombuffer(self._bytes(0 if 0 in shape else size), dtype).reshape(shape)
        return words[1], data.astype(dtype.newbyteorder("="))

    def _start(self) -> None:
        self.close()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the program)
        self._given, self._answers = Segment(), Segment()
        self.segments = False
        for segment in (self._given, self._answers):
            segment.close_to_seals()
        shared = (self._given.descriptor, self._answers.descriptor)
        try:
            self._process = subprocess.Popen(
                self._command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                pass_fds=shared, env={**os.environ, SEGMENTS: "{} {}".format(*shared)},
            )  # fmt: skip
        except OSError as error:
            self._errors.close()
            raise ProgramError(f"{self._command[0]}: {error.strerror}") from error
        self._ending = weakref.finalize(self, _stop, self._process, self._errors)
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)

    def _send(self, request: bytes, patience: float) -> None:
        """Have a request written while its answer is read: a program may answer before it has read all."""
        self._allowed, self._deadline = patience, time.monotonic() + patience
        self._unsent = memoryview(bytes(self._unsent) + request)

    def _line(self) -> str:
        while b"\n" not in self._buffer[: LINE + 1]:
            if len(self._buffer) > LINE:
                raise self._protocol(self._buffer[:40].decode("ascii", "replace"), "a line of text")
            self._more()
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode("ascii", "replace").strip()

    def _bytes(self, count: int) -> bytes:
        parts, there = [self._buffer], len(self._buffer)
        while there < count:
            self._buffer = b""
            self._more()
            parts.append(self._buffer)
            there += len(self._buffer)
        data = b"".join(parts)
        self._buffer = data[count:]
        return data[:count]

    def _more(self) -> None:
        """Read what has come, or say why nothing will come."""
        assert self._process is not None
        assert self._process.stdout is not None
        got = b""
        while not self._ready(min(_LOOK, self._deadline - time.monotonic())):
            if self._process.poll() is not None and not self._ready(0.0):
                break  # dead, whoever has its output still open
            if time.monotonic() >= self._deadline:
                raise ProgramError(f"the program gave no answer within {self._allowed:g} seconds")
        else:
            got = os.read(self._process.stdout.fileno(), _PIECE)
        if not got:
            text = f"the program {self._end()}{self._complaint()}"
            raise (KilledError if self._process.returncode in OUTSIDE else ProgramError)(text)
        self._buffer += got

    def _ready(self, patience: float) -> bool:
        """Whether there is something to read, or the end; writes meanwhile what is to be written."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if self._unsent:
                selector.register(self._process.stdin, selectors.EVENT_WRITE)
            found = {key.fileobj for key, _ in selector.select(max(0.0, patience))}
        if self._process.stdin in found:
            try:
                self._unsent = self._unsent[os.write(self._process.stdin.fileno(), self._unsent[:_PIECE]) :]
            except BrokenPipeError:  # it reads no more; reading its answer says so
                self._unsent = memoryview(b"")
        return self._process.stdout in found

    def _end(self) -> str:
        """How the program ended."""
        assert self._process is not None
        try:
            status = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "closed its standard output"
        if status < 0:
            return f"died of {cause(status)}"
        return f"ended with exit status {status} in the middle of an answer"

    def _complaint(self) -> str:
        """The last line of what the program wrote to its standard error."""
        assert self._errors is not None
        size = os.fstat(self._errors.fileno()).st_size
        end = os.pread(self._errors.fileno(), LINE, max(0, size - LINE)).decode("utf-8", "replace")
        said = [line.strip() for line in end.split("\n") if line.strip()]
        return f": {said[-1]}" if said else ""

    def _protocol(self, got: str, expected: str) -> ProgramError:
        return ProgramError(f"the program answered {got[:80]!r}, expected {expected}")


def _accepted(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What ``square`` or ``pool_*:tiles`` say that the program answers alone, by operations."""
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        pattern, colon, rule = word.partition(":")
        key = pattern if colon else "*"
        found[key] = (*found.get(key, ()), rule if colon else word)
    return found


def _stop(process: subprocess.Popen[bytes], errors: BinaryIO) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout, errors):
        if pipe is not None:
            pipe.close()
    process.wait()
