"""Random integers that are the same on every machine: the raw output of PCG64, seeded by a hash of a text.

NumPy fixes the integer stream of its bit generators for good, but not what ``Generator.normal`` makes of
it, and ``log`` or ``exp`` differ between C libraries. So everything here is integers, exact conversions,
powers of two and single IEEE-754 operations.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
Integers = NDArray[np.int64]
Floats = NDArray[np.floating[Any]]


class Stream:
    """A stream of random integers seeded by `text`."""

    def __init__(self, text: str) -> None:
        digest = hashlib.sha256(text.encode()).digest()
        self._bits = np.random.PCG64(int.from_bytes(digest[:16], "little"))

    def raw(self, shape: Shape) -> NDArray[np.uint64]:
        """64 random bits for each element."""
        return self._bits.random_raw(math.prod(shape)).reshape(shape)

    def integers(self, low: int, high: int, shape: Shape) -> Integers:
        """Whole numbers of `low` .. `high`, both included; ``high - low`` below 2**62."""
        # The remainder prefers small values by less than one part in 2**(63 - bits): data, not statistics.
        span = np.uint64(high - low + 1)
        values: Integers = ((self.raw(shape) >> np.uint64(1)) % span).astype(np.int64) + low
        return values

    def signs(self, shape: Shape) -> Integers:
        """-1 or 1."""
        values: Integers = 1 - 2 * (self.raw(shape) >> np.uint64(63)).astype(np.int64)
        return values


def full_mantissa(values: Floats, dtype: np.dtype[Any]) -> Floats:
    """`values` in `dtype` with the last bit of every significand set.

    A value that had passed through a narrower format (bfloat16, TF32, float32 for float64) could not have
    it, so every such loss shows. Zeros stay zero.
    """
    rounded = np.array(values, dtype=dtype, order="C")
    bits = rounded.view(np.uint32 if dtype.itemsize == 4 else np.uint64)
    bits |= (rounded != 0).astype(bits.dtype)
    return rounded


def normal(stream: Stream, shape: Shape, dtype: np.dtype[Any]) -> Floats:
    """Zero-mean, nearly normal (a sum of four uniform values), standard deviation 1.15, full mantissa."""
    first, second = stream.raw(shape), stream.raw(shape)
    lane = np.uint64(0xFFFF)
    total = sum((first >> np.uint64(shift)) & lane for shift in (0, 16, 32, 48))
    fine = (second >> np.uint64(22)).astype(np.int64)
    value = ((np.asarray(total).astype(np.int64) - 2 * 0xFFFF) << 42) + fine - (1 << 41)
    return full_mantissa(value.astype(np.float64) * 2.0**-57, dtype)


def uniform(stream: Stream, shape: Shape, dtype: np.dtype[Any], low: int = 0, high: int = 1) -> Floats:
    """Values between the whole numbers `low` and `high`, full mantissa, never zero."""
    fraction = ((stream.raw(shape) >> np.uint64(11)) | np.uint64(1)).astype(np.float64) * 2.0**-53
    return full_mantissa(low + (high - low) * fraction, dtype)


def magnitudes(stream: Stream, shape: Shape, dtype: np.dtype[Any], octaves: int = 13) -> Floats:
    """Random signs and magnitudes of 2**-octaves .. 2**octaves, log-normal-like, full mantissa."""
    third = octaves // 3
    exponent = sum(stream.integers(-third, third, shape) for _ in range(3))
    significand = uniform(stream, shape, dtype, 1, 2).astype(np.float64)
    return full_mantissa(
        np.ldexp(significand, np.asarray(exponent, dtype=np.int32)) * stream.signs(shape), dtype
    )
