"""Half precision in storage, single in sums: see `_half.pyx`."""

cimport numpy as cnp
from numpy cimport ndarray


cdef inline bint half(ndarray x) noexcept:
    """Whether checked `x` is float16 or bfloat16."""
    return cnp.PyArray_TYPE(x) != cnp.NPY_FLOAT and cnp.PyArray_TYPE(x) != cnp.NPY_DOUBLE


cpdef object widened(object x)
cpdef object narrowed(object x, ndarray like)
cpdef object in_single(object function, tuple arguments, ndarray like)
