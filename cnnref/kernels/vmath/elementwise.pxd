"""Run a kernel over the elements of an array, each thread on a part of its own."""

cimport numpy as cnp
from cython.parallel cimport prange
from numpy cimport ndarray

from cnnref.checks.arrays cimport elements, empty, held, single
from cnnref.checks.half cimport half, narrowed, widened
from cnnref.kernels.base.nontemporal cimport BUFFER, DOUBLES, LINE, past_caches, settle, stream, until_line
from cnnref.threads cimport brief, fail, pieces, stopped, team_size, watch

cdef enum:
    MOVED = 1  # operations for each element that is hardly more than moved

# ``out = function(z)``, or ``da * function'(z)``, for n elements; `option` is the function's own.
ctypedef void (*kernel_f)(
    int function, const float* z, const float* da, float* out, Py_ssize_t n, double option
) noexcept nogil
ctypedef void (*kernel_d)(
    int function, const double* z, const double* da, double* out, Py_ssize_t n, double option
) noexcept nogil


cdef inline void run_part(
    kernel_f in_single, kernel_d in_double, int function, const void* z, const void* da, void* out, bint is_single,
    Py_ssize_t begin, Py_ssize_t end, double option
) noexcept nogil:
    if is_single:
        in_single(
            function, <const float*>z + begin, <const float*>da + begin if da != NULL else NULL, <float*>out + begin,
            end - begin, option,
        )
    else:
        in_double(
            function, <const double*>z + begin, <const double*>da + begin if da != NULL else NULL,
            <double*>out + begin, end - begin, option,
        )


cdef inline void stream_part(
    kernel_f in_single, kernel_d in_double, int function, const void* z, const void* da, void* out, bint is_single,
    Py_ssize_t begin, Py_ssize_t end, double option
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
            buffer, is_single, 0, count, option,
        )
        stream(<char*>out + shift, buffer, count * size)
        begin += count
        count = BUFFER // size
    settle()


cdef inline ndarray run(
    kernel_f in_single, kernel_d in_double, int function, ndarray z, ndarray da, double option, double work
):
    """A new array from `z`, and from `da` where given, at `work` operations for each element."""
    if half(z):
        return narrowed(run(in_single, in_double, function, widened(z), widened(da), option, work), z)
    cdef ndarray out = empty(z, cnp.PyArray_NDIM(z), cnp.PyArray_DIMS(z))
    cdef Py_ssize_t n = cnp.PyArray_SIZE(out)
    cdef Py_ssize_t part
    cdef int threads = team_size(n * work)
    cdef Py_ssize_t parts = pieces(n * work, threads)
    cdef int status = 0
    cdef const int* watched
    cdef bint is_single = single(out)
    cdef object _held = None if brief(n * work) else held(z, da)
    cdef void* z_data = elements(z, is_single, n)
    cdef void* da_data = NULL if da is None else elements(da, is_single, n)
    cdef void* out_data = elements(out, is_single, n)
    # Stores are hidden behind longer computations, and streaming ones less well.
    cdef bint streamed = work <= MOVED and past_caches(
        <double>cnp.PyArray_NBYTES(out) * (2 if da is None else 3), threads
    )
    if brief(n * work):
        run_part(in_single, in_double, function, z_data, da_data, out_data, is_single, 0, n, option)
        return out
    with nogil:
        if parts == 1 and not streamed:
            run_part(in_single, in_double, function, z_data, da_data, out_data, is_single, 0, n, option)
        else:
            watched = watch()
            for part in prange(parts, num_threads=threads, use_threads_if=threads > 1, schedule="static"):
                if stopped(watched):
                    status += -1
                elif streamed:
                    stream_part(
                        in_single, in_double, function, z_data, da_data, out_data, is_single, n * part // parts,
                        n * (part + 1) // parts, option,
                    )
                else:
                    run_part(
                        in_single, in_double, function, z_data, da_data, out_data, is_single, n * part // parts,
                        n * (part + 1) // parts, option,
                    )
    if status < 0:
        fail("stopped")
    return out
