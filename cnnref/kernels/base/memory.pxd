"""Working memory of kernels, aligned to cache lines unless it is small."""

cdef extern from "stdlib.h" nogil:
    void* aligned_alloc(size_t alignment, size_t size)
    void* malloc(size_t size)

cdef enum:
    SMALL = 4096  # bytes up to which aligning costs more than it saves


cdef inline void* allocate(Py_ssize_t count, size_t size) noexcept nogil:
    """Memory for `count` values of `size` bytes, or NULL; give it back with ``free``."""
    if count < 0 or <size_t>count > (<size_t>1 << 62) // size:
        return NULL
    # A line more than is asked for, either way: the lanes of a last register block may reach beyond the end.
    if count * size <= SMALL:
        return malloc(((<size_t>count * size + 63) // 64 + 1) * 64)
    return aligned_alloc(64, ((<size_t>count * size + 63) // 64 + 1) * 64)
