"""Planted faults: correct NumPy functions with one of them replaced by a wrong one.

Each wrong function is written out as somebody would write it, with loops or einsum, and shares nothing
with `conformance.faults`; so that a diagnosis is right here says something about kernels not seen before.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from tests.planted.fault import FAULTS, Fault, implementation

__all__ = ["FAULTS", "Fault", "implementation"]

for _module in sorted(found.name for found in iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")
