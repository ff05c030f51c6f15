"""Global average pooling: the mean of each channel of each image.

    A[i, 0, 0, c] = 1/(n_H n_W) sum over (y, x) of A_prev[i, y, x, c]
    dA_prev[i, y, x, c] = dA[i, 0, 0, c] / (n_H n_W)

The sum is double for both dtypes, in the order that ``kernels/reduce/channel_sums.pxd`` states, the image as one chunk: the
same for every thread count, batch and instruction set. The quotient is rounded once; so is each share of the gradient. The
mean of finite values is finite: where the sum of float64 values overflows, it is taken again, pixel by pixel, of values a
power of two smaller (as in `pool`).

Source: Lin, Chen & Yan 2013, "Network In Network", section 3.2.
"""

cimport numpy as cnp
from cpython.pystate cimport PyThreadState
from libc.math cimport isfinite
from libc.stdlib cimport free
from libc.string cimport memcpy
from numpy cimport ndarray, npy_intp

from cnnref.checks.arrays cimport empty, held, memory, single, take_shape
from cnnref.checks.half cimport storage
from cnnref.checks.norm cimport check_global_average_pool_backward, check_global_average_pool_forward
from cnnref.kernels.base.half cimport AS_COMPUTED, BLOCK, Storage, narrow, widen
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.types cimport real
from cnnref.kernels.pool.forward cimport mean_again
from cnnref.kernels.reduce.channel_sums cimport VALUE, chunk_sums, half_sums
from cnnref.threads cimport brief, fail, in_parts, let_go, part_of, take_back, team_size

cnp.import_array()

cdef enum:
    COPIED = 4096  # bytes


cdef struct Images:
    const void* x
    void* out
    double* sums  # room for those of all images, forward; NULL backward
    Py_ssize_t pixels
    Py_ssize_t channels
    Storage storage


cdef void mean_of_image(
    const real* x, real* out, double* sums, Py_ssize_t pixels, Py_ssize_t channels
) noexcept nogil:
    cdef Py_ssize_t c
    chunk_sums(VALUE, x, x, sums, pixels, channels, sums, sums)
    for c in range(channels):
        out[c] = <real>(sums[c] / pixels)
    for c in range(channels):
        # One accumulator may have reached inf and another -inf.
        if not isfinite(out[c]):
            out[c] = mean_again(x + c, pixels, 1, channels, 0, <double>pixels, out[c])


cdef void share_of_image(const real* da, real* out, Py_ssize_t pixels, Py_ssize_t channels) noexcept nogil:
    cdef Py_ssize_t c
    cdef real count = <real>pixels
    for c in range(channels):
        out[c] = da[c] / count
    repeat(<char*>out, pixels, channels * sizeof(real))


cdef void repeat(char* out, Py_ssize_t pixels, Py_ssize_t size) noexcept nogil:
    """The first pixel, of `size` bytes, in the place of all: copies of what there is, up to a size that stays in the cache."""
    cdef Py_ssize_t done = 1, more
    while done < pixels:
        more = min(min(done, max(COPIED // max(size, <Py_ssize_t>1), <Py_ssize_t>1)), pixels - done)
        memcpy(out + done * size, out, more * size)
        done += more


cdef void half_mean(const Images* s, Py_ssize_t image) noexcept nogil:
    """`mean_of_image` of half. No sum of them leaves double, so none is taken again."""
    cdef double* sums = s.sums + image * s.channels
    cdef float[BLOCK] near
    cdef Py_ssize_t c = 0, count, i
    half_sums(s.storage, <const char*>s.x + 2 * image * s.pixels * s.channels, s.pixels, s.channels, sums)
    while c < s.channels:
        count = min(<Py_ssize_t>BLOCK, s.channels - c)
        for i in range(count):
            near[i] = <float>(sums[c + i] / s.pixels)
        narrow(s.storage, near, <char*>s.out + 2 * (image * s.channels + c), count)
        c += count


cdef void half_share(const Images* s, Py_ssize_t image) noexcept nogil:
    """`share_of_image` of half."""
    cdef char* out = <char*>s.out + 2 * image * s.pixels * s.channels
    cdef float[BLOCK] near
    cdef Py_ssize_t c = 0, count, i
    while c < s.channels and s.pixels > 0:
        count = min(<Py_ssize_t>BLOCK, s.channels - c)
        widen(s.storage, <const char*>s.x + 2 * (image * s.channels + c), near, count)
        for i in range(count):
            near[i] = near[i] / <float>s.pixels
        narrow(s.storage, near, out + 2 * c, count)
        c += count
    repeat(out, s.pixels, 2 * s.channels)


cdef void in_half(const void* job, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Images* s = <const Images*>job
    cdef Py_ssize_t i
    for i in range(begin, end):
        if s.sums != NULL:
            half_mean(s, i)
        else:
            half_share(s, i)


cdef void some_images(const void* job, Py_ssize_t begin, Py_ssize_t end, const real* x, real* out) noexcept nogil:
    cdef const Images* s = <const Images*>job
    cdef Py_ssize_t i
    for i in range(begin, end):
        if s.sums != NULL:
            mean_of_image(
                x + i * s.pixels * s.channels, out + i * s.channels, s.sums + i * s.channels, s.pixels, s.channels
            )
        else:
            share_of_image(x + i * s.channels, out + i * s.pixels * s.channels, s.pixels, s.channels)


cdef void in_single(const void* job, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    some_images(job, begin, end, <const float*>(<const Images*>job).x, <float*>(<const Images*>job).out)


cdef void in_double(const void* job, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    some_images(job, begin, end, <const double*>(<const Images*>job).x, <double*>(<const Images*>job).out)


cdef ndarray run(ndarray x, Py_ssize_t height, Py_ssize_t width, bint forward):
    """The means of the images `x`, or their gradient for images of so many rows and columns."""
    cdef npy_intp[4] shape
    cdef Images job
    take_shape(x, 4, shape)
    if forward:
        height, width = shape[1], shape[2]
    cdef Py_ssize_t samples = shape[0], means = samples * shape[3]
    job.channels, job.pixels = shape[3], height * width
    shape[1], shape[2] = 1 if forward else height, 1 if forward else width
    cdef ndarray out = empty(x, 4, shape)
    cdef double work = <double>means * job.pixels
    cdef int threads = team_size(work), status = -1
    cdef object _held = None if brief(work) else held(x)
    job.x = memory(x, cnp.PyArray_TYPE(out), means * (job.pixels if forward else 1))
    job.out = cnp.PyArray_DATA(out)
    job.sums = <double*>allocate(means + 1, sizeof(double)) if forward else NULL
    job.storage = storage(out)
    cdef part_of part = in_single if single(out) else in_double if job.storage == AS_COMPUTED else in_half
    cdef PyThreadState* state = let_go(work)
    if job.sums != NULL or not forward:
        status = in_parts(part, &job, samples, work, threads)
        free(job.sums)
    take_back(state)
    if status < 0:
        fail(f"global_average_pool: no memory for {samples} x {job.channels} sums")
    return out


def global_average_pool_forward(A_prev):
    """Mean over each channel of each image.

    Parameters
    ----------
    A_prev : array_like, shape (m, n_H_prev, n_W_prev, n_C_prev)
        Images of at least one pixel; half and float32 keep their dtype, everything else computes in float64.

    Returns
    -------
    A : ndarray, shape (m, 1, 1, n_C_prev)
        The means.
    cache : ndarray
        `A_prev` itself (converted where it had to be).

    Raises
    ------
    TypeError
        If `A_prev` does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If `A_prev` is not four-dimensional or has no pixels.

    References
    ----------
    M. Lin, Q. Chen and S. Yan, "Network In Network", 2013.

    Examples
    --------
    >>> A, cache = cnnref.global_average_pool_forward(np.arange(8.0).reshape(1, 2, 2, 2))
    >>> A
    array([[[[3., 4.]]]])
    """
    cdef ndarray x = check_global_average_pool_forward(A_prev)
    return run(x, 0, 0, True), x


def global_average_pool_backward(dA, cache):
    """Gradient of `global_average_pool_forward`: an equal share for each pixel.

    Parameters
    ----------
    dA : array_like, shape (m, 1, 1, n_C_prev)
        Gradient with respect to the means.
    cache : array_like, shape (m, n_H_prev, n_W_prev, n_C_prev)
        ``A_prev`` as `global_average_pool_forward` returned it; its values do not matter.

    Returns
    -------
    ndarray, shape (m, n_H_prev, n_W_prev, n_C_prev)
        ``dA_prev``.

    Raises
    ------
    TypeError
        If an argument does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> A, cache = cnnref.global_average_pool_forward(np.arange(8.0).reshape(1, 2, 2, 2))
    >>> cnnref.global_average_pool_backward(np.ones_like(A), cache)[0, :, :, 0]
    array([[0.25, 0.25],
           [0.25, 0.25]])
    """
    cdef ndarray da
    da, height, width = check_global_average_pool_backward(dA, cache)
    return run(da, height, width, False)
