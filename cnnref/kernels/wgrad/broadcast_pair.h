/* A pair of values, over and over in a vector: one broadcast of 8 bytes, which the compiler does not find in the loop below. */
#ifndef CNNREF_TWIN_TILE_H
#define CNNREF_TWIN_TILE_H

#include "../base/isa.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif
#include <string.h>

static inline CNNREF_ALWAYS_INLINE cnnref_repeat_pair(const float *pair, float *vector) {
#if defined(__AVX512F__)
    double both;
    memcpy(&both, pair, sizeof both);
    _mm512_storeu_ps(vector, _mm512_castpd_ps(_mm512_set1_pd(both)));
#else
    for (int j = 0; j < 16; j++) {
        vector[j] = pair[j % 2];
    }
#endif
}

#endif
