/* What the instruction set that this translation unit is compiled for offers. */
#ifndef CNNREF_ISA_H
#define CNNREF_ISA_H

/* The vector registers: their bytes, and how many there are. */
#if defined(__AVX512F__)
#define CNNREF_VECTOR_BYTES 64
#define CNNREF_REGISTERS 32
#elif defined(__AVX2__)
#define CNNREF_VECTOR_BYTES 32
#define CNNREF_REGISTERS 16
#else
/* aarch64's. Where a multiply-add is a call no sum stays in a register, however few rows a block has. */
#define CNNREF_VECTOR_BYTES 16
#define CNNREF_REGISTERS 32
#endif

/* Return types for `cdef inline` functions that must stand in their caller, and for ones that must not: a
   tile needs every register for itself, so it may not share a frame with the loops around it. */
#if defined(__GNUC__)
#define CNNREF_PREFETCH(address) __builtin_prefetch(address)
#define CNNREF_ALWAYS_INLINE __attribute__((always_inline)) void
#define CNNREF_NOINLINE __attribute__((noinline)) void
#else
#define CNNREF_PREFETCH(address) ((void)(address))
#define CNNREF_ALWAYS_INLINE void
#define CNNREF_NOINLINE void
#endif

#endif
