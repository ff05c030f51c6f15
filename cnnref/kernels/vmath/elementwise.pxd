"""Functions of elements and of rows: a kernel run over an array, each thread on a part of its own, and their doors."""

cimport numpy as cnp
from cpython.pystate cimport PyThreadState
from libc.stdlib cimport free
from numpy cimport ndarray

from cnnref.checks.arrays cimport empty, held, memory, single
from cnnref.checks.elements cimport check_activation, check_activation_backward
from cnnref.checks.half cimport storage
from cnnref.kernels.base.half cimport AS_COMPUTED, BLOCK, Storage, narrow, widen
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.nontemporal cimport BUFFER, DOUBLES, LINE, past_caches, settle, stream, until_line
from cnnref.threads cimport brief, fail, in_parts, let_go, take_back, team_size

cdef enum:
    MOVED = 1  # operations for each element that is hardly more than moved
    TOGETHER = 16  # short rows that a kernel takes at once

# ``out = function(z)``, or ``da * function'(z)``, for n elements; `option` and `other` are the function's own: a slope,
# a length, two ends.
ctypedef void (*kernel_f)(
    int function, const float* z, const float* da, float* out, Py_ssize_t n, double option, double other
) noexcept nogil
ctypedef void (*kernel_d)(
    int function, const double* z, const double* da, double* out, Py_ssize_t n, double option, double other
) noexcept nogil


cdef struct Elements:
    # A kernel and what it is run on; parts have a multiple of `unit` elements. `failed` is set where memory ran out.
    kernel_f in_single
    kernel_d in_double
    int function
    double option
    double other
    const char* z
    const char* da
    char* out
    Storage storage
    bint is_single
    bint streamed
    Py_ssize_t unit
    Py_ssize_t size
    int* failed


cdef inline void run_part(const Elements* e, Py_ssize_t begin, Py_ssize_t count, void* out) noexcept nogil:
    """`count` elements from `begin` on, to `out`."""
    cdef const char* z = e.z + begin * e.size
    cdef const char* da = e.da + begin * e.size if e.da != NULL else NULL
    if e.is_single:
        e.in_single(e.function, <const float*>z, <const float*>da, <float*>out, count, e.option, e.other)
    else:
        e.in_double(e.function, <const double*>z, <const double*>da, <double*>out, count, e.option, e.other)


cdef inline void run_wide(
    const Elements* e, Py_ssize_t begin, Py_ssize_t count, float* blocks, Py_ssize_t room
) noexcept nogil:
    """`run_part` of half, in float32: `blocks` has room for `room` of each array, the last of them the result."""
    widen(e.storage, e.z + begin * e.size, blocks, count)
    if e.da != NULL:
        widen(e.storage, e.da + begin * e.size, blocks + room, count)
    e.in_single(
        e.function, blocks, blocks + room if e.da != NULL else NULL, blocks + 2 * room, count, e.option, e.other,
    )


cdef inline void run_half(
    const Elements* e, Py_ssize_t begin, Py_ssize_t count, void* out, float* blocks, Py_ssize_t room
) noexcept nogil:
    """`run_wide`, rounded to half."""
    run_wide(e, begin, count, blocks, room)
    narrow(e.storage, blocks + 2 * room, out, count)


cdef inline void stream_part(const Elements* e, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """`run_part` for a result that the caches cannot keep, a buffer at a time."""
    cdef double[DOUBLES] buffer
    cdef float[3 * BLOCK] blocks
    # The first piece ends with a line, where elements can: then all others are whole lines.
    cdef Py_ssize_t bytes = BUFFER if e.storage == AS_COMPUTED else BLOCK * e.size
    cdef Py_ssize_t count = (bytes - LINE + until_line(e.out + begin * e.size)) // e.size
    while begin < end:
        count = min(count, end - begin)
        if e.storage == AS_COMPUTED:
            run_part(e, begin, count, buffer)
        else:
            run_half(e, begin, count, buffer, blocks, BLOCK)
        stream(e.out + begin * e.size, buffer, count * e.size)
        begin += count
        count = bytes // e.size
    settle()


cdef inline void half_part(const Elements* e, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Half, a block of whole rows at a time."""
    cdef float[3 * BLOCK] near
    cdef float* blocks = near
    cdef Py_ssize_t rows = max(BLOCK // e.unit, <Py_ssize_t>1)
    cdef Py_ssize_t count = e.unit * (rows // TOGETHER * TOGETHER if rows > TOGETHER else rows)
    if count > BLOCK:
        blocks = <float*>allocate(3 * count, sizeof(float))
        if blocks == NULL:
            e.failed[0] = 1
            return
    while begin < end:
        count = min(count, end - begin)
        run_half(e, begin, count, e.out + begin * e.size, blocks, max(count, <Py_ssize_t>BLOCK))
        begin += count
    if blocks != near:
        free(blocks)


cdef inline void some_elements(const void* job, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Elements* e = <const Elements*>job
    begin, end = begin * e.unit, end * e.unit
    if e.streamed:
        stream_part(e, begin, end)
    elif e.storage == AS_COMPUTED:
        run_part(e, begin, end - begin, e.out + begin * e.size)
    else:
        half_part(e, begin, end)


cdef inline ndarray run(
    kernel_f in_single, kernel_d in_double, int function, ndarray z, ndarray da, double option, double work,
    bint in_rows=False, double other=0,
):
    """A new array from `z`, and from `da` where given, at `work` operations for each element.

    Where rows are computed `in_rows` of their own, the kernel is given whole ones, and their length as its `option`.
    """
    cdef ndarray out = empty(z, cnp.PyArray_NDIM(z), cnp.PyArray_DIMS(z))
    cdef Py_ssize_t n = cnp.PyArray_SIZE(out)
    cdef Elements e
    cdef double all_work = n * work
    cdef int threads = team_size(all_work), status, failed = 0
    cdef object _held = None if brief(all_work) else held(z, da)
    cdef PyThreadState* state
    e.in_single, e.in_double, e.function, e.unit = in_single, in_double, function, 1
    e.option, e.other = option, other
    if in_rows:
        e.unit = max(cnp.PyArray_DIM(out, cnp.PyArray_NDIM(out) - 1), 1)
        e.option = <double>e.unit
    e.is_single, e.storage, e.size, e.failed = single(out), storage(out), cnp.PyArray_ITEMSIZE(out), &failed
    cdef int typenum = cnp.PyArray_TYPE(out)
    e.z = <const char*>memory(z, typenum, n)
    e.da = NULL
    if da is not None:
        e.da = <const char*>memory(da, typenum, n)
    e.out = cnp.PyArray_BYTES(out)
    # Stores are hidden behind longer computations, and streaming ones less well.
    e.streamed = work <= MOVED and not brief(all_work) and past_caches(
        <double>cnp.PyArray_NBYTES(out) * (2 if da is None else 3), threads
    )
    state = let_go(all_work)
    status = in_parts(some_elements, &e, n // e.unit, all_work, threads)
    take_back(state)
    if status < 0:
        fail("stopped")
    if failed:
        fail(f"no memory for rows of {e.unit} elements")
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
