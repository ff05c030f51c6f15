/* float16 and bfloat16 to float32, which is exact, and back, rounded to nearest, ties to even; a NaN stays one.

   By the processor where it converts float16, else and for bfloat16 by integers: AVX512_BF16 takes subnormal numbers for 0. */
#ifndef CNNREF_HALF_H
#define CNNREF_HALF_H

#include "isa.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

static inline uint32_t cnnref_bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float cnnref_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* One value, without a branch: compilers make vectors of these. */
static inline float cnnref_one_wide_float16(uint16_t half) {
    const uint32_t size = half & 0x7FFF, sign = (uint32_t)(half & 0x8000) << 16;
    /* The same digits with an exponent that is 112 too small; of subnormal numbers too. */
    const uint32_t value = cnnref_bits_of(cnnref_of_bits(size << 13) * 0x1p112f);
    return cnnref_of_bits(sign | (size >= 0x7C00 ? 0x7F800000 | size << 13 : value));
}

static inline uint16_t cnnref_one_narrow_float16(float x) {
    const uint32_t bits = cnnref_bits_of(x), size = bits & 0x7FFFFFFF;
    /* From 2^-14 on, its exponent 112 smaller; the carry of what is rounded may make it infinity. */
    const uint32_t rounded = (size + 0xFFF + (size >> 13 & 1) - (112u << 23)) >> 13;
    const uint32_t normal = rounded < 0x7C00 ? rounded : 0x7C00;
    /* Below, beside 1/2, whose digits end at 2^-24. */
    const uint32_t small = cnnref_bits_of(cnnref_of_bits(size) + 0.5f) - 0x3F000000;
    const uint32_t number = size < 0x38800000 ? small : normal;
    return (uint16_t)(bits >> 16 & 0x8000) | (uint16_t)(size > 0x7F800000 ? 0x7E00 : number);
}

static inline float cnnref_one_wide_bfloat16(uint16_t half) {
    return cnnref_of_bits((uint32_t)half << 16);
}

static inline uint16_t cnnref_one_narrow_bfloat16(float x) {
    const uint32_t bits = cnnref_bits_of(x), rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    return (uint16_t)((bits & 0x7FFFFFFF) > 0x7F800000 ? 0x7FC0 : rounded);
}

/* A vector of float32 from as many halves, and back. */
#if defined(__AVX512F__)
#define CNNREF_HALVES 16
typedef __m512 cnnref_wide;
typedef __m256i cnnref_narrow;
#define CNNREF_LOAD_HALVES(from) _mm256_loadu_si256((const __m256i *)(from))
#define CNNREF_STORE_HALVES(to, halves) _mm256_storeu_si256((__m256i *)(to), halves)
#define CNNREF_LOAD_WIDE _mm512_loadu_ps
#define CNNREF_STORE_WIDE _mm512_storeu_ps
#define CNNREF_FROM_FLOAT16 _mm512_cvtph_ps
#define CNNREF_TO_FLOAT16(x) _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define CNNREF_FROM_BFLOAT16(halves) _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16))
static inline __m256i CNNREF_TO_BFLOAT16(__m512 x) {
    const __m512i bits = _mm512_castps_si512(x), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i sum = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd);
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(_mm512_srli_epi32(sum, 16), nan, _mm512_set1_epi32(0x7FC0)));
}
#elif defined(__AVX2__) && defined(__F16C__)
#define CNNREF_HALVES 8
typedef __m256 cnnref_wide;
typedef __m128i cnnref_narrow;
#define CNNREF_LOAD_HALVES(from) _mm_loadu_si128((const __m128i *)(from))
#define CNNREF_STORE_HALVES(to, halves) _mm_storeu_si128((__m128i *)(to), halves)
#define CNNREF_LOAD_WIDE _mm256_loadu_ps
#define CNNREF_STORE_WIDE _mm256_storeu_ps
#define CNNREF_FROM_FLOAT16 _mm256_cvtph_ps
#define CNNREF_TO_FLOAT16(x) _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define CNNREF_FROM_BFLOAT16(halves) _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16))
static inline __m128i CNNREF_TO_BFLOAT16(__m256 x) {
    const __m256i bits = _mm256_castps_si256(x), odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd);
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i each = _mm256_blendv_epi8(_mm256_srli_epi32(sum, 16), _mm256_set1_epi32(0x7FC0), nan);
    return _mm_packus_epi32(_mm256_castsi256_si128(each), _mm256_extracti128_si256(each, 1));
}
#endif

/* Halves from what is read to what is asked for: the processor foresees no page but the one that is read. */
#define CNNREF_AHEAD 1024

/* `n` values; what is no whole vector goes through one of zeros. */
#if defined(CNNREF_HALVES)
#define CNNREF_CONVERSIONS(name, from_half, to_half, wide_one, narrow_one)                                            \
    static inline void cnnref_widen_##name(const uint16_t *from, float *out, ptrdiff_t n) {                           \
        uint16_t last[CNNREF_HALVES] = {0};                                                                           \
        float rest[CNNREF_HALVES];                                                                                    \
        ptrdiff_t i = 0;                                                                                              \
        for (; i + CNNREF_HALVES <= n; i += CNNREF_HALVES) {                                                          \
            CNNREF_PREFETCH(from + i + CNNREF_AHEAD);                                                                 \
            CNNREF_STORE_WIDE(out + i, from_half(CNNREF_LOAD_HALVES(from + i)));                                      \
        }                                                                                                             \
        if (i < n) {                                                                                                  \
            memcpy(last, from + i, (n - i) * sizeof *from);                                                           \
            CNNREF_STORE_WIDE(rest, from_half(CNNREF_LOAD_HALVES(last)));                                             \
            memcpy(out + i, rest, (n - i) * sizeof *out);                                                             \
        }                                                                                                             \
    }                                                                                                                 \
    static inline void cnnref_narrow_##name(const float *from, uint16_t *out, ptrdiff_t n) {                          \
        uint16_t last[CNNREF_HALVES];                                                                                 \
        float rest[CNNREF_HALVES] = {0};                                                                              \
        ptrdiff_t i = 0;                                                                                              \
        for (; i + CNNREF_HALVES <= n; i += CNNREF_HALVES)                                                            \
            CNNREF_STORE_HALVES(out + i, to_half(CNNREF_LOAD_WIDE(from + i)));                                        \
        if (i < n) {                                                                                                  \
            memcpy(rest, from + i, (n - i) * sizeof *from);                                                           \
            CNNREF_STORE_HALVES(last, to_half(CNNREF_LOAD_WIDE(rest)));                                               \
            memcpy(out + i, last, (n - i) * sizeof *out);                                                             \
        }                                                                                                             \
    }
#else
#define CNNREF_CONVERSIONS(name, from_half, to_half, wide_one, narrow_one)                                            \
    static inline void cnnref_widen_##name(const uint16_t *from, float *out, ptrdiff_t n) {                           \
        for (ptrdiff_t i = 0; i < n; i++)                                                                             \
            out[i] = wide_one(from[i]);                                                                               \
    }                                                                                                                 \
    static inline void cnnref_narrow_##name(const float *from, uint16_t *out, ptrdiff_t n) {                          \
        for (ptrdiff_t i = 0; i < n; i++)                                                                             \
            out[i] = narrow_one(from[i]);                                                                             \
    }
#endif
CNNREF_CONVERSIONS(float16, CNNREF_FROM_FLOAT16, CNNREF_TO_FLOAT16, cnnref_one_wide_float16, cnnref_one_narrow_float16)
CNNREF_CONVERSIONS(bfloat16, CNNREF_FROM_BFLOAT16, CNNREF_TO_BFLOAT16, cnnref_one_wide_bfloat16, cnnref_one_narrow_bfloat16)

#endif
