/* PCG64, seeded and stepped as NumPy does it: the streams are those of `numpy.random.PCG64`. */
#ifndef CONFORMANCE_PCG_H
#define CONFORMANCE_PCG_H

#include <stdint.h>
#include <string.h>

typedef unsigned __int128 pcg_word;

typedef struct {
    pcg_word state, increment;
} pcg;

#define PCG_FACTOR ((pcg_word)0x2360ED051FC65DA4u << 64 | 0x4385DF649FCCF645u)

static inline void pcg_step(pcg *stream) {
    stream->state = stream->state * PCG_FACTOR + stream->increment;
}

/* 64 random bits: XSL RR of O'Neill 2014, section 6.3.3. */
static inline uint64_t pcg_next(pcg *stream) {
    uint64_t folded;
    unsigned turn;

    pcg_step(stream);
    folded = (uint64_t)(stream->state >> 64) ^ (uint64_t)stream->state;
    turn = (unsigned)(stream->state >> 122);
    return folded >> turn | folded << (-turn & 63);
}

/* The stream `count` steps further on, in log(count) steps (Brown 1994). */
static inline pcg pcg_ahead(pcg stream, uint64_t count) {
    pcg_word factor = 1, sum = 0, step = PCG_FACTOR, add = stream.increment;

    for (; count; count >>= 1) {
        if (count & 1) {
            factor *= step;
            sum = sum * step + add;
        }
        add *= step + 1;
        step *= step;
    }
    stream.state = stream.state * factor + sum;
    return stream;
}

static inline uint32_t pcg_hashed(uint32_t value, uint32_t *constant, uint32_t factor) {
    value ^= *constant;
    *constant *= factor;
    value *= *constant;
    return value ^ value >> 16;
}

/* The stream of 128 bits of entropy, the lowest word first, mixed as by `numpy.random.SeedSequence`. */
static inline pcg pcg_seeded(const unsigned char *entropy) {
    uint32_t pool[4], constant = 0x43b0d7e5u, mixed;
    uint64_t words[4];
    pcg stream;
    int i, j;

    for (i = 0; i < 4; i++) {
        const unsigned char *at = entropy + 4 * i;
        uint32_t word = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        pool[i] = pcg_hashed(word, &constant, 0x931e8875u);
    }
    for (i = 0; i < 4; i++)
        for (j = 0; j < 4; j++)
            if (i != j) {
                mixed = 0xca01f9ddu * pool[j] - 0x4973f715u * pcg_hashed(pool[i], &constant, 0x931e8875u);
                pool[j] = mixed ^ mixed >> 16;
            }
    constant = 0x8b51f9ddu;
    for (i = 0; i < 4; i++) {
        words[i] = pcg_hashed(pool[2 * i % 4], &constant, 0x58f38dedu);
        words[i] |= (uint64_t)pcg_hashed(pool[(2 * i + 1) % 4], &constant, 0x58f38dedu) << 32;
    }
    stream.increment = ((pcg_word)words[2] << 64 | words[3]) << 1 | 1;
    stream.state = stream.increment + ((pcg_word)words[0] << 64 | words[1]);
    pcg_step(&stream);
    return stream;
}

/* `value` with the last bit of its significand set; zero stays zero. */
static inline float full_single(float value) {
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    bits |= value != 0;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

static inline double full_double(double value) {
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    bits |= value != 0;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

/* 2**exponent, for exponents of -1022 to 1023. */
static inline double power_of_two(int64_t exponent) {
    uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
