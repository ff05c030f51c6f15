"""Arrays as they lie in the memory of real programs: the same values, other strides, bytes and addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases.script import LABELS

Array = NDArray[Any]


def formed(arrays: Mapping[str, Array], form: str) -> dict[str, Array]:
    """Copies of `arrays` in a form (`script.FORMS`); numbers stay as they are."""
    if form in LABELS:
        return {name: a.astype(form) if a.dtype.kind == "i" else a.copy() for name, a in arrays.items()}
    return {name: _FORMS[form](a) if form and a.ndim else a.copy() for name, a in arrays.items()}


def _negative(a: Array) -> Array:
    turned = (slice(None, None, -1),) * a.ndim
    found: Array = np.ascontiguousarray(a[turned])[turned]
    return found


def _slice(a: Array) -> Array:
    larger = np.full([2 * extent + 1 for extent in a.shape], 77, a.dtype)
    part: Array = larger[(slice(1, None, 2),) * a.ndim]
    part[...] = a
    return part


def _read_only(a: Array) -> Array:
    copy: Array = a.copy()
    copy.flags.writeable = False
    return copy


def _swapped(a: Array) -> Array:
    found: Array = a.copy()
    if a.dtype.kind in "fiu":
        found = a.astype(a.dtype.newbyteorder())
    return found


def _unaligned(a: Array) -> Array:
    found: Array = np.ndarray(a.shape, a.dtype, bytearray(a.nbytes + 1), 1)
    found[...] = a
    return found


def _expanded(a: Array) -> Array:
    """Where every entry along the first axis is the same, one of them for all."""
    same = len(a) > 1 and (a[1:].tobytes() == a[:1].tobytes() * (len(a) - 1))
    found: Array = np.broadcast_to(a[:1].copy(), a.shape) if same else a.copy()
    return found


_FORMS = {
    "fortran": lambda a: a.copy(order="F"),
    "negative": _negative,
    "slice": _slice,
    "read-only": _read_only,
    "swapped": _swapped,
    "unaligned": _unaligned,
    "expanded": _expanded,
}
