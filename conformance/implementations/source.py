"""Where in somebody's source an exception came up: file, line, and three lines of it."""

from __future__ import annotations

import linecache
import sysconfig
import traceback
from pathlib import Path
from types import FrameType

#: Of a line so many characters are shown.
_WIDTH = 100
_HERE = Path(__file__).parent
#: Where nobody looks for a mistake of their own: the standard library and what kernels are written with.
_LIBRARIES = frozenset((
    "numpy", "scipy", "torch", "jax", "jaxlib", "numba", "llvmlite", "triton", "tensorflow", "onnx",
    "onnxruntime", "cython", "conformance",
))  # fmt: skip
_INSTALLED = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib"))
_STANDARD = Path(sysconfig.get_path("stdlib")).resolve()


def one_line(error: BaseException) -> str:
    """The type and the text of an exception."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def told(error: BaseException) -> str:
    """An exception, and under it the place in the source that is nobody's library, if there is one."""
    place = shown(error)
    return f"{one_line(error)}\n{place}" if place else one_line(error)


def shown(error: BaseException) -> str:
    """File, line and three lines of source of the innermost place that is no library's, if there is one.

    Of what cannot be parsed the place is the error's own.
    """
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return _lines(error.filename, error.lineno, "")
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if _of_somebody(frame)]
    if not frames:
        return ""
    frame, line = frames[-1]
    return _lines(frame.f_code.co_filename, line, frame.f_code.co_name)


def _of_somebody(frame: FrameType) -> bool:
    name = frame.f_code.co_filename
    if name.startswith("<"):
        return False
    place = Path(name).resolve()
    for folder in _INSTALLED:
        if folder in place.parents:
            return place.relative_to(folder).parts[0].lower() not in _LIBRARIES
    return _HERE not in place.parents and _STANDARD not in place.parents


def _lines(name: str, line: int, function: str) -> str:
    head = f"{Path(name).name}, line {line}" + (
        f", in {function}" if function not in ("", "<module>") else ""
    )
    found = []
    for number in range(max(1, line - 1), line + 2):
        text = linecache.getline(name, number).rstrip()
        if text or number == line:
            found.append(f"  {'>' if number == line else ' '} {number:4d}  {text[:_WIDTH]}")
    return "\n".join([f"  {head}", *found])
