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


_LANES = np.uint64(0x0000FFFF0000FFFF)
_SHIFTS = {by: np.uint64(by) for by in (1, 11, 16, 22, 32, 42)}
_ONE = np.uint64(1)
#: Elements worked on at a time: they stay in the cache.
_BLOCK = 4096


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
        drawn = self.raw(shape)
        drawn >>= _SHIFTS[1]
        drawn %= span
        values: Integers = drawn.view(np.int64)
        values += low
        return values

    def signs(self, shape: Shape) -> Integers:
        """-1 or 1."""
        values: Integers = self.raw(shape).view(np.int64)
        values >>= 63  # the sign's copies: 0 or -1
        values |= 1
        return values


def full_mantissa(values: Floats, dtype: np.dtype[Any]) -> Floats:
    """`values` in `dtype` with the last bit of every significand set.

    A value that had passed through a narrower format (bfloat16, TF32, float32 for float64) could not have
    it, so every such loss shows. Zeros stay zero.
    """
    rounded = np.array(values, dtype=dtype, order="C")
    bits = rounded.view(f"u{dtype.itemsize}")
    bits |= (rounded != 0).astype(bits.dtype)
    return rounded


def normal(stream: Stream, shape: Shape, dtype: np.dtype[Any]) -> Floats:
    """Zero-mean, nearly normal (a sum of four uniform values), standard deviation 1.15, full mantissa."""
    count = math.prod(shape)
    total, fine = stream.raw((count,)), stream.raw((count,))
    if count <= _BLOCK:
        return full_mantissa(_sums_of_four(total, fine).reshape(shape), dtype)
    values = np.empty(count)
    for start in range(0, count, _BLOCK):
        block = slice(start, start + _BLOCK)
        values[block] = _sums_of_four(total[block], fine[block])
    return full_mantissa(values.reshape(shape), dtype)


def _sums_of_four(total: NDArray[np.uint64], fine: NDArray[np.uint64]) -> NDArray[np.float64]:
    """The sums of the four lanes of 16 bits of `total`, made finer by 42 bits of `fine`; both are used up."""
    upper = total >> _SHIFTS[16]
    upper &= _LANES
    total &= _LANES
    total += upper  # two sums of two lanes
    np.right_shift(total, _SHIFTS[32], out=upper)
    total += upper
    total <<= _SHIFTS[42]  # the sum of all four; what stands above it is shifted out
    fine >>= _SHIFTS[22]
    total += fine
    value = total.view(np.int64)
    value -= (2 * 0xFFFF << 42) + (1 << 41)
    return np.multiply(value, 2.0**-57, dtype=np.float64)


def uniform(stream: Stream, shape: Shape, dtype: np.dtype[Any], low: int = 0, high: int = 1) -> Floats:
    """Values between the whole numbers `low` and `high`, full mantissa, never zero."""
    drawn = stream.raw(shape)
    drawn >>= _SHIFTS[11]
    drawn |= _ONE
    fraction = drawn * 2.0**-53
    fraction *= high - low
    fraction += low
    return full_mantissa(fraction, dtype)


def magnitudes(stream: Stream, shape: Shape, dtype: np.dtype[Any], octaves: int = 13) -> Floats:
    """Random signs and magnitudes of 2**-octaves .. 2**octaves, log-normal-like, full mantissa."""
    third = octaves // 3
    exponent = sum(stream.integers(-third, third, shape) for _ in range(3))
    significand = uniform(stream, shape, dtype, 1, 2).astype(np.float64)
    return full_mantissa(
        np.ldexp(significand, np.asarray(exponent, dtype=np.int32)) * stream.signs(shape), dtype
    )
