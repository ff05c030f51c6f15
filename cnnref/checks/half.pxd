"""Half precision in storage, single in sums: see `half.pyx`."""

from numpy cimport ndarray

from cnnref.checks.arrays cimport HALF, kind_of


cdef inline bint half(ndarray x) noexcept:
    """Whether checked `x` is float16 or bfloat16."""
    return kind_of(x) & HALF != 0


cpdef object widened(object x)
cpdef object narrowed(object x, ndarray like)
cpdef object in_single(object function, tuple arguments, ndarray like)


cdef inline ndarray wide(ndarray x):
    """Checked `x` as what is computed with: half arrays as float32."""
    return widened(x) if half(x) else x


cdef inline object rounded(object result, ndarray like):
    """What was computed for `like`, which may be half: then `result` was in float32 and is rounded once."""
    return narrowed(result, like) if half(like) else result
