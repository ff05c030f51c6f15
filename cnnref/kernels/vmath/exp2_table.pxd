"""2^(j/16) for j from 0 to 15, rounded to the dtype: looked up for a number, or for several vectors of numbers.

An entry is the power's bits less j in the place where the exponent's sixteenths would stand: adding an integer n, shifted
there, to entry ``n % 16`` gives the bits of 2^(n/16). AVX-512 and, for float32, AVX2 keep the table in registers.
"""

from libc.stdint cimport uint32_t, uint64_t

from cnnref.kernels.base.types cimport real

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__AVX2__)
    #include <immintrin.h>
    #endif

    static inline uint32_t cnnref_bits_f(float x) { uint32_t n; memcpy(&n, &x, sizeof n); return n; }
    static inline uint64_t cnnref_bits_d(double x) { uint64_t n; memcpy(&n, &x, sizeof n); return n; }
    static inline float cnnref_float_f(uint32_t n) { float x; memcpy(&x, &n, sizeof x); return x; }
    static inline double cnnref_float_d(uint64_t n) { double x; memcpy(&x, &n, sizeof x); return x; }

    static const uint32_t cnnref_powers_f[16] = {
        0x3f800000, 0x3f7daac3, 0x3f7b95c2, 0x3f79c3d3, 0x3f7837f0, 0x3f76f532, 0x3f75fed7, 0x3f75583f,
        0x3f7504f3, 0x3f7508a4, 0x3f75672a, 0x3f76248c, 0x3f7744fd, 0x3f78ccdf, 0x3f7ac0c7, 0x3f7d257d,
    };
    static const uint64_t cnnref_powers_d[16] = {
        0x3ff0000000000000, 0x3fefb5586cf9890f, 0x3fef72b83c7d517b, 0x3fef387a6e756238,
        0x3fef06fe0a31b715, 0x3feedea64c123422, 0x3feebfdad5362a27, 0x3feeab07dd485429,
        0x3feea09e667f3bcd, 0x3feea11473eb0187, 0x3feeace5422aa0db, 0x3feec49182a3f090,
        0x3feee89f995ad3ad, 0x3fef199bdd85529c, 0x3fef5818dcfba487, 0x3fefa4afa2a490da,
    };

    /* `count` entries, for the lowest four bits of as many numbers; a multiple of 16 for vectors. */
    static inline void cnnref_look_up_f(const float *numbers, float *entries, int count) {
        int i = 0;
    #if defined(__AVX512F__)
        const __m512 table = _mm512_loadu_ps((const float *)cnnref_powers_f);
        for (; i < count; i += 16)
            _mm512_storeu_ps(entries + i, _mm512_permutexvar_ps(_mm512_loadu_si512(numbers + i), table));
    #elif defined(__AVX2__)
        const __m256 low = _mm256_loadu_ps((const float *)cnnref_powers_f);
        const __m256 high = _mm256_loadu_ps((const float *)cnnref_powers_f + 8);
        for (; i < count; i += 8) {
            const __m256i index = _mm256_loadu_si256((const __m256i *)(numbers + i));
            const __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));  /* bit 3 as the sign */
            const __m256 first = _mm256_permutevar8x32_ps(low, index);
            _mm256_storeu_ps(
                entries + i, _mm256_blendv_ps(first, _mm256_permutevar8x32_ps(high, index), upper));
        }
    #else
        for (; i < count; i++)
            entries[i] = cnnref_float_f(cnnref_powers_f[cnnref_bits_f(numbers[i]) & 15]);
    #endif
    }

    static inline void cnnref_look_up_d(const double *numbers, double *entries, int count) {
        int i = 0;
    #if defined(__AVX512F__)
        const __m512d low = _mm512_loadu_pd((const double *)cnnref_powers_d);
        const __m512d high = _mm512_loadu_pd((const double *)cnnref_powers_d + 8);
        for (; i < count; i += 8)
            _mm512_storeu_pd(entries + i, _mm512_permutex2var_pd(low, _mm512_loadu_si512(numbers + i), high));
    #else
        for (; i < count; i++)
            entries[i] = cnnref_float_d(cnnref_powers_d[cnnref_bits_d(numbers[i]) & 15]);
    #endif
    }
    """
    uint32_t cnnref_bits_f(float x) noexcept nogil
    uint64_t cnnref_bits_d(double x) noexcept nogil
    float cnnref_float_f(uint32_t n) noexcept nogil
    double cnnref_float_d(uint64_t n) noexcept nogil
    const uint32_t* cnnref_powers_f
    const uint64_t* cnnref_powers_d
    void cnnref_look_up_f(const float* numbers, float* entries, int count) noexcept nogil
    void cnnref_look_up_d(const double* numbers, double* entries, int count) noexcept nogil


cdef inline real entry(real number) noexcept nogil:
    """Of the table, for the lowest four bits of `number`."""
    if real is float:
        return cnnref_float_f(cnnref_powers_f[cnnref_bits_f(number) & 15])
    else:
        return cnnref_float_d(cnnref_powers_d[cnnref_bits_d(number) & 15])


cdef inline void entries(const real* numbers, real* found, int count) noexcept nogil:
    """`entry` for `count` numbers, a multiple of 16 of float32 and of 8 of float64."""
    if real is float:
        cnnref_look_up_f(numbers, found, count)
    else:
        cnnref_look_up_d(numbers, found, count)


cdef inline real power(real entry, real number) noexcept nogil:
    """``2^(n/16)`` from its entry, for a `number` of ``n + shifter`` (see ``scalar.pxd``); it must be normal."""
    if real is float:
        return cnnref_float_f(cnnref_bits_f(entry) + (cnnref_bits_f(number) << 19))
    else:
        return cnnref_float_d(cnnref_bits_d(entry) + (cnnref_bits_d(number) << 48))
