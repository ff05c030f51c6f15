"""The caches that blocks are cut for: see ``caches.pyx``."""

cdef Py_ssize_t second_level() noexcept nogil
cdef Py_ssize_t last_level() noexcept nogil
