"""Working memory of kernels, aligned to cache lines."""

cdef extern from "stdlib.h" nogil:
    void* aligned_alloc(size_t alignment, size_t size)


cdef inline void* allocate(Py_ssize_t count, size_t size) noexcept nogil:
    """Memory for `count` values of `size` bytes, or NULL; give it back with ``free``."""
    if count < 0 or <size_t>count > (<size_t>1 << 62) // size:
        return NULL
    return aligned_alloc(64, ((<size_t>count * size + 63) // 64 + 1) * 64)
