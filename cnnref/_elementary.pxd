"""exp and log from correctly rounded operations alone, so that every build gives the same bits.

``exp`` and ``log`` have no branch and call nothing, so that the compiler vectorises their loops. Errors: exp below
0.99 ULP in float32 and 1.02 ULP in float64, log below 0.53 ULP in float64 (sampled);
overflow, underflow and subnormal results are those of the exact value rounded within the same error.

Method of ``exp``: ``x = k ln 2 + r`` with ``|r| <= ln(2) / 2``. ``k ln2_high`` is subtracted exactly by one fused
multiply-add, ``k ln2_low`` by another. ``e^r = 1 + (r + r^2 q(r))``, where the coefficients of q interpolate
``(e^r - 1 - r) / r^2`` at Chebyshev points in 60 digits, rounded to the dtype; they leave a relative error of 2^-30
(float32) and 2^-61 (float64).

Method of ``log``: ``x = 2^k m`` with m around 1, ``log m = 2 atanh(s)``, ``s = (m - 1) / (m + 1)``, by the series
of atanh as far as s^21; the quotient's and the sum's rounding errors are kept.
"""

from libc.math cimport INFINITY, NAN
from libc.stdint cimport int64_t, uint32_t, uint64_t

from cnnref._types cimport multiply_add, real

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline uint32_t cnnref_bits_f(float x) { uint32_t n; memcpy(&n, &x, sizeof n); return n; }
    static inline uint64_t cnnref_bits_d(double x) { uint64_t n; memcpy(&n, &x, sizeof n); return n; }
    static inline float cnnref_float_f(uint32_t n) { float x; memcpy(&x, &n, sizeof x); return x; }
    static inline double cnnref_float_d(uint64_t n) { double x; memcpy(&x, &n, sizeof x); return x; }
    """
    uint32_t cnnref_bits_f(float x) noexcept nogil
    uint64_t cnnref_bits_d(double x) noexcept nogil
    float cnnref_float_f(uint32_t n) noexcept nogil
    double cnnref_float_d(uint64_t n) noexcept nogil


cdef inline real shifter(real x) noexcept nogil:
    """1.5 * 2^23 or 1.5 * 2^52: adding it leaves an integer in the lowest bits."""
    if real is float:
        return 12582912.0
    else:
        return 6755399441055744.0


cdef inline real power_of_two(real shifted, int offset) noexcept nogil:
    """``2^(k + offset)`` for ``shifted = k + shifter``."""
    if real is float:
        return cnnref_float_f((cnnref_bits_f(shifted) + <uint32_t>(127 + offset)) << 23)
    else:
        return cnnref_float_d((cnnref_bits_d(shifted) + <uint64_t>(1023 + offset)) << 52)


cdef inline real expm1_reduced(real x, real k) noexcept nogil:
    """``exp(x - k ln 2) - 1``, between sqrt(1/2) - 1 and sqrt(2) - 1.

    The polynomial is summed in pairs of terms, pairs of pairs, and so on: a chain of one term after the other
    would take twice as long.
    """
    cdef real r, r2, r4, low, high, q
    if real is float:
        r = multiply_add(-k, <real>0.693147182464599609375, x)
        r = multiply_add(k, <real>1.904654323148236e-09, r)
    else:
        r = multiply_add(-k, <real>0.693147180559945286226763982995, x)
        r = multiply_add(-k, <real>2.3190468138462996e-17, r)
    r2 = r * r
    if real is float:
        low = multiply_add(<real>0.1666666716337204, r, <real>0.5)
        high = multiply_add(<real>0.00833331048488617, r, <real>0.04166646674275398)
        q = multiply_add(<real>0.00019890980911441147, r, <real>0.0013933641603216529)
        q = multiply_add(multiply_add(q, r2, high), r2, low)
    else:
        r4 = r2 * r2
        q = multiply_add(<real>2.5105206475334834e-08, r, <real>2.7557273661174726e-07)
        q = multiply_add(<real>2.091467944897855e-09, r2, q)
        high = multiply_add(<real>2.75572554255029e-06, r, <real>2.4801587325533502e-05)
        low = multiply_add(<real>0.00019841269874800683, r, <real>0.0013888888888883752)
        q = multiply_add(q, r4, multiply_add(high, r2, low))
        high = multiply_add(<real>0.008333333333326141, r, <real>0.04166666666666667)
        low = multiply_add(<real>0.1666666666666667, r, <real>0.5)
        q = multiply_add(q, r4, multiply_add(high, r2, low))
    return multiply_add(r2, q, r)


cdef inline real times_power(real p, real power) noexcept nogil:
    """``(1 + p) * power`` for a power of two: rounded once."""
    return multiply_add(p, power, power)


cdef inline real exp(real x) noexcept nogil:
    """e^x; inf above the largest, 0 below the smallest number, NaN for NaN."""
    cdef real shift = shifter(x), shifted, half, k, least, most
    if real is float:
        least, most = -105, 89
    else:
        least, most = -747, 710
    x = least if x < least else x  # NaN passes both
    x = most if x > most else x
    shifted = multiply_add(x, <real>1.442695040888963407, shift)
    k = shifted - shift
    half = multiply_add(k, <real>0.5, shift)  # in two steps, so that a subnormal result is rounded once
    shifted = (k - (half - shift)) + shift
    return times_power(expm1_reduced(x, k), power_of_two(half, 0)) * power_of_two(shifted, 0)


cdef inline real exp_nonpositive(real x) noexcept nogil:
    """e^x for ``x <= 0`` or NaN: the bits of ``exp``, sooner."""
    cdef real shift = shifter(x), shifted, p
    if real is float:
        x = -105 if x < -105 else x
    else:
        x = -747 if x < -747 else x
    shifted = multiply_add(x, <real>1.442695040888963407, shift)
    p = expm1_reduced(x, shifted - shift)
    if real is float:
        return times_power(p, power_of_two(shifted, 64)) * <real>5.421010862427522e-20  # 2^-64
    else:
        return times_power(p, power_of_two(shifted, 512)) * <real>7.458340731200207e-155  # 2^-512


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
