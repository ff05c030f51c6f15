"""Planted faults: correct NumPy functions with one of them replaced by a wrong one.

Each wrong function is written out as somebody would write it, with loops or einsum, and shares nothing
with `conformance.faults`; so that a diagnosis is right here says something about kernels not seen before.
"""

from __future__ import annotations

from tests.planted import (  # noqa: F401
    conv,
    conv_gradients,
    conv_transpose,
    dense,
    elementwise,
    norm,
    pooling,
    shuffle,
    units,
)
from tests.planted.fault import FAULTS, Fault, implementation

__all__ = ["FAULTS", "Fault", "implementation"]
