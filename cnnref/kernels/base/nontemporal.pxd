"""Streaming stores: results that the caches could not keep go to memory past them.

A plain store fetches its line before it writes it, and pushes out one that may yet be read. A streaming store does
neither, if it fills whole lines: so a kernel computes some lines into a buffer in the nearest cache, and `stream`
moves them out. `past_caches` says when; after its last line each thread must call `settle`.
"""

from libc.stdint cimport uintptr_t
from libc.string cimport memcpy

cdef extern from *:
    """
    #if defined(__SSE2__)
    #include <immintrin.h>
    #define CNNREF_SETTLE() _mm_sfence()
    #else
    #include <string.h>
    #define CNNREF_SETTLE() ((void)0)
    #endif
    #if defined(__AVX512F__)
    #define CNNREF_STREAM_LINE(to, from) _mm512_stream_si512((__m512i *)(to), _mm512_loadu_si512(from))
    #elif defined(__AVX2__)
    #define CNNREF_STREAM_HALF(to, from, i) \\
        _mm256_stream_si256((__m256i *)(to) + i, _mm256_loadu_si256((const __m256i *)(from) + i))
    #define CNNREF_STREAM_LINE(to, from) \\
        (CNNREF_STREAM_HALF(to, from, 0), CNNREF_STREAM_HALF(to, from, 1))
    #elif defined(__SSE2__)
    #define CNNREF_STREAM_QUARTER(to, from, i) \\
        _mm_stream_si128((__m128i *)(to) + i, _mm_loadu_si128((const __m128i *)(from) + i))
    #define CNNREF_STREAM_LINE(to, from) \\
        (CNNREF_STREAM_QUARTER(to, from, 0), CNNREF_STREAM_QUARTER(to, from, 1), \\
         CNNREF_STREAM_QUARTER(to, from, 2), CNNREF_STREAM_QUARTER(to, from, 3))
    #else
    #define CNNREF_STREAM_LINE(to, from) memcpy(to, from, 64)
    #endif
    """
    void stream_line "CNNREF_STREAM_LINE"(void* to, const void* source) noexcept nogil
    void settle "CNNREF_SETTLE"() noexcept nogil  # all streamed lines before what the thread writes next

cdef enum:
    LINE = 64  # bytes
    # Bytes of a buffer, and how many doubles that is. Longer runs of reads and writes in turn hide less of each other:
    # 8192 took a tenth longer, 16384 a half.
    BUFFER = 4096
    DOUBLES = 512


cdef bint past_caches(double bytes, int threads) noexcept nogil


cdef inline Py_ssize_t until_line(const void* place) noexcept nogil:
    """Bytes from `place` to the next start of a line."""
    return <Py_ssize_t>(-<uintptr_t>place & (LINE - 1))


cdef inline void stream(void* out, const void* source, Py_ssize_t bytes) noexcept nogil:
    """Copy `bytes` past the caches; what does not fill a line at either end is stored plainly."""
    cdef char* to = <char*>out
    cdef const char* at = <const char*>source
    cdef Py_ssize_t head = min(until_line(out), bytes), line
    memcpy(to, at, head)
    to, at, bytes = to + head, at + head, bytes - head
    for line in range(bytes // LINE):
        stream_line(to + line * LINE, at + line * LINE)
    memcpy(to + bytes // LINE * LINE, at + bytes // LINE * LINE, bytes % LINE)
