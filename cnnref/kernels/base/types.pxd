"""The types that every kernel shares, and the one multiply-add that every sum is made of."""

from libc.math cimport fabs, fabsf, fma, fmaf

ctypedef fused real:
    float
    double


cdef inline real multiply_add(real a, real b, real c) noexcept nogil:
    """``a * b + c`` rounded once."""
    if real is float:
        return fmaf(a, b, c)
    else:
        return fma(a, b, c)


cdef inline real magnitude(real z) noexcept nogil:
    """``|z|``."""
    if real is float:
        return fabsf(z)
    else:
        return fabs(z)
