/* What the instruction set that this translation unit is compiled for offers. */
#ifndef CNNREF_ISA_H
#define CNNREF_ISA_H

#if defined(__AVX512F__)
#define CNNREF_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define CNNREF_VECTOR_BYTES 32
#else
#define CNNREF_VECTOR_BYTES 16
#endif

#endif
