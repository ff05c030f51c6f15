/* Vectors of 16 floats whose halves belong to two pixels.

   The compiler finds no shuffles for the loops below: it takes the halves through memory, where a vector that was written
   in two parts has to wait for both. */
#ifndef CNNREF_PAIR_H
#define CNNREF_PAIR_H

#include "../base/isa.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

/* Two numbers, each 8 times. */
static inline CNNREF_ALWAYS_INLINE cnnref_pair_numbers(float one, float other, float *both) {
#if defined(__AVX512F__)
    _mm512_storeu_ps(both, _mm512_mask_blend_ps(0xFF00, _mm512_set1_ps(one), _mm512_set1_ps(other)));
#else
    for (int j = 0; j < 8; j++) {
        both[j] = one;
        both[8 + j] = other;
    }
#endif
}

/* The 8 values of each of two places. */
static inline CNNREF_ALWAYS_INLINE cnnref_join_halves(const float *one, const float *other, float *both) {
#if defined(__AVX512F__)
    _mm512_storeu_ps(
        both, _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(one)), _mm256_loadu_ps(other), 1)
    );
#else
    for (int j = 0; j < 8; j++) {
        both[j] = one[j];
        both[8 + j] = other[j];
    }
#endif
}

/* The reverse. */
static inline CNNREF_ALWAYS_INLINE cnnref_part_halves(const float *both, float *one, float *other) {
#if defined(__AVX512F__)
    __m512 values = _mm512_loadu_ps(both);
    _mm256_storeu_ps(one, _mm512_castps512_ps256(values));
    _mm256_storeu_ps(other, _mm512_extractf32x8_ps(values, 1));
#else
    for (int j = 0; j < 8; j++) {
        one[j] = both[j];
        other[j] = both[8 + j];
    }
#endif
}

#endif
