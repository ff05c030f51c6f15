"""exp for several vectors at a time: what one of them waits for, the others fill.

The bits are those of ``scalar.pxd``. `lanes` values are taken through each step together; the loops have constant
extents, so that the compiler keeps the values in registers.
"""

from libc.string cimport memcpy, memset

from cnnref.kernels.base.isa cimport always_inline, noinline, prefetch
from cnnref.kernels.base.register_block cimport MOST_COLUMNS, widest
from cnnref.kernels.base.types cimport multiply_add, real
from cnnref.kernels.vmath.exp2_table cimport entries, power
from cnnref.kernels.vmath.scalar cimport (
    expm1_reduced,
    half_exponent,
    least_exponent,
    other_half,
    power_of_two,
    reduced,
    shifter,
    sixteenths,
    within_exp,
)

cdef extern from *:
    """
    #if defined(__AVX2__)
    #include <immintrin.h>
    #endif

    /* Whether one of `count` values is above the limit; of a vector's or several vectors' values. */
    static inline int cnnref_above_f(const float *x, float limit, int count) {
        int i = 0;
    #if defined(__AVX512F__)
        __mmask16 above = 0;
        for (; i < count; i += 16)
            above |= _mm512_cmp_ps_mask(_mm512_loadu_ps(x + i), _mm512_set1_ps(limit), _CMP_GT_OQ);
        return above != 0;
    #elif defined(__AVX2__)
        __m256 above = _mm256_setzero_ps();
        for (; i < count; i += 8)
            above = _mm256_or_ps(
                above, _mm256_cmp_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(limit), _CMP_GT_OQ));
        return _mm256_movemask_ps(above) != 0;
    #else
        int above = 0;
        for (; i < count; i++)
            above |= x[i] > limit;
        return above;
    #endif
    }

    static inline int cnnref_above_d(const double *x, double limit, int count) {
        int i = 0;
    #if defined(__AVX512F__)
        __mmask8 above = 0;
        for (; i < count; i += 8)
            above |= _mm512_cmp_pd_mask(_mm512_loadu_pd(x + i), _mm512_set1_pd(limit), _CMP_GT_OQ);
        return above != 0;
    #elif defined(__AVX2__)
        __m256d above = _mm256_setzero_pd();
        for (; i < count; i += 4)
            above = _mm256_or_pd(
                above, _mm256_cmp_pd(_mm256_loadu_pd(x + i), _mm256_set1_pd(limit), _CMP_GT_OQ));
        return _mm256_movemask_pd(above) != 0;
    #else
        int above = 0;
        for (; i < count; i++)
            above |= x[i] > limit;
        return above;
    #endif
    }
    """
    bint cnnref_above_f(const float* x, float limit, int count) noexcept nogil
    bint cnnref_above_d(const double* x, double limit, int count) noexcept nogil

cdef enum:
    MOST_LANES = MOST_COLUMNS
    # Bytes from what is read to what is asked for: a page, where the processor's own guesses end.
    AHEAD = 4096
    LINE = 64


cdef inline int lanes(real like) noexcept nogil:
    """How many values are computed together: 4 vectors of 32 registers, 2 of 16."""
    return widest(like)


cdef inline always_inline ask_ahead(const real* x) noexcept nogil:
    """Have `lanes` values brought into the cache that are to be read soon; there need be no memory at all."""
    cdef int line
    for line in range(lanes(<real>0) * <int>sizeof(real) // LINE):
        prefetch(<const char*>x + AHEAD + line * LINE)


cdef inline always_inline exp_times_lanes(const real* x, real* out, const int exponent) noexcept nogil:
    """``e^x 2^exponent``, where that is neither subnormal nor too large; in place if need be."""
    cdef real[MOST_LANES] number
    cdef real[MOST_LANES] factor
    cdef real[MOST_LANES] r
    cdef real shift = shifter(<real>0, exponent)
    cdef int i
    for i in range(lanes(<real>0)):
        number[i] = sixteenths(x[i], shift)
    entries(number, factor, lanes(<real>0))
    for i in range(lanes(<real>0)):
        r[i] = reduced(x[i], number[i] - shift)
    for i in range(lanes(<real>0)):
        factor[i] = power(factor[i], number[i])
    for i in range(lanes(<real>0)):
        r[i] = expm1_reduced(r[i])
    for i in range(lanes(<real>0)):
        out[i] = multiply_add(r[i], factor[i], factor[i])


cdef inline bint any_above(const real* x, const real limit, const int count) noexcept nogil:
    """Whether one of `count` values, a multiple of `lanes`, is larger."""
    if real is float:
        return cnnref_above_f(x, limit, count)
    else:
        return cnnref_above_d(x, limit, count)


cdef inline bint any_far(const real* size) noexcept nogil:
    """Whether `exp_minus` needs `far` for one of `lanes` values."""
    if real is float:
        return any_above(size, <real>87, lanes(<real>0))
    else:
        return any_above(size, <real>708, lanes(<real>0))


cdef inline always_inline exp_minus(const real* size, real* out, const bint far) noexcept nogil:
    """e^-x for ``x >= 0`` or NaN; in place if need be. `far` where a result may be subnormal; no bit depends on it."""
    cdef real[MOST_LANES] x
    cdef real most = -least_exponent(<real>0)
    cdef int i
    for i in range(lanes(<real>0)):
        x[i] = most if far and size[i] > most else size[i]
    for i in range(lanes(<real>0)):
        x[i] = -x[i]
    if not far:
        exp_times_lanes(x, out, 0)
    elif real is float:
        exp_times_lanes(x, out, 64)
        for i in range(lanes(<real>0)):
            out[i] = out[i] * <real>5.421010862427522e-20  # 2^-64
    else:
        exp_times_lanes(x, out, 512)
        for i in range(lanes(<real>0)):
            out[i] = out[i] * <real>7.458340731200207e-155  # 2^-512


cdef inline noinline exp_lanes(const real* x, real* out) noexcept nogil:
    """e^x; inf above the largest, 0 below the smallest number, NaN for NaN."""
    cdef real[MOST_LANES] bounded
    cdef real[MOST_LANES] number
    cdef real[MOST_LANES] factor
    cdef real[MOST_LANES] half
    cdef real[MOST_LANES] k
    cdef real shift = shifter(<real>0, 0)
    cdef int i
    for i in range(lanes(<real>0)):
        bounded[i] = within_exp(x[i])
    for i in range(lanes(<real>0)):
        k[i] = sixteenths(bounded[i], shift) - shift
    for i in range(lanes(<real>0)):
        half[i] = half_exponent(k[i], shift)
    for i in range(lanes(<real>0)):
        number[i] = other_half(k[i], half[i], shift)
    entries(number, factor, lanes(<real>0))
    for i in range(lanes(<real>0)):
        factor[i] = power(factor[i], number[i])
    for i in range(lanes(<real>0)):
        out[i] = multiply_add(expm1_reduced(reduced(bounded[i], k[i])), factor[i], factor[i])
    for i in range(lanes(<real>0)):
        out[i] = out[i] * power_of_two(half[i])


cdef inline always_inline horner(real* p, const real* t, const real coefficient) noexcept nogil:
    """A step of Horner's rule."""
    cdef int i
    for i in range(lanes(<real>0)):
        p[i] = multiply_add(p[i], t[i], coefficient)


cdef inline void last_lanes(
    void (*apply)(int, const real*, const real*, real*, Py_ssize_t, double, double) noexcept nogil,
    int function, const real* z, const real* da, real* out, Py_ssize_t n, double option, double other
) noexcept nogil:
    """`apply` to n elements, fewer than `lanes`: to as many as that, beginning with them; `da` may be NULL."""
    cdef real[MOST_LANES] zs
    cdef real[MOST_LANES] das
    cdef real[MOST_LANES] results
    memset(zs, 0, sizeof(zs))
    memset(das, 0, sizeof(das))
    memcpy(zs, z, n * sizeof(real))
    if da != NULL:
        memcpy(das, da, n * sizeof(real))
    apply(function, zs, das, results, lanes(<real>0), option, other)
    memcpy(out, results, n * sizeof(real))
