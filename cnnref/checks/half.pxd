"""Half precision in storage, single in sums: see `half.pyx`."""

from numpy cimport ndarray

from cnnref.checks.arrays cimport HALF, kind_of


cdef inline bint half(ndarray x) noexcept:
    """Whether checked `x` is float16 or bfloat16."""
    return kind_of(x) & HALF != 0


cpdef object widened(object x)
cpdef object narrowed(object x, ndarray like)
cpdef object in_single(object function, tuple arguments, ndarray like)
