/* One term of each group of neighbouring values, spread over its group, for a vector as wide as a tile.

   The compiler finds no shuffles for the loop below, and takes the vector through memory instead. `terms` and `term` are
   constants once this stands in its caller. */
#ifndef CNNREF_SPREAD_H
#define CNNREF_SPREAD_H

#include "../base/isa.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

/* The immediate of a shuffle within four values must be a number: one case for each term. */
#define CNNREF_OF_FOUR(shuffle, values, term) \
    ((term) == 0 ? shuffle(values, 0x00) : (term) == 1 ? shuffle(values, 0x55) \
     : (term) == 2 ? shuffle(values, 0xAA) : shuffle(values, 0xFF))

static inline CNNREF_ALWAYS_INLINE cnnref_spread_floats(int terms, int term, const float *values, float *spread) {
#if defined(__AVX512F__)
    __m512 all = _mm512_loadu_ps(values);
    if (terms == 8) {
        all = term < 4 ? _mm512_shuffle_f32x4(all, all, 0xA0) : _mm512_shuffle_f32x4(all, all, 0xF5);
    }
    if (terms == 2) {
        all = term == 0 ? _mm512_permute_ps(all, 0xA0) : _mm512_permute_ps(all, 0xF5);
    } else {
        all = CNNREF_OF_FOUR(_mm512_permute_ps, all, term % 4);
    }
    _mm512_storeu_ps(spread, all);
#elif defined(__AVX2__)
    __m256 all = _mm256_loadu_ps(values);
    if (terms == 8) {
        all = term < 4 ? _mm256_permute2f128_ps(all, all, 0x00) : _mm256_permute2f128_ps(all, all, 0x11);
    }
    if (terms == 2) {
        all = term == 0 ? _mm256_permute_ps(all, 0xA0) : _mm256_permute_ps(all, 0xF5);
    } else {
        all = CNNREF_OF_FOUR(_mm256_permute_ps, all, term % 4);
    }
    _mm256_storeu_ps(spread, all);
#else
    for (int j = 0; j < 8; j++) {
        spread[j] = values[j - j % terms + term];
    }
#endif
}

static inline CNNREF_ALWAYS_INLINE cnnref_spread_doubles(int terms, int term, const double *values, double *spread) {
#if defined(__AVX512F__)
    __m512d all = _mm512_loadu_pd(values);
    if (terms == 2) {
        all = term == 0 ? _mm512_permute_pd(all, 0x00) : _mm512_permute_pd(all, 0xFF);
    } else {
        all = CNNREF_OF_FOUR(_mm512_permutex_pd, all, term);
    }
    _mm512_storeu_pd(spread, all);
#elif defined(__AVX2__)
    for (int half = 0; half < 8; half += 4) {
        __m256d four = _mm256_loadu_pd(values + half);
        if (terms == 2) {
            four = term == 0 ? _mm256_permute_pd(four, 0x0) : _mm256_permute_pd(four, 0xF);
        } else {
            four = CNNREF_OF_FOUR(_mm256_permute4x64_pd, four, term);
        }
        _mm256_storeu_pd(spread + half, four);
    }
#else
    for (int j = 0; j < 8; j++) {
        spread[j] = values[j - j % terms + term];
    }
#endif
}

#endif
