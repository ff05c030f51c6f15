"""float16 and bfloat16 as kernels see them: float32, converted a block at a time in the nearest cache; see ``half.h``.

A kernel of float32 is given a block of each input, widened, and its result is narrowed before the next block: no array is ever
converted whole, and the bits are those of float32, rounded once, by construction.
"""

from libc.stdint cimport uint16_t

from cnnref.kernels.base.types cimport real

cdef extern from "kernels/base/half.h" nogil:
    void widen_float16 "cnnref_widen_float16"(const uint16_t* source, float* out, Py_ssize_t n)
    void widen_bfloat16 "cnnref_widen_bfloat16"(const uint16_t* source, float* out, Py_ssize_t n)
    void narrow_float16 "cnnref_narrow_float16"(const float* source, uint16_t* out, Py_ssize_t n)
    void narrow_bfloat16 "cnnref_narrow_bfloat16"(const float* source, uint16_t* out, Py_ssize_t n)

cdef enum Storage:
    # What the elements of an array are in memory.
    AS_COMPUTED
    FLOAT16
    BFLOAT16

cdef enum:
    BLOCK = 1024  # elements: three blocks of float32 and their halves are in the nearest cache of any processor


cdef inline void widen(Storage storage, const void* source, float* out, Py_ssize_t n) noexcept nogil:
    """`n` halves as float32."""
    if storage == FLOAT16:
        widen_float16(<const uint16_t*>source, out, n)
    else:
        widen_bfloat16(<const uint16_t*>source, out, n)


cdef inline void narrow(Storage storage, const float* source, void* out, Py_ssize_t n) noexcept nogil:
    """`n` values of float32 rounded to half."""
    if storage == FLOAT16:
        narrow_float16(source, <uint16_t*>out, n)
    else:
        narrow_bfloat16(source, <uint16_t*>out, n)


cdef inline Py_ssize_t size_of(Storage storage, real kind) noexcept nogil:
    """Bytes of an element."""
    return <Py_ssize_t>sizeof(real) if storage == AS_COMPUTED else 2


cdef inline const real* taken(
    Storage storage, const real* source, Py_ssize_t begin, Py_ssize_t n, real* memory
) noexcept nogil:
    """`n` elements of `source` from `begin` on, where they are, or half ones widened to `memory`."""
    if real is float:
        if storage != AS_COMPUTED:
            widen(storage, <const char*>source + 2 * begin, memory, n)
            return memory
    return source + begin


cdef inline void put(Storage storage, const real* source, real* out, Py_ssize_t begin, Py_ssize_t n) noexcept nogil:
    """`n` elements to `out`, which is half, from `begin` on."""
    if real is float:
        narrow(storage, source, <char*>out + 2 * begin, n)
