"""Half precision in storage, single in sums: see `half.pyx`."""

from cpython.pystate cimport PyThreadState
from numpy cimport ndarray

cimport numpy as cnp

from cnnref.checks.aligned cimport aligned_empty
from cnnref.checks.arrays cimport FLOAT16 as FLOAT16_KIND, HALF, held, kind_of, memory
from cnnref.kernels.base.half cimport AS_COMPUTED, BFLOAT16, FLOAT16, Storage, narrow, widen
from cnnref.threads cimport brief, fail, in_parts, let_go, take_back, team_size


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


cdef struct Conversion:
    # Half to float32, or back.
    Storage storage
    bint widening
    const char* source
    char* out


cdef inline void some_converted(const void* job, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Conversion* c = <const Conversion*>job
    if c.widening:
        widen(c.storage, c.source + 2 * begin, <float*>c.out + begin, end - begin)
    else:
        narrow(c.storage, <const float*>c.source + begin, c.out + 2 * begin, end - begin)


cdef inline ndarray in_other(ndarray x, Storage storage, int typenum):
    """Checked `x` in `typenum`, of which one of both is half."""
    cdef ndarray out = aligned_empty(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), typenum)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(out)
    cdef object _held = None if brief(n) else held(x)
    cdef Conversion c
    c.storage, c.widening = storage, typenum == cnp.NPY_FLOAT
    c.source, c.out = <const char*>memory(x, cnp.PyArray_TYPE(x), n), cnp.PyArray_BYTES(out)
    cdef PyThreadState* state = let_go(n)
    cdef int status = in_parts(some_converted, &c, n, n, team_size(n))
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
