"""Half precision in storage, single in sums: see `half.pyx`."""

from cpython.pystate cimport PyThreadState
from numpy cimport ndarray

cimport numpy as cnp

from cnnref.checks.aligned cimport aligned_empty
from cnnref.checks.arrays cimport FLOAT16 as FLOAT16_KIND, HALF, held, kind_of, memory
from cnnref.kernels.base.half cimport AS_COMPUTED, BFLOAT16, FLOAT16, Storage
from cnnref.kernels.base.half_arrays cimport narrow_all, widen_all
from cnnref.threads cimport brief, fail, let_go, take_back


cdef inline bint half(ndarray x) noexcept:
    """Whether checked `x` is float16 or bfloat16."""
    return kind_of(x) & HALF != 0


cdef inline Storage storage(ndarray x) noexcept:
    """What the elements of checked `x` are, for a kernel that converts them itself."""
    if not half(x):
        return AS_COMPUTED
    return FLOAT16 if kind_of(x) == FLOAT16_KIND else BFLOAT16


cpdef object widened(object x)
cpdef object narrowed(object x, ndarray like)
cpdef object in_single(object function, tuple arguments, ndarray like)


cdef inline ndarray in_other(ndarray x, Storage storage, int typenum):
    """Checked `x` in `typenum`, of which one of both is half."""
    cdef ndarray out = aligned_empty(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), typenum)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(out)
    cdef object _held = None if brief(n) else held(x)
    cdef void* source = memory(x, cnp.PyArray_TYPE(x), n)
    cdef void* made = cnp.PyArray_DATA(out)
    cdef int status
    cdef PyThreadState* state = let_go(n)
    if typenum == cnp.NPY_FLOAT:
        status = widen_all(storage, source, <float*>made, n)
    else:
        status = narrow_all(storage, <const float*>source, made, n)
    take_back(state)
    if status < 0:
        fail("stopped")
    return out


cdef inline ndarray wide(ndarray x):
    """Checked `x` as what is computed with: half arrays as float32."""
    return in_other(x, storage(x), cnp.NPY_FLOAT) if half(x) else x


cdef inline object rounded(object result, ndarray like):
    """What was computed for `like`, which may be half: then `result` was in float32 and is rounded once."""
    if not half(like):
        return result
    if isinstance(result, tuple):
        return tuple([rounded(value, like) for value in result])
    if isinstance(result, ndarray):
        return in_other(result, storage(like), cnp.PyArray_TYPE(like))
    return narrowed(result, like)
