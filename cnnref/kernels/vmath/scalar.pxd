"""exp and log from correctly rounded operations alone, so that every build gives the same bits, NaN aside.

``exp`` and ``log`` have no branch and call nothing. ``exp.pxd`` has ``exp`` for several vectors at a time, with the
same bits. Errors: exp below 0.99 ULP in float32 and 1.09 ULP in float64, log below 0.53 ULP in float64 (sampled);
overflow, underflow and subnormal results are those of the exact value rounded within the same error.

Method of ``exp``: ``x = k ln(2)/16 + r`` with ``|r| <= ln(2)/32``. ``k ln2_high/16`` is subtracted exactly by one fused
multiply-add, ``k ln2_low/16`` by another. ``e^x = 2^(k/16) + 2^(k/16) (r + r^2 q(r))``: the power has its fraction from a
table (``exp2_table.pxd``), and q, of degree 1 (float32) or 4 (float64), interpolates ``(e^r - 1 - r) / r^2`` where the
largest error of the whole is smallest, 2^-29.2 and 2^-56.3. Tang 1989, "Table-driven implementation of the
exponential function in IEEE floating-point arithmetic".

Method of ``log``: ``x = 2^k m`` with m around 1, ``log m = 2 atanh(s)``, ``s = (m - 1) / (m + 1)``, by the series
of atanh as far as s^21; the quotient's and the sum's rounding errors are kept.
"""

from libc.math cimport INFINITY, NAN
from libc.stdint cimport int64_t, uint32_t, uint64_t

from cnnref.kernels.base.types cimport multiply_add, real
from cnnref.kernels.vmath.exp2_table cimport cnnref_bits_d, cnnref_bits_f, cnnref_float_d, cnnref_float_f, entry, power


cdef inline real shifter(real x, const int exponent) noexcept nogil:
    """1.5 * 2^23 or 1.5 * 2^52: adding it leaves an integer in the lowest bits; here one that is ``16 exponent`` more."""
    if real is float:
        return <real>12582912.0 + 16 * exponent
    else:
        return <real>6755399441055744.0 + 16 * exponent


cdef inline real sixteenths(real x, real shift) noexcept nogil:
    """The integer closest to ``16 x / ln 2``, plus `shift`."""
    return multiply_add(x, <real>23.083120654223414, shift)


cdef inline real reduced(real x, real k) noexcept nogil:
    """``x - k ln(2) / 16``."""
    cdef real r
    if real is float:
        r = multiply_add(-k, <real>0.043321698904037476, x)
        return multiply_add(k, <real>1.190408937473605e-10, r)
    else:
        r = multiply_add(-k, <real>0.04332169878499658, x)
        return multiply_add(-k, <real>1.4494042586539372e-18, r)


cdef inline real expm1_reduced(real r) noexcept nogil:
    """``e^r - 1`` for ``|r| <= ln(2) / 32``."""
    cdef real r2 = r * r, low, high
    if real is float:
        low = multiply_add(<real>0.16666990518569946, r, <real>0.5000162124633789)
        return multiply_add(low, r2, r)
    else:
        low = multiply_add(<real>0.16666666664417829, r, <real>0.5)
        high = multiply_add(<real>0.008333471924439253, r, <real>0.04166666666385563)
        high = multiply_add(<real>0.0013889062127513245, r2, high)
        return multiply_add(multiply_add(high, r2, low), r2, r)


cdef inline real least_exponent(real like) noexcept nogil:
    """Below this nothing is left of exp."""
    if real is float:
        return -105
    else:
        return -747


cdef inline real power_of_two(real shifted) noexcept nogil:
    """``2^k`` for ``shifted = k + shifter``."""
    if real is float:
        return cnnref_float_f((cnnref_bits_f(shifted) + <uint32_t>127) << 23)
    else:
        return cnnref_float_d((cnnref_bits_d(shifted) + <uint64_t>1023) << 52)


cdef inline real exp_times(real x, const int exponent) noexcept nogil:
    """``e^x 2^exponent``, where that is neither subnormal nor too large."""
    cdef real shift = shifter(x, exponent)
    cdef real number = sixteenths(x, shift)
    cdef real factor = power(entry(number), number)
    return multiply_add(expm1_reduced(reduced(x, number - shift)), factor, factor)


cdef inline real within_exp(real x) noexcept nogil:
    """`x`, or the closest number where e^x is as good as 0 or infinite; NaN stays."""
    cdef real least = least_exponent(x), most
    if real is float:
        most = 89
    else:
        most = 710
    x = least if x < least else x
    return most if x > most else x


cdef inline real half_exponent(real k, real shift) noexcept nogil:
    """About half the exponent of ``2^(k/16)``, plus `shift`: in two steps, a subnormal result is rounded once."""
    return multiply_add(k, <real>0.03125, shift)


cdef inline real other_half(real k, real half, real shift) noexcept nogil:
    """What is left of k, plus `shift`."""
    return multiply_add(half - shift, <real>-16, k) + shift


cdef inline real exp(real x) noexcept nogil:
    """e^x; inf above the largest, 0 below the smallest number, NaN for NaN."""
    cdef real shift = shifter(x, 0), bounded = within_exp(x), k = sixteenths(bounded, shift) - shift
    cdef real half = half_exponent(k, shift), number = other_half(k, half, shift)
    cdef real factor = power(entry(number), number)
    return multiply_add(expm1_reduced(reduced(bounded, k)), factor, factor) * power_of_two(half)


cdef inline real exp_nonpositive(real x) noexcept nogil:
    """e^x for ``x <= 0`` or NaN: the bits of ``exp``, sooner."""
    cdef real least = least_exponent(x)
    x = least if x < least else x
    if real is float:
        return exp_times(x, 64) * <real>5.421010862427522e-20  # 2^-64
    else:
        return exp_times(x, 512) * <real>7.458340731200207e-155  # 2^-512


cdef inline double log(double x) noexcept nogil:
    """Natural logarithm: -inf at 0, NaN below 0 and for NaN, inf at inf."""
    cdef double k, m, f, d, s, lost, z, series, high, total
    cdef uint64_t bits
    cdef bint subnormal = x < 2.2250738585072014e-308
    m = x * 18014398509481984.0 if subnormal else x  # 2^54
    k = -54.0 if subnormal else 0.0
    # m between sqrt(1/2) and sqrt(2): 0x3fe6a09e667f3bcd are the bits of sqrt(1/2).
    bits = cnnref_bits_d(m) - <uint64_t>0x3fe6a09e667f3bcd
    k += <double>((<int64_t>bits) >> 52)
    m = cnnref_float_d(cnnref_bits_d(m) - (bits & <uint64_t>0xfff0000000000000))
    f = m - 1
    d = f + 2
    s = f / d
    lost = (multiply_add(-s, d, f) - s * (f - (d - 2))) / d
    z = s * s
    series = 1.0 / 21
    series = multiply_add(series, z, 1.0 / 19)
    series = multiply_add(series, z, 1.0 / 17)
    series = multiply_add(series, z, 1.0 / 15)
    series = multiply_add(series, z, 1.0 / 13)
    series = multiply_add(series, z, 1.0 / 11)
    series = multiply_add(series, z, 1.0 / 9)
    series = multiply_add(series, z, 1.0 / 7)
    series = multiply_add(series, z, 1.0 / 5)
    series = multiply_add(series, z, 1.0 / 3)
    lost = 2 * multiply_add(s * z, series, lost)
    high = k * 0.693147180559663  # the upper 41 bits of ln 2: exact for every k
    total = high + 2 * s
    lost += 2 * s - (total - high)
    total = total + multiply_add(k, 2.8235290563031577e-13, lost)
    total = total if x < INFINITY else x  # inf and NaN
    total = total if x > 0 else (-INFINITY if x == 0 else NAN)
    return total
