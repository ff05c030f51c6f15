"""Does an implementation of the post's CNN functions give the right answers, and if not, why.

Imports run one way: a room uses those named before it (README.md has the map).

``cases``, ``operations``     a case is one line of text; the functions judged
``generation``                the cases of a run and their arrays, the same bits everywhere
``oracle``                    the right answer: PyTorch autograd in float64
``bounds``                    how far from it rounding may lead
``conventions``               the choices that frameworks make differently
``faults``                    which known fault explains a failure
``implementations``           the module under test, and how it is called
``verdict``                   an output compared, and the record of it
``diagnosis``                 where it is wrong, in the smallest case
``report``                    what a person opens
``runs``                      case by case, in several processes; what CI compares
``commands``                  the command line
``adapters``                  other implementations, loaded by name

``conformance.check`` (`conformance.interface`) is all of it as a function.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

try:
    __version__ = version("cnnref")  # pyproject.toml has it
except PackageNotFoundError:  # built in place, not installed
    __version__ = "unknown"


def __getattr__(name: str) -> Any:
    """`check`, of which nothing is imported before it is used: it takes PyTorch."""
    if name not in ("check", "Checked", "Failure"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("conformance.interface"), name)
