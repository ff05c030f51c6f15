"""What the instruction set of a build offers, and how functions are placed in it: see ``isa.h``."""

cdef extern from "kernels/base/isa.h" nogil:
    const int CNNREF_VECTOR_BYTES
    const int CNNREF_REGISTERS
    ctypedef void always_inline "CNNREF_ALWAYS_INLINE"  # the return type of what must stand in its caller
    ctypedef void noinline "CNNREF_NOINLINE"  # and of what must not, for the registers' sake
    void prefetch "CNNREF_PREFETCH"(const void* address)

cdef extern from *:
    bint unlikely(bint condition) noexcept nogil
