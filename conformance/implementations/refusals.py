"""What is a refusal and what a failure, of an exception that came instead of an answer.

A module refuses on purpose: by `NotImplementedError`, by a ``raise`` or ``assert`` of its own source, or by
the `RuntimeError` with which a check of its own compiled extension ends. An error that comes out of NumPy,
torch, Python or a device is none: nobody decided that there is no answer.
"""

from __future__ import annotations

import ast
import dis
import linecache
import re
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any

from conformance.cases.request import DEVICE

#: Folders of other people's packages: what is below them is not a module's own.
_INSTALLED = frozenset({"site-packages", "dist-packages"})

_COMPILED = (".so", ".pyd", ".dylib")
_CYTHON = (".pyx", ".pxd", ".pxi")

#: The namespaces of ``torch.ops`` that are torch's own.
_TORCH = frozenset(
    {"aten", "prim", "prims", "quantized", "mkldnn", "mkl", "c10d", "inductor", "higher_order"}
)


#: Exceptions of a device by their names (this imports no framework), and what others of a device say.
_DEVICE_ERRORS = frozenset(("OutOfMemoryError", "AcceleratorError"))
_DEVICE_WORDS = re.compile(
    r"^(CUDA|HIP|MPS|XPU|cuDNN|cuBLAS)\b.*\berror|\bout of memory\b|CUBLAS_STATUS_|CUDNN_STATUS_"
    r"|not enough memory|RESOURCE_EXHAUSTED|device-side assert|illegal memory access"
)

#: Errors of a device after which every later call of the same process fails, whatever it is asked.
_LASTING_WORDS = re.compile(
    r"device-side assert|illegal (memory access|address|instruction)|misaligned address|"
    r"unspecified launch failure|hardware stack error|uncorrectable ECC|"
    r"^raised a device error: AcceleratorError"
)


@dataclass(frozen=True)
class Own:
    """The source of the module under test.

    Attributes
    ----------
    root : Path or None
        The folder of its package, or the one that its file is in.
    files : frozenset of str
        Its own file, where the folder holds other people's modules too.
    """

    root: Path | None = None
    files: frozenset[str] = frozenset()

    @classmethod
    def of(cls, target: Any) -> Own:
        """The source of a module, or of what is an attribute of one."""
        module = target if isinstance(target, ModuleType) else sys.modules.get(_home(target))
        place = getattr(module, "__file__", None)
        if module is None or not place:
            return cls()
        path = Path(place).resolve()
        package = sys.modules.get(module.__name__.partition(".")[0])
        if package is not None and getattr(package, "__path__", None):
            inner = path.parent if module.__name__.startswith("conformance.adapters.") else None  # an adapter
            root = inner or Path(next(iter(package.__path__))).resolve()
            return cls(root, frozenset({str(path)}))
        return cls(None if _shared(path.parent) else path.parent, frozenset({str(path)}))

    def has(self, name: str) -> bool:
        """Whether a file is part of it."""
        path = Path(name) if Path(name).is_absolute() else self._beside(Path(name))
        path = path.resolve()
        if str(path) in self.files:
            return True
        if self.root is None or not path.is_relative_to(self.root):
            return False
        return _INSTALLED.isdisjoint(path.relative_to(self.root).parts)

    def line(self, name: str, number: int) -> str:
        """A line of one of its files; empty where it is not there to be read."""
        path = Path(name) if Path(name).is_absolute() else self._beside(Path(name))
        return linecache.getline(str(path), number).strip()

    def _beside(self, path: Path) -> Path:
        """Where a compiled module says that its source is: from the folder in which it was built."""
        if self.root is None:
            return path
        places = (self.root.parent / path, self.root / path, self.root / path.name)
        return next((place for place in places if place.exists()), path)


def refused(error: BaseException, own: Own) -> bool:
    """Whether the module has refused on purpose.

    Parameters
    ----------
    error : BaseException
        What came instead of an answer.
    own : Own
        What the module's own source is.
    """
    if isinstance(error, NotImplementedError):
        return True
    if not isinstance(error, Exception) or error.__traceback__ is None or of_device(error):
        return False
    last = _last(error.__traceback__)
    code = last.tb_frame.f_code
    if code.co_filename.endswith(_CYTHON):
        return _compiled(error, last, own)
    if isinstance(error, RuntimeError) and _extension(error.__traceback__, own):
        return True
    return own.has(code.co_filename) and _raises(code, last.tb_lasti)


def of_device(error: BaseException) -> bool:
    """Whether an exception says that the device, or its memory, failed, and not what it was asked."""
    if type(error).__name__ in _DEVICE_ERRORS:
        return True
    return isinstance(error, RuntimeError) and _DEVICE_WORDS.search(str(error)) is not None


def lasting(text: str) -> bool:
    """Whether what came instead of an answer is an error of a device that stays in its process.

    The context of a device is lost with the first kernel that faults; memory that ran out is not.
    """
    return text.startswith(DEVICE) and _LASTING_WORDS.search(text) is not None


def _last(traceback: TracebackType) -> TracebackType:
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback


def _raises(code: CodeType, at: int) -> bool:
    """Whether the instruction there is that of a ``raise`` or an ``assert``."""
    return any(i.opname == "RAISE_VARARGS" for i in dis.get_instructions(code) if i.offset == at)


def _compiled(error: Exception, last: TracebackType, own: Own) -> bool:
    """Whether a function compiled from Cython refuses; its frames have a line, and no instructions."""
    code, home = last.tb_frame.f_code, str(last.tb_frame.f_globals.get("__file__", ""))
    if not own.has(home):
        return False
    words = own.line(code.co_filename, last.tb_lineno).split()
    return isinstance(error, RuntimeError) or "raise" in words or words[:1] == ["assert"]


def _extension(traceback: TracebackType, own: Own) -> bool:
    """Whether the last thing that the module did was to call a compiled extension of its own."""
    mine = None
    at: TracebackType | None = traceback
    while at is not None:
        mine = at if own.has(at.tb_frame.f_code.co_filename) else mine
        at = at.tb_next
    if mine is None:
        return False
    return any(_owned(call, mine.tb_frame, mine.tb_next is None, own) for call in _calls(mine))


def _owned(call: ast.Call, frame: FrameType, last: bool, own: Own) -> bool:
    """Whether a call is of an extension of the module's own; torch calls what is registered with it."""
    text = ast.unparse(call.func)
    if text.startswith("torch.ops."):
        return text.split(".")[2] not in _TORCH
    function = _named(call.func, frame)
    if not last or function is None or isinstance(function, type):
        return False
    holder = _named(call.func.value, frame) if isinstance(call.func, ast.Attribute) else None
    home = holder if isinstance(holder, ModuleType) else sys.modules.get(_home(function))
    place = str(getattr(home, "__file__", None) or "")
    return place.endswith(_COMPILED) and (own.has(place) or not _shared(Path(place).resolve().parent))


def _calls(at: TracebackType) -> list[ast.Call]:
    """The call at which a frame of a traceback stands; before Python 3.11 those of its line."""
    code = at.tb_frame.f_code
    lines = linecache.getlines(code.co_filename)
    where = _positions(code, at.tb_lasti)
    try:
        if where is None:
            tree: ast.AST = ast.parse(lines[at.tb_lineno - 1].strip())
            return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        first, end, start, stop = where
        text = [line.encode() for line in lines[first - 1 : end]]
        text[-1] = text[-1][:stop]
        text[0] = text[0][start:]
        node = ast.parse(b"".join(text).decode(), mode="eval").body
    except (SyntaxError, ValueError, IndexError):
        return []
    return [node] if isinstance(node, ast.Call) else []


def _positions(code: CodeType, at: int) -> tuple[int, int, int, int] | None:
    """First and last line, first and last column of an instruction; None before Python 3.11."""
    find = getattr(code, "co_positions", None)
    if find is None:
        return None
    found = next((p for i, p in enumerate(find()) if 2 * i == at), None)
    return None if found is None or None in found else found


def _named(expression: ast.expr, frame: FrameType) -> Any:
    """What a name, or attributes of one, stand for in a frame."""
    if isinstance(expression, ast.Name):
        return frame.f_locals.get(expression.id, frame.f_globals.get(expression.id))
    if isinstance(expression, ast.Attribute):
        return getattr(_named(expression.value, frame), expression.attr, None)
    return None


def _home(value: Any) -> str:
    """The name of the module that something is from."""
    owner = getattr(value, "__self__", None)
    if isinstance(owner, ModuleType):
        return owner.__name__
    return str(getattr(value, "__module__", None) or type(value).__module__)


def _shared(folder: Path) -> bool:
    """Whether a folder holds the packages of many people, or Python's own."""
    paths = sysconfig.get_paths()
    python = [Path(paths[name]).resolve() for name in ("stdlib", "platstdlib") if name in paths]
    inside = any(folder.is_relative_to(place) for place in python)
    return inside or not _INSTALLED.isdisjoint(folder.parts)
