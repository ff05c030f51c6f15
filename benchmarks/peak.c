/* What the machine can do, measured apart from every library: fused multiply-adds a second, bytes copied a second.
 *
 * Prints lines "fma DTYPE THREADS flops/s" and "copy BYTES THREADS bytes/s", each the best of five tries.
 * Fourteen independent accumulators hide the latency of the multiply-add; the vectors are as wide
 * as the compiler's target has.
 * A copy reads and writes: both are counted. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__)
#define WIDTH 64
#elif defined(__AVX__)
#define WIDTH 32
#else
#define WIDTH 16
#endif
#define CHAINS 14
#define TRIES 5

typedef float single_vector __attribute__((vector_size(WIDTH)));
typedef double double_vector __attribute__((vector_size(WIDTH)));

/* Named variables, not an array: they stay in registers. The empty asm keeps the loop from being folded. */
#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13)
#define START(i) chain x##i = b * i;
#define STEP(i) x##i = x##i * a + b; __asm__ volatile("" : "+" REGISTER(x##i));

#define FMA(NAME, VECTOR, SCALAR)                                                         \
    static double NAME(int threads, long steps) {                                         \
        typedef VECTOR chain;                                                             \
        double best = 0;                                                                  \
        for (int attempt = 0; attempt < TRIES; attempt++) {                               \
            double began = omp_get_wtime();                                               \
            _Pragma("omp parallel num_threads(threads)") {                                \
                chain a = {0}, b = {0};                                                   \
                a += (SCALAR)0.999, b += (SCALAR)0.001;                                   \
                EACH(START)                                                               \
                for (long step = 0; step < steps; step++) { EACH(STEP) }                  \
            }                                                                             \
            double rate = 2.0 * WIDTH / sizeof(SCALAR) * CHAINS * steps * threads         \
                          / (omp_get_wtime() - began);                                    \
            if (rate > best) best = rate;                                                 \
        }                                                                                 \
        return best;                                                                      \
    }
#if defined(__x86_64__)
#define REGISTER(x) "v"(x)
#else
#define REGISTER(x) "w"(x)
#endif

FMA(fma_single, single_vector, float)
FMA(fma_double, double_vector, double)

/* `bytes` read and written together, shared among the threads. */
static double copy_rate(int threads, size_t bytes) {
    size_t half = bytes / 2 / threads / 64 * 64;
    long rounds = 1 + (long)(300e6 / bytes);
    double best = 0;
    char *from = malloc(half * threads), *to = malloc(half * threads);
    if (!from || !to) exit(1);
    memset(from, 1, half * threads), memset(to, 2, half * threads);
    for (int attempt = 0; attempt < TRIES; attempt++) {
        double began = omp_get_wtime();
        #pragma omp parallel num_threads(threads)
        {
            size_t offset = half * omp_get_thread_num();
            for (long round = 0; round < rounds; round++) {
                memcpy(to + offset, from + offset, half);
                __asm__ volatile("" ::: "memory");
            }
        }
        double rate = 2.0 * half * threads * rounds / (omp_get_wtime() - began);
        if (rate > best) best = rate;
    }
    free(from), free(to);
    return best;
}

int main(void) {
    int most = omp_get_num_procs() < 2 ? 1 : 2;
    for (int threads = 1; threads <= most; threads++) {
        printf("fma float32 %d %.6g\n", threads, fma_single(threads, 3000000));
        printf("fma float64 %d %.6g\n", threads, fma_double(threads, 3000000));
        for (size_t bytes = 1 << 12; bytes <= (size_t)1 << 28; bytes *= 4)
            printf("copy %zu %d %.6g\n", bytes, threads, copy_rate(threads, bytes));
    }
    return 0;
}
