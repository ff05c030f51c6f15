/* Vector registers, for kernels that say themselves what is in one.

   A kernel keeps its sums in an array, touches it by the functions below alone, a row of whole vectors at a time, and all its
   loops have constant extents: then every index is constant once they are unrolled, and the array is registers. Compilers that
   are left to find the vectors in loops over single values do not agree: clang took them apart, for half to a ninth of the
   speed. `columns` is a constant, of whole vectors or, where 8 floats are half of one, of halves. */
#ifndef CNNREF_VECTOR_H
#define CNNREF_VECTOR_H

#include "isa.h"
#include <math.h>
#include <stddef.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

/* Where sums are: as much as all registers of the largest set, aligned as they are, so that what a multiply-add makes of a sum
   has the same type and with it, in gcc, the same register. */
typedef struct {
    char bytes[2048];
} __attribute__((aligned(64))) cnnref_registers;

#define CNNREF_INLINE static inline CNNREF_ALWAYS_INLINE

/* What several rows are multiplied with is loaded once: gcc 12 makes a load a part of each multiply-add that uses it, 42 loads
   in place of 18 in a register block of ``planar/micro_kernel_one_channel_out.pxd``, and most of them cross cache lines. */
#if defined(__AVX512F__)
#define CNNREF_HOLD(vector) __asm__("" : "+v"(vector))
#elif defined(__AVX2__)
#define CNNREF_HOLD(vector) __asm__("" : "+x"(vector))
#else
#define CNNREF_HOLD(vector) ((void)(vector))
#endif

/* The functions of rows, of vectors of a type: `all` makes one of a value, `fused` is one multiply-add of each value. */
#define CNNREF_ROWS(name, real, vector, all, fused)                                                                   \
    typedef vector cnnref_##name __attribute__((aligned(sizeof(real)), may_alias));                                   \
    enum { CNNREF_COUNT_##name = sizeof(vector) / sizeof(real) };                                                     \
    CNNREF_INLINE cnnref_fill_##name(int columns, real value, real *out) {                                                        \
        for (int j = 0; j < columns; j += CNNREF_COUNT_##name)                                                        \
            *(cnnref_##name *)(out + j) = all(value);                                                                     \
    }                                                                                                                 \
    CNNREF_INLINE cnnref_copy_##name(int columns, const real *from, real *out) {                                      \
        for (int j = 0; j < columns; j += CNNREF_COUNT_##name)                                                        \
            *(cnnref_##name *)(out + j) = *(const cnnref_##name *)(from + j);                                         \
    }                                                                                                                 \
    CNNREF_INLINE cnnref_hold_##name(int columns, const real *from, real *out) {                                      \
        for (int j = 0; j < columns; j += CNNREF_COUNT_##name) {                                                      \
            vector each = *(const cnnref_##name *)(from + j);                                                         \
            CNNREF_HOLD(each);                                                                                        \
            *(cnnref_##name *)(out + j) = each;                                                                       \
        }                                                                                                             \
    }                                                                                                                 \
    CNNREF_INLINE cnnref_add_##name(int columns, const real *a, const real *b, real *out) {                           \
        for (int j = 0; j < columns; j += CNNREF_COUNT_##name)                                                        \
            *(cnnref_##name *)(out + j) = *(const cnnref_##name *)(a + j) + *(const cnnref_##name *)(b + j);          \
    }                                                                                                                 \
    CNNREF_INLINE cnnref_scaled_##name(int columns, real a, const real *b, real *sums) {                              \
        const vector each = all(a);                                                                                   \
        for (int j = 0; j < columns; j += CNNREF_COUNT_##name)                                                        \
            *(vector *)(sums + j) = fused(each, *(const cnnref_##name *)(b + j), *(const vector *)(sums + j));                     \
    }                                                                                                                 \
    CNNREF_INLINE cnnref_product_##name(int columns, const real *a, const real *b, real *sums) {                      \
        for (int j = 0; j < columns; j += CNNREF_COUNT_##name)                                                        \
            *(vector *)(sums + j) = fused(                                                                            \
                *(const cnnref_##name *)(a + j), *(const cnnref_##name *)(b + j), *(const vector *)(sums + j)         \
            );                                                                                                        \
    }

/* `halves` are for 8 floats where a vector has 16. */
#if defined(__AVX512F__)
#define CNNREF_FUSED_FLOATS(a, b, c) _mm512_mask3_fmadd_ps(a, b, c, (__mmask16)-1)
#define CNNREF_FUSED_DOUBLES(a, b, c) _mm512_mask3_fmadd_pd(a, b, c, (__mmask8)-1)
CNNREF_ROWS(floats, float, __m512, _mm512_set1_ps, CNNREF_FUSED_FLOATS)
CNNREF_ROWS(halves, float, __m256, _mm256_set1_ps, _mm256_fmadd_ps)
CNNREF_ROWS(doubles, double, __m512d, _mm512_set1_pd, CNNREF_FUSED_DOUBLES)
#elif defined(__AVX2__)
CNNREF_ROWS(floats, float, __m256, _mm256_set1_ps, _mm256_fmadd_ps)
CNNREF_ROWS(halves, float, __m256, _mm256_set1_ps, _mm256_fmadd_ps)
CNNREF_ROWS(doubles, double, __m256d, _mm256_set1_pd, _mm256_fmadd_pd)
#elif defined(__ARM_NEON) && defined(__aarch64__)
#define CNNREF_FUSED_FLOATS(a, b, c) vfmaq_f32(c, a, b)
#define CNNREF_FUSED_DOUBLES(a, b, c) vfmaq_f64(c, a, b)
CNNREF_ROWS(floats, float, float32x4_t, vdupq_n_f32, CNNREF_FUSED_FLOATS)
CNNREF_ROWS(halves, float, float32x4_t, vdupq_n_f32, CNNREF_FUSED_FLOATS)
CNNREF_ROWS(doubles, double, float64x2_t, vdupq_n_f64, CNNREF_FUSED_DOUBLES)
#else
/* Values one by one: without a multiply-add of vectors each of them is a call. */
CNNREF_ROWS(floats, float, float, (float), fmaf)
CNNREF_ROWS(halves, float, float, (float), fmaf)
CNNREF_ROWS(doubles, double, double, (double), fma)
#endif

/* One term of each group of `terms` neighbouring values, in the place of all of its group, for a row of vectors. The immediate
   of a shuffle must be a number: one case for each term. */
#define CNNREF_OF_FOUR(shuffle, values, term)                                                                         \
    ((term) == 0 ? shuffle(values, CNNREF_TERM(0)) : (term) == 1 ? shuffle(values, CNNREF_TERM(1))                    \
     : (term) == 2 ? shuffle(values, CNNREF_TERM(2)) : shuffle(values, CNNREF_TERM(3)))

CNNREF_INLINE cnnref_spread_floats(int columns, int terms, int term, const float *values, float *spread) {
#if defined(__AVX2__)
#define CNNREF_TERM(number) (0x55 * (number))
    for (int j = 0; j < columns; j += CNNREF_COUNT_floats) {
#if defined(__AVX512F__)
        __m512 all = _mm512_loadu_ps(values + j);
        if (terms == 8)
            all = term < 4 ? _mm512_shuffle_f32x4(all, all, 0xA0) : _mm512_shuffle_f32x4(all, all, 0xF5);
        if (terms == 2)
            all = term == 0 ? _mm512_moveldup_ps(all) : _mm512_movehdup_ps(all);
        else
            all = CNNREF_OF_FOUR(_mm512_permute_ps, all, term % 4);
        _mm512_storeu_ps(spread + j, all);
#else
        __m256 all = _mm256_loadu_ps(values + j);
        if (terms == 8)
            all = term < 4 ? _mm256_permute2f128_ps(all, all, 0x00) : _mm256_permute2f128_ps(all, all, 0x11);
        if (terms == 2)
            all = term == 0 ? _mm256_moveldup_ps(all) : _mm256_movehdup_ps(all);
        else
            all = CNNREF_OF_FOUR(_mm256_permute_ps, all, term % 4);
        _mm256_storeu_ps(spread + j, all);
#endif
    }
#undef CNNREF_TERM
#elif defined(__ARM_NEON) && defined(__aarch64__)
#define CNNREF_TERM(number) (number)
    for (int j = 0; j < columns; j += 4) {
        const float32x4_t all = vld1q_f32(values + (terms == 8 ? j / 8 * 8 + term / 4 * 4 : j));
        if (terms == 2)
            vst1q_f32(spread + j, term == 0 ? vtrn1q_f32(all, all) : vtrn2q_f32(all, all));
        else
            vst1q_f32(spread + j, CNNREF_OF_FOUR(vdupq_laneq_f32, all, term % 4));
    }
#undef CNNREF_TERM
#else
    for (int j = 0; j < columns; j++)
        spread[j] = values[j - j % terms + term];
#endif
}

CNNREF_INLINE cnnref_spread_doubles(int columns, int terms, int term, const double *values, double *spread) {
#if defined(__AVX2__)
#define CNNREF_TERM(number) (0x55 * (number))
    for (int j = 0; j < columns; j += CNNREF_COUNT_doubles) {
#if defined(__AVX512F__)
        __m512d all = _mm512_loadu_pd(values + j);
        if (terms == 2)
            all = term == 0 ? _mm512_permute_pd(all, 0x00) : _mm512_permute_pd(all, 0xFF);
        else
            all = CNNREF_OF_FOUR(_mm512_permutex_pd, all, term);
        _mm512_storeu_pd(spread + j, all);
#else
        __m256d all = _mm256_loadu_pd(values + j);
        if (terms == 2)
            all = term == 0 ? _mm256_permute_pd(all, 0x0) : _mm256_permute_pd(all, 0xF);
        else
            all = CNNREF_OF_FOUR(_mm256_permute4x64_pd, all, term);
        _mm256_storeu_pd(spread + j, all);
#endif
    }
#undef CNNREF_TERM
#elif defined(__ARM_NEON) && defined(__aarch64__)
    for (int j = 0; j < columns; j += 2) {
        const float64x2_t all = vld1q_f64(values + j / terms * terms + term / 2 * 2);
        vst1q_f64(spread + j, term % 2 == 0 ? vdupq_laneq_f64(all, 0) : vdupq_laneq_f64(all, 1));
    }
#else
    for (int j = 0; j < columns; j++)
        spread[j] = values[j - j % terms + term];
#endif
}

/* 4 values of each of `rows` rows, `step` apart, as columns of which 4 rows of the result are made, `out_step` apart; `rows` is
   a constant, a multiple of a vector's values. Vectors are made of 16 bytes of rows a quarter of a vector apart: then shuffles
   within 16 bytes turn them. */
#if defined(__AVX512F__)
#define CNNREF_ZIP(type, half, a, b) _mm512_unpack##half##_p##type(a, b)
#define CNNREF_GATHER_floats(from, step)                                                                              \
    _mm512_insertf32x4(                                                                                               \
        _mm512_insertf32x4(                                                                                           \
            _mm512_insertf32x4(_mm512_castps128_ps512(_mm_loadu_ps(from)), _mm_loadu_ps((from) + (step)), 1),         \
            _mm_loadu_ps((from) + 2 * (step)), 2                                                                      \
        ),                                                                                                            \
        _mm_loadu_ps((from) + 3 * (step)), 3                                                                          \
    )
#elif defined(__AVX2__)
#define CNNREF_ZIP(type, half, a, b) _mm256_unpack##half##_p##type(a, b)
#define CNNREF_GATHER_floats(from, step)                                                                              \
    _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from)), _mm_loadu_ps((from) + (step)), 1)
#define CNNREF_GATHER_doubles(from, step)                                                                             \
    _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(from)), _mm_loadu_pd((from) + (step)), 1)
#elif defined(__ARM_NEON) && defined(__aarch64__)
#define CNNREF_ZIP(type, half, a, b) CNNREF_ZIP_##type##_##half(a, b)
#define CNNREF_ZIP_s_lo vzip1q_f32
#define CNNREF_ZIP_s_hi vzip2q_f32
#define CNNREF_ZIP_d_lo vzip1q_f64
#define CNNREF_ZIP_d_hi vzip2q_f64
#define CNNREF_GATHER_floats(from, step) vld1q_f32(from)
#define CNNREF_GATHER_doubles(from, step) vld1q_f64(from)
#endif

#if defined(CNNREF_ZIP)
CNNREF_INLINE cnnref_turn_floats(int rows, const float *from, ptrdiff_t step, float *out, ptrdiff_t out_step) {
    for (int i = 0; i < rows; i += CNNREF_COUNT_floats) {
        const cnnref_floats a = CNNREF_GATHER_floats(from + i * step, 4 * step);
        const cnnref_floats b = CNNREF_GATHER_floats(from + (i + 1) * step, 4 * step);
        const cnnref_floats c = CNNREF_GATHER_floats(from + (i + 2) * step, 4 * step);
        const cnnref_floats d = CNNREF_GATHER_floats(from + (i + 3) * step, 4 * step);
        const cnnref_floats ac = CNNREF_ZIP(s, lo, a, c), AC = CNNREF_ZIP(s, hi, a, c);
        const cnnref_floats bd = CNNREF_ZIP(s, lo, b, d), BD = CNNREF_ZIP(s, hi, b, d);
        *(cnnref_floats *)(out + i) = CNNREF_ZIP(s, lo, ac, bd);
        *(cnnref_floats *)(out + i + out_step) = CNNREF_ZIP(s, hi, ac, bd);
        *(cnnref_floats *)(out + i + 2 * out_step) = CNNREF_ZIP(s, lo, AC, BD);
        *(cnnref_floats *)(out + i + 3 * out_step) = CNNREF_ZIP(s, hi, AC, BD);
    }
}

CNNREF_INLINE cnnref_turn_doubles(int rows, const double *from, ptrdiff_t step, double *out, ptrdiff_t out_step) {
#if defined(__AVX512F__)
    /* 4 doubles fill half a vector: two loads in place of four. */
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13), second = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    for (int i = 0; i < rows; i += 8) {
        __m512d row[4];
        for (int k = 0; k < 4; k++)
            row[k] = _mm512_insertf64x4(
                _mm512_castpd256_pd512(_mm256_loadu_pd(from + (i + k) * step)), _mm256_loadu_pd(from + (i + k + 4) * step), 1
            );
        const __m512d ab = _mm512_unpacklo_pd(row[0], row[1]), AB = _mm512_unpackhi_pd(row[0], row[1]);
        const __m512d cd = _mm512_unpacklo_pd(row[2], row[3]), CD = _mm512_unpackhi_pd(row[2], row[3]);
        _mm512_storeu_pd(out + i, _mm512_permutex2var_pd(ab, first, cd));
        _mm512_storeu_pd(out + i + out_step, _mm512_permutex2var_pd(AB, first, CD));
        _mm512_storeu_pd(out + i + 2 * out_step, _mm512_permutex2var_pd(ab, second, cd));
        _mm512_storeu_pd(out + i + 3 * out_step, _mm512_permutex2var_pd(AB, second, CD));
    }
#else
    for (int i = 0; i < rows; i += CNNREF_COUNT_doubles)
        for (int j = 0; j < 4; j += 2) {
            const cnnref_doubles a = CNNREF_GATHER_doubles(from + i * step + j, 2 * step);
            const cnnref_doubles b = CNNREF_GATHER_doubles(from + (i + 1) * step + j, 2 * step);
            *(cnnref_doubles *)(out + i + j * out_step) = CNNREF_ZIP(d, lo, a, b);
            *(cnnref_doubles *)(out + i + (j + 1) * out_step) = CNNREF_ZIP(d, hi, a, b);
        }
#endif
}
#else
#define CNNREF_TURN(name, real)                                                                                       \
    CNNREF_INLINE name(int rows, const real *from, ptrdiff_t step, real *out, ptrdiff_t out_step) {                   \
        for (int i = 0; i < rows; i++)                                                                                \
            for (int j = 0; j < 4; j++)                                                                               \
                out[j * out_step + i] = from[i * step + j];                                                           \
    }
CNNREF_TURN(cnnref_turn_floats, float)
CNNREF_TURN(cnnref_turn_doubles, double)
#endif

/* 8 floats from each of two places by turns, in a row of 16. */
CNNREF_INLINE cnnref_zip(const float *one, const float *other, float *both) {
#if defined(__AVX2__)
    const __m256 a = _mm256_loadu_ps(one), b = _mm256_loadu_ps(other);
    const __m256 low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);
    _mm256_storeu_ps(both, _mm256_permute2f128_ps(low, high, 0x20));
    _mm256_storeu_ps(both + 8, _mm256_permute2f128_ps(low, high, 0x31));
#else
    for (int j = 0; j < 8; j++) {
        both[2 * j] = one[j];
        both[2 * j + 1] = other[j];
    }
#endif
}

/* Two floats 8 times each, in a row of 16. */
CNNREF_INLINE cnnref_pair(float one, float other, float *both) {
#if defined(__AVX512F__)
    _mm512_storeu_ps(both, _mm512_mask_blend_ps(0xFF00, _mm512_set1_ps(one), _mm512_set1_ps(other)));
#else
    for (int j = 0; j < 16; j++)
        both[j] = j < 8 ? one : other;
#endif
}

/* Two floats that lie side by side, over and over in a row of 16: one broadcast of 8 bytes. */
CNNREF_INLINE cnnref_repeat_pair(const float *pair, float *row) {
#if defined(__AVX512F__)
    double both;
    memcpy(&both, pair, sizeof both);
    _mm512_storeu_ps(row, _mm512_castpd_ps(_mm512_set1_pd(both)));
#else
    for (int j = 0; j < 16; j++)
        row[j] = pair[j % 2];
#endif
}

/* 8 floats from each of two places in a row of 16, and the reverse: the row is loaded and stored whole. */
CNNREF_INLINE cnnref_join(const float *one, const float *other, float *both) {
#if defined(__AVX512F__)
    _mm512_storeu_ps(
        both, _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(one)), _mm256_loadu_ps(other), 1)
    );
#else
    cnnref_copy_halves(8, one, both);
    cnnref_copy_halves(8, other, both + 8);
#endif
}

CNNREF_INLINE cnnref_part(const float *both, float *one, float *other) {
#if defined(__AVX512F__)
    const __m512 values = _mm512_loadu_ps(both);
    _mm256_storeu_ps(one, _mm512_castps512_ps256(values));
    _mm256_storeu_ps(other, _mm512_extractf32x8_ps(values, 1));
#else
    cnnref_copy_halves(8, both, one);
    cnnref_copy_halves(8, both + 8, other);
#endif
}

/* A row of floats as doubles, and back: a loop over both has vectors of half a register of one of them, or takes them apart. */
CNNREF_INLINE cnnref_widen_row(int columns, const float *from, double *out) {
    for (int j = 0; j < columns; j += CNNREF_COUNT_doubles)
#if defined(__AVX512F__)
        _mm512_storeu_pd(out + j, _mm512_cvtps_pd(_mm256_loadu_ps(from + j)));
#elif defined(__AVX2__)
        _mm256_storeu_pd(out + j, _mm256_cvtps_pd(_mm_loadu_ps(from + j)));
#elif defined(__ARM_NEON) && defined(__aarch64__)
        vst1q_f64(out + j, vcvt_f64_f32(vld1_f32(from + j)));
#else
        out[j] = from[j];
#endif
}

CNNREF_INLINE cnnref_narrow_row(int columns, const double *from, float *out) {
    for (int j = 0; j < columns; j += CNNREF_COUNT_doubles)
#if defined(__AVX512F__)
        _mm256_storeu_ps(out + j, _mm512_cvtpd_ps(_mm512_loadu_pd(from + j)));
#elif defined(__AVX2__)
        _mm_storeu_ps(out + j, _mm256_cvtpd_ps(_mm256_loadu_pd(from + j)));
#elif defined(__ARM_NEON) && defined(__aarch64__)
        vst1_f32(out + j, vcvt_f32_f64(vld1q_f64(from + j)));
#else
        out[j] = (float)from[j];
#endif
}

#endif
