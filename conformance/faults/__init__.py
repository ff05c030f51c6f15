"""The catalogue of known faults: each a `Slip`, a small function from a case to the wrong outputs.

One file per family of operations registers its slips in `CATALOGUE`; `core` is the right computation
they change, `rounding` how far a kernel's rounding may take a result.
"""

from __future__ import annotations

# In the order of the catalogue, which is that of the search for a diagnosis.
from conformance.faults import activation, affine, conv, general, numeric  # noqa: F401

# isort: split
from conformance.faults import (  # noqa: F401
    element_loss,
    exponential,
    half,
    loss,
    loss_options,
    norm,
    padding,
    pool,
    prelu,
    rational,
    reorder,
    units,
    window_options,
)
from conformance.faults.catalogue import CATALOGUE, DEVICE_ERROR, KILLED, RAISED, Slip, is_diagnosis

__all__ = ["CATALOGUE", "DEVICE_ERROR", "KILLED", "RAISED", "Slip", "is_diagnosis"]
