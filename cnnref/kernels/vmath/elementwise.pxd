"""Functions of elements and of rows: a kernel run over an array, each thread on a part of its own, and their doors."""

cimport numpy as cnp
from cpython.pystate cimport PyThreadState
from numpy cimport ndarray

from cnnref.checks.arrays cimport empty, held, memory, single
from cnnref.checks.elements cimport check_activation, check_activation_backward
from cnnref.checks.half cimport half, narrowed, widened
from cnnref.kernels.base.nontemporal cimport BUFFER, DOUBLES, LINE, past_caches, settle, stream, until_line
from cnnref.threads cimport brief, fail, in_parts, let_go, take_back, team_size

cdef enum:
    MOVED = 1  # operations for each element that is hardly more than moved

# ``out = function(z)``, or ``da * function'(z)``, for n elements; `option` and `other` are the function's own: a slope,
# a length, two ends.
ctypedef void (*kernel_f)(
    int function, const float* z, const float* da, float* out, Py_ssize_t n, double option, double other
) noexcept nogil
ctypedef void (*kernel_d)(
    int function, const double* z, const double* da, double* out, Py_ssize_t n, double option, double other
) noexcept nogil


cdef inline void run_part(
    kernel_f in_single, kernel_d in_double, int function, const void* z, const void* da, void* out, bint is_single,
    Py_ssize_t begin, Py_ssize_t end, double option, double other
) noexcept nogil:
    if is_single:
        in_single(
            function, <const float*>z + begin, <const float*>da + begin if da != NULL else NULL, <float*>out + begin,
            end - begin, option, other,
        )
    else:
        in_double(
            function, <const double*>z + begin, <const double*>da + begin if da != NULL else NULL,
            <double*>out + begin, end - begin, option, other,
        )


cdef inline void stream_part(
    kernel_f in_single, kernel_d in_double, int function, const void* z, const void* da, void* out, bint is_single,
    Py_ssize_t begin, Py_ssize_t end, double option, double other
) noexcept nogil:
    """`run_part` for a result that the caches cannot keep, a buffer at a time."""
    cdef double[DOUBLES] buffer
    cdef Py_ssize_t size = sizeof(float) if is_single else sizeof(double)
    cdef Py_ssize_t shift = begin * size
    # The first piece ends with a line, where elements can: then all others are whole lines.
    cdef Py_ssize_t count = (BUFFER - LINE + until_line(<char*>out + shift)) // size
    while begin < end:
        count = min(count, end - begin)
        shift = begin * size
        run_part(
            in_single, in_double, function, <const char*>z + shift, <const char*>da + shift if da != NULL else NULL,
            buffer, is_single, 0, count, option, other,
        )
        stream(<char*>out + shift, buffer, count * size)
        begin += count
        count = BUFFER // size
    settle()


cdef struct Elements:
    # A kernel and what it is run on; parts have a multiple of `unit` elements.
    kernel_f in_single
    kernel_d in_double
    int function
    double option
    double other
    const void* z
    const void* da
    void* out
    bint is_single
    bint streamed
    Py_ssize_t unit


cdef inline void some_elements(const void* job, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Elements* e = <const Elements*>job
    begin, end = begin * e.unit, end * e.unit
    if e.streamed:
        stream_part(e.in_single, e.in_double, e.function, e.z, e.da, e.out, e.is_single, begin, end, e.option, e.other)
    else:
        run_part(e.in_single, e.in_double, e.function, e.z, e.da, e.out, e.is_single, begin, end, e.option, e.other)


cdef inline ndarray run(
    kernel_f in_single, kernel_d in_double, int function, ndarray z, ndarray da, double option, double work,
    bint in_rows=False, double other=0,
):
    """A new array from `z`, and from `da` where given, at `work` operations for each element.

    Where rows are computed `in_rows` of their own, the kernel is given whole ones, and their length as its `option`.
    """
    if half(z):
        return narrowed(run(in_single, in_double, function, widened(z), widened(da), option, work, in_rows, other), z)
    cdef ndarray out = empty(z, cnp.PyArray_NDIM(z), cnp.PyArray_DIMS(z))
    cdef Py_ssize_t n = cnp.PyArray_SIZE(out)
    cdef Elements e
    cdef double all_work = n * work
    cdef int threads = team_size(all_work), status
    cdef object _held = None if brief(all_work) else held(z, da)
    cdef PyThreadState* state
    e.in_single, e.in_double, e.function, e.unit = in_single, in_double, function, 1
    e.option, e.other = option, other
    if in_rows:
        e.unit = max(cnp.PyArray_DIM(out, cnp.PyArray_NDIM(out) - 1), 1)
        e.option = <double>e.unit
    e.is_single = single(out)
    cdef int typenum = cnp.PyArray_TYPE(out)
    e.z = memory(z, typenum, n)
    e.da = NULL if da is None else memory(da, typenum, n)
    e.out = cnp.PyArray_DATA(out)
    # Stores are hidden behind longer computations, and streaming ones less well.
    e.streamed = work <= MOVED and not brief(all_work) and past_caches(
        <double>cnp.PyArray_NBYTES(out) * (2 if da is None else 3), threads
    )
    state = let_go(all_work)
    status = in_parts(some_elements, &e, n // e.unit, all_work, threads)
    take_back(state)
    if status < 0:
        fail("stopped")
    return out


cdef inline tuple activated(
    kernel_f in_single, kernel_d in_double, int function, str name, object Z, double option, double work,
    double other=0
):
    """What the forward function `name` returns."""
    cdef ndarray z = check_activation(name, Z)
    return run(in_single, in_double, function, z, None, option, work, False, other), z


cdef inline ndarray activation_gradient(
    kernel_f in_single, kernel_d in_double, int function, str name, object dA, object cache, double option,
    double work, double other=0
):
    """What the backward function `name` returns."""
    cdef ndarray da, z
    da, z = check_activation_backward(name, dA, cache)
    return run(in_single, in_double, function, z, da, option, work, False, other)
