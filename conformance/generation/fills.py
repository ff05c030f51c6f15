"""How an array of a family is filled: one small function per kind of value.

A fill is called as ``fill(stream, shape, case, drawn)``: the case gives the dtype and the length of its
sums, `drawn` holds the arrays drawn before this one. What it returns is exact in the case's dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case
from conformance.cases.dtypes import finfo, working
from conformance.cases.window import transposed
from conformance.generation.random import Shape, Stream, full_mantissa, normalised
from conformance.generation.random import coordinates as counted

Array = NDArray[Any]
Drawn = Mapping[str, Array]
Fill = Callable[[Stream, Shape, Case, Drawn], Array]

#: Wide integers of the exact families: more bits than bfloat16, float16 and TF32 (8 to 11) keep, and for
#: float64 more than float32 keeps.
_WIDE = {"f32": 12, "f64": 40, "f16": 11, "bf16": 8}
#: Exponents of huge values: far beyond a narrower dtype, with room for sums of 10**4 of them where sums are
#: computed.
_HUGE = {"f32": 110, "f64": 500, "f16": 14, "bf16": 110}
#: Where exp and the sigmoids end.
_ENDS = np.array([16.5, 36.5, 87.5, 88.5, 103.5, 708.5, 709.5, 745.0, 10000.0])
_DOUBLE = np.dtype(np.float64)
#: Exponents of numbers whose cubes overflow, and their squares do not; of float16, of its largest numbers.
_POWERS = {"f32": (44, 62), "f64": (343, 510), "f16": (13, 15), "bf16": (44, 62)}
#: Exponents of the smallest subnormal numbers.
SMALLEST = {"f32": -149, "f64": -1074, "f16": -24, "bf16": -133}


#: The longest sum for which `small_integers` stay exact in float32: 49 * 2**18 < 2**24.
LONGEST_EXACT = 2**18


def longest_sum(case: Case) -> int:
    """The number of terms in the longest sum behind any output of `case`, the bias included."""
    return case.operation.longest(case)


def wide_bits(case: Case) -> int:
    """How wide integers may be for every partial sum against +-1 to be exact in the dtype of `case`."""
    terms = min(longest_sum(case), LONGEST_EXACT)
    return min(_WIDE[case.dtype], _mantissa(case.dtype) - (terms - 1).bit_length())


@cache
def _mantissa(dtype: str) -> int:
    """Bits of the numbers that sums are computed in."""
    return int(finfo(working(dtype)).nmant) + 1


def normal(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Zero-mean, nearly normal, full mantissa."""
    return stream.normal(shape, case.numpy_dtype)


def positive(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Between 0 and 2, full mantissa."""
    return stream.uniform(shape, case.numpy_dtype, 0, 2)


def huge(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Between 0 and a huge number, full mantissa."""
    values = positive(stream, shape, case, drawn)
    values *= 2.0 ** _HUGE[case.dtype]
    return values


def negative(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Between -2 and 0, full mantissa."""
    values = positive(stream, shape, case, drawn)
    values *= -1
    return values


def magnitudes(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Magnitudes of 10**-4 to 10**4, random signs, full mantissa."""
    return stream.magnitudes(shape, case.numpy_dtype)


def variances(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Between 1/2 and 2, full mantissa."""
    values = stream.uniform(shape, case.numpy_dtype, 1, 4)
    values *= 0.5
    return values


def offset(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """A mean of 1000 deviations: a variance as the difference of two means loses its digits."""
    return stream.normal(shape, case.numpy_dtype, mean=1000)


def signs(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """-1 or 1."""
    return stream.signs(shape, case.numpy_dtype)


def zero(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Zeros."""
    return np.zeros(shape, case.numpy_dtype)


def small_integers(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """+-1 .. +-7: never zero, so that each term of a sum can be missed."""
    return stream.signed(1, 7, shape, case.numpy_dtype)


def wide_integers(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Odd integers that use all of the bits that the sums leave room for."""
    half = 1 << (wide_bits(case) - 2)
    return stream.signed(half, 2 * half - 1, shape, case.numpy_dtype, odd=True)


def coordinates(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """1, 2, 3, ... in C order, so that a value says where it came from."""
    return counted(shape, (1 << wide_bits(case)) - 1, case.numpy_dtype)


def one_tap(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Filters with a single weight that is not zero, a power of two: each output copies one input."""
    if transposed(case):
        return _one_tap_of_each_output(stream, shape, case)
    filters = 1 if len(shape) == 3 else shape[-1]  # one window alone has no axis of filters
    weights = np.zeros((math.prod(shape) // filters if filters else 0, filters))
    if weights.size:
        taps = stream.integers(0, len(weights) - 1, (filters,))
        weights[taps, np.arange(filters)] = _power_of_two(stream, (filters,))
    return weights.reshape(shape)


def _one_tap_of_each_output(stream: Stream, shape: Shape, case: Case) -> Array:
    """The same for the filters of a transposed convolution ``(f_h, f_w, n_C / groups, n_C_prev)``."""
    weights = np.zeros(shape)
    if weights.size:
        f_h, f_w, of_group, channels = shape
        o, group = np.divmod(np.arange(case["k"]), of_group)[::-1]
        channel = group * (channels // case["g"]) + stream.integers(0, channels // case["g"] - 1, o.shape)
        tap = stream.integers(0, f_h * f_w - 1, o.shape)
        weights[tap // f_w, tap % f_w, o, channel] = _power_of_two(stream, o.shape)
    return weights


def one_hot(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """A single entry that is not zero, a power of two."""
    values = np.zeros(math.prod(shape))
    if values.size:
        values[stream.integers(0, values.size - 1, (1,))] = _power_of_two(stream, (1,))
    return values.reshape(shape)


def _power_of_two(stream: Stream, shape: Shape) -> Array:
    return np.ldexp(stream.signs(shape).astype(np.float64), stream.integers(1, 6, shape).astype(np.int32))


def few_values(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """-1, 0 and 1: most windows hold several maxima, and many entries are zero."""
    return stream.integers(-1, 1, shape, case.numpy_dtype)


def rectified(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """What a relu leaves: about half of it zeros, some of them negative zeros."""
    # A kernel that fails to treat -0 as zero shows.
    return stream.normal(shape, case.numpy_dtype, rectified=True)


def subnormal_integers(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Small integers in units of 16 smallest subnormals: sums and sixteenths of them stay exact."""
    return stream.signed(1, 7, shape, case.numpy_dtype, scale=2.0 ** (SMALLEST[case.dtype] + 4))


def nearly_constant(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """1 and a little: against `alternating`, sums cancel to a small part of their terms."""
    return stream.normal(shape, case.numpy_dtype, mean=1, scale=2.0**-9)


def alternating(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Signs alternate along the flattened leading axes; the last axis shares the sign."""
    values = nearly_constant(stream, shape, case, drawn)
    rows = values.reshape(math.prod(shape[:-1]), shape[-1])
    rows[1::2] *= -1
    return values


def checkered(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Signs alternate along the flattened leading axes and along the last one."""
    values = alternating(stream, shape, case, drawn)
    values[..., 1::2] *= -1
    return values


def with_nan(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """NaN in the first and the last corner; for pools in all channels of the first."""
    values = normal(stream, shape, case, drawn)
    if values.size:
        values.reshape(-1)[-1] = np.nan
        # A whole pixel: each SIMD lane has to treat NaN as its neighbours do.
        values[(0,) * (values.ndim - 1) if "pool" in case.operation.traits else (0,) * values.ndim] = np.nan
    return values


def with_infinities(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """+inf in the first corner, -inf in the last one."""
    values = normal(stream, shape, case, drawn)
    if values.size:
        values.reshape(-1)[[-1, 0]] = -np.inf, np.inf
    return values


def with_infinity(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """+inf in the first corner."""
    values = normal(stream, shape, case, drawn)
    values.reshape(-1)[:1] = np.inf
    return values


def extremes(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """The largest number, the smallest normal one, the smallest of all, and 1, of either sign."""
    info = finfo(case.numpy_dtype)
    ends = np.array([float(info.max), float(info.tiny), 2.0 ** SMALLEST[case.dtype], 1.0])
    chosen = ends[stream.integers(0, len(ends) - 1, shape)] * stream.signs(shape)
    return np.asarray(chosen, case.numpy_dtype)


def closed_row(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Every logit of the first row is -inf."""
    values = normal(stream, shape, case, drawn)
    values[:1] = -np.inf
    return values


def tails(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """One logit of each row is 0; the others lie below it, as far as exp has an answer in the dtype."""
    reach = -SMALLEST[case.dtype] * math.log(2) - 2
    values = full_mantissa(stream.uniform(shape, _DOUBLE, -reach, -1), case.numpy_dtype)
    values[np.arange(shape[0]), stream.integers(0, shape[1] - 1, shape[:1])] = 0
    return values


def with_lowest(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """-inf throughout the first channel of the first sample, and in a third of the rest."""
    values = normal(stream, shape, case, drawn)
    values[stream.integers(0, 2, shape) == 0] = -np.inf
    if "pool" in case.operation.traits:
        values[:1, :, :, :1] = -np.inf
    return values


def saturating(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Where exp ends: round +-15 to 20, the last normal and subnormal results, and far beyond."""
    return stream.around(_ENDS, shape, case.numpy_dtype)


def powers(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Of either sign, so large that the cube overflows in the arithmetic, and the square does not."""
    low, high = _POWERS[case.dtype]
    values = stream.signs(shape) * (1 + stream.uniform(shape, _DOUBLE, 0, 0.5))
    return full_mantissa(np.ldexp(values, stream.integers(low, high, shape)), case.numpy_dtype)


def large(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Ten times what `normal` gives, as nearly as a power of two can."""
    values = normal(stream, shape, case, drawn)
    values *= 8
    return values


def shifted_rows(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Ordinary differences on top of +-1000 or +-10000: exp without the shift gives inf / inf or 0 / 0."""
    shifts = np.array([1000.0, -1000.0, 10000.0, -10000.0])[stream.integers(0, 3, (*shape[:-1], 1))]
    return full_mantissa(shifts + stream.normal(shape, _DOUBLE), case.numpy_dtype)


def constant_channels(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """The same value throughout a channel; throughout a pixel, where its channels are normalized."""
    if "each pixel" in case.operation.traits:
        return constant_rows(stream, shape, case, drawn)
    return np.broadcast_to(normal(stream, (1, 1, 1, shape[-1]), case, drawn), shape)


def constant_rows(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """The same value throughout a row."""
    return np.broadcast_to(normal(stream, (*shape[:-1], 1), case, drawn), shape)


def masked_logits(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """One logit of each row is -inf, as an attention mask leaves it."""
    values = normal(stream, shape, case, drawn)
    values[np.arange(shape[0]), stream.integers(0, shape[1] - 1, shape[:1])] = -np.inf
    return values


def stochastic(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Rows of positive probabilities that sum to one as nearly as the dtype can."""
    return normalised(stream.integers(1 << 20, 1 << 40, shape), case.numpy_dtype)


def uneven(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Rows of probabilities between about 2**-26 and 1."""
    return normalised(np.abs(stream.magnitudes(shape, _DOUBLE)), case.numpy_dtype)


def tiny(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Probabilities far below 1, some subnormal: their logarithms are ordinary numbers."""
    lowest = SMALLEST[case.dtype]
    exponent = stream.integers(lowest + 4, -20, shape).astype(np.int32)
    return np.array(np.ldexp(stream.uniform(shape, _DOUBLE, 1, 2), exponent), case.numpy_dtype)


def certain(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Rows with a single one: the logarithm is zero."""
    return np.eye(shape[1])[stream.integers(0, shape[1] - 1, shape[:1])]


def labels(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Any class."""
    return stream.integers(0, case["n"] - 1, shape)


def few_labels(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """Class 0 and every other even class missing: a label's rank among those present is not the label."""
    return 2 * stream.integers(0, case["n"] // 2 - 1, shape) + 1


def likeliest(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """The class of the largest probability."""
    return np.array(np.argmax(drawn["AL"], axis=1))


def unlikeliest(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """The first row's label has probability zero, the others have theirs."""
    return np.concatenate([np.argmin(drawn["AL"][:1], axis=1), np.argmax(drawn["AL"][1:], axis=1)])


def undefined(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """The first row's label, and the last one's, have a probability that is NaN, if one of the row is."""
    return np.concatenate([np.isnan(drawn["AL"]).argmax(axis=1)[:1], labels(stream, shape, case, drawn)[1:]])


def all_ignored(stream: Stream, shape: Shape, case: Case, drawn: Drawn) -> Array:
    """The ignored label throughout."""
    return np.full(shape, case["ignore"])


def with_ignored(stream: Stream, labels: Array, case: Case) -> Array:
    """The labels with ignored ones among them, where the case has any; of several rows one counts."""
    ignored = case.value("ignore") if "ignore" in case.operation.option else "none"
    if not isinstance(ignored, int) or len(labels) < 2:
        return labels
    chosen = stream.integers(0, 2, labels.shape) == 0
    chosen[-1] = True
    chosen[0] = False
    labels = np.where(chosen, ignored, labels)
    if labels[0] == ignored:
        labels[0] = (ignored + 1) % max(case["n"], 1)
    return labels
