"""Choose, once at import, the build of the kernels for the best instruction set of this processor."""

import os
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from cnnref._processor import runnable

VARIABLE = "CNNREF_ISA"


def _built(name: str) -> bool:
    return find_spec(f"cnnref._{name}.conv") is not None


def available() -> tuple[str, ...]:
    """The instruction sets that are built and that this processor runs, best first."""
    return tuple(name for name in runnable() if _built(name))


def _choose() -> str:
    wanted = os.environ.get(VARIABLE, "")
    names = available()
    if not names:
        raise ImportError("cnnref: no compiled kernels were found; build them with `pip install .`")
    if not wanted:
        return names[0]
    if wanted not in names:
        raise ImportError(
            f"cnnref: {VARIABLE} is {wanted[:40]!r}, expected one of {', '.join(names)} "
            "on this processor and build"
        )
    return wanted


#: The instruction set in use.
ISA = _choose()


def load(name: str) -> ModuleType:
    """The operation module `name` as built for the chosen instruction set."""
    return import_module(f"cnnref._{ISA}.{name}")
