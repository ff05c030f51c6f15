"""What storing a result in half adds to its bound: one rounding, at the end.

The rule for float16 and bfloat16: inputs are exact in float32, everything is computed there, each returned
array is rounded once, to nearest even. With z the float32 result and y the true one, ``|z - y| <= B``, the
bound in float32, and ``|half(z) - z|`` is at most half the spacing at ``|z| <= |y| + B``::

    |half(z) - y| <= B + spacing(|y| + B) / 2

Where B is zero the answer is known to the last bit: y, rounded.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from conformance.bounds.arithmetic import Bound, Limit
from conformance.cases.case import Case
from conformance.cases.dtypes import HALF, finfo

_EXPONENT = np.int64(0x7FF0 << 48)


def rounded(case: Case, output: str) -> bool:
    """Whether the output is stored in half; what is no array in half stays float32 or wider."""
    return case.dtype in HALF and case.operation.rounds(output)


def stored(case: Case, output: str, limit: Limit, expected: Limit) -> Limit:
    """The bound of an output with its rounding to half, from that in float32."""
    if not rounded(case, output):
        return limit
    reach = np.abs(expected) + limit
    known = np.abs(_nearest(case, expected) - expected)
    return np.where(limit == 0, known, limit + spacing(reach, case.numpy_dtype) / 2)


def exact(case: Case, output: str, bound: Bound, expected: Limit) -> Bound:
    """An output in which float32 rounds nothing: the true value, rounded once."""
    if not rounded(case, output):
        return bound
    return replace(bound, target=_nearest(case, expected))


def _nearest(case: Case, exact: Limit) -> Limit:
    """Numbers of float32, rounded to the dtype of the case."""
    with np.errstate(all="ignore"):
        return exact.astype(np.float32).astype(case.numpy_dtype).astype(np.float64)


def spacing(size: Limit, dtype: np.dtype[Any]) -> Limit:
    """The distance between neighbouring numbers of `dtype` at `size`, at least that of its smallest."""
    info = finfo(dtype)
    # The exponent alone is the power of two at or below a number; that of infinity is beyond the largest one.
    power = np.array(size)
    bits = power.view(np.int64)
    bits &= _EXPONENT
    np.maximum(power, float(info.tiny), out=power)
    np.minimum(power, 2.0 ** float(info.maxexp - 1), out=power)
    power *= float(info.eps)
    return power
