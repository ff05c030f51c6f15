"""Transposed convolution of NHWC images: the gradient of a convolution with respect to its input, as a layer.

``W`` holds the filters of the forward convolution that this is the transpose of: the one that takes an image of the
output's extents and ``n_C`` channels to one of the input's with ``n_C_prev`` channels. Order of summation:

- ``Z``: the chain of that convolution's ``dA_prev`` (see ``conv``), then ``b[j]`` is added.
- ``dA_prev``: the chain of its output, from 0.
- ``dW``: as its gradient (see ``kernels/wgrad/chunks.pxd`` and ``kernels/depthwise/wgrad_driver.pxd``).
- ``db``: rows of pixels one after the other, each summed in order, then added in order.
"""

cimport numpy as cnp
from libc.stdlib cimport free
from libc.string cimport memset

from cnnref.checks.arrays cimport elements, empty, held, single, take_shape
from cnnref.checks.fields cimport named, own
from cnnref.checks.half cimport half, narrowed, widened
from cnnref.checks.hyper cimport Window
from cnnref.checks.transpose cimport check_conv_transpose_backward, check_conv_transpose_forward
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.conv cimport backward_filters, backward_input, forward
from cnnref.kernels.conv.correlations cimport Shape, filter_size, input_size, output_size
from cnnref.threads cimport fail

from cnnref.caches import ConvTransposeCache

cnp.import_array()


cdef Shape shape_of(cnp.ndarray A_prev, cnp.ndarray W, const Window* window, Py_ssize_t groups) except *:
    """The forward convolution, whose input is this one's output."""
    cdef Shape s
    cdef cnp.npy_intp[4] images
    cdef cnp.npy_intp[4] filters
    take_shape(A_prev, 4, images)
    take_shape(W, 4, filters)
    s.m = images[0]
    s.h = window.h
    s.w = window.w
    s.n_C_prev = filters[2] * groups
    s.n_C = images[3]
    s.groups = groups
    s.n_H = images[1]
    s.n_W = images[2]
    return s


cdef int add_pixels(const Shape* s, const real* dZ, real* db) noexcept nogil:
    """``db``: the sum over all rows of pixels; -1 where memory ran out."""
    cdef real* row = <real*>allocate(s.n_C_prev, sizeof(real))
    cdef Py_ssize_t line, pixel, j
    if row == NULL:
        return -1
    memset(db, 0, s.n_C_prev * sizeof(real))
    for line in range(s.m * s.h.n):
        memset(row, 0, s.n_C_prev * sizeof(real))
        for pixel in range(s.w.n):
            for j in range(s.n_C_prev):
                row[j] += dZ[(line * s.w.n + pixel) * s.n_C_prev + j]
        for j in range(s.n_C_prev):
            db[j] += row[j]
    free(row)
    return 0


cdef int gradients(
    const Shape* s, const real* dZ, const real* A_prev, const real* W, real* dA_prev, real* dW, real* spare, real* db
) noexcept nogil:
    """All three; `spare` is memory for the sums of `A_prev`, which the kernel of ``dW`` makes too."""
    if forward(s, dZ, W, <real*>NULL, dA_prev) < 0 or backward_filters(s, A_prev, dZ, dW, spare) < 0:
        return -1
    return add_pixels(s, dZ, db)


cdef cnp.ndarray scores(const Shape* s, cnp.ndarray A_prev, cnp.ndarray W, cnp.ndarray b):
    """`Z` of checked arguments."""
    cdef cnp.ndarray Z
    cdef cnp.npy_intp shape[4]
    cdef int status
    if half(A_prev):
        return narrowed(scores(s, widened(A_prev), widened(W), widened(b)), A_prev)
    shape[0], shape[1], shape[2], shape[3] = s.m, s.h.n, s.w.n, s.n_C_prev
    Z = empty(A_prev, 4, shape)
    cdef bint is_single = single(Z)
    cdef object _held = held(A_prev, W, b)
    cdef void* a_data = elements(A_prev, is_single, output_size(s))
    cdef void* w_data = elements(W, is_single, filter_size(s))
    cdef void* b_data = elements(b, is_single, s.n_C_prev)
    cdef void* Z_data = elements(Z, is_single, input_size(s))
    with nogil:
        if is_single:
            status = backward_input(s, <const float*>a_data, <const float*>w_data, <const float*>b_data, <float*>Z_data)
        else:
            status = backward_input(
                s, <const double*>a_data, <const double*>w_data, <const double*>b_data, <double*>Z_data
            )
    if status < 0:
        fail("conv_transpose_forward: no memory for the packed filters")
    return Z


cdef tuple all_gradients(const Shape* s, cnp.ndarray dZ, cnp.ndarray A_prev, cnp.ndarray W):
    """(dA_prev, dW, db) of checked arguments."""
    cdef cnp.ndarray dA_prev, dW, db, spare
    cdef cnp.npy_intp shape[4]
    cdef int status
    if half(A_prev):
        return narrowed(all_gradients(s, widened(dZ), widened(A_prev), widened(W)), A_prev)
    shape[0], shape[1], shape[2], shape[3] = s.m, s.n_H, s.n_W, s.n_C
    dA_prev = empty(A_prev, 4, shape)
    take_shape(W, 4, shape)
    dW = empty(A_prev, 4, shape)
    shape[0], shape[1], shape[2], shape[3] = 1, 1, 1, s.n_C
    spare = empty(A_prev, 4, shape)
    shape[3] = s.n_C_prev
    db = empty(A_prev, 4, shape)
    cdef bint is_single = single(dA_prev)
    cdef object _held = held(dZ, A_prev, W)
    cdef void* g_data = elements(dZ, is_single, input_size(s))
    cdef void* a_data = elements(A_prev, is_single, output_size(s))
    cdef void* w_data = elements(W, is_single, filter_size(s))
    cdef void* dA_prev_data = elements(dA_prev, is_single, output_size(s))
    cdef void* dW_data = elements(dW, is_single, filter_size(s))
    cdef void* spare_data = elements(spare, is_single, s.n_C)
    cdef void* db_data = elements(db, is_single, s.n_C_prev)
    with nogil:
        if is_single:
            status = gradients(
                s, <const float*>g_data, <const float*>a_data, <const float*>w_data, <float*>dA_prev_data,
                <float*>dW_data, <float*>spare_data, <float*>db_data,
            )
        else:
            status = gradients(
                s, <const double*>g_data, <const double*>a_data, <const double*>w_data, <double*>dA_prev_data,
                <double*>dW_data, <double*>spare_data, <double*>db_data,
            )
    if status < 0:
        fail("conv_transpose_backward: no memory for the packed filters and the padded rows")
    return dA_prev, dW, db


def conv_transpose_forward(A_prev, W, b, hparameters):
    """Transposed convolution of a batch of images ("deconvolution", "fractionally strided convolution").

    Every input pixel adds its value times the filters to the output, `stride` apart.

    Parameters
    ----------
    A_prev : array_like, shape (m, n_H_prev, n_W_prev, n_C_prev)
        The input, channels last.
    W : array_like, shape (f_h, f_w, n_C / groups, n_C_prev)
        The filters of the forward convolution whose transpose this is; PyTorch's ``conv_transpose2d`` has them as
        ``(n_C_prev, n_C / groups, f_h, f_w)``: ``W.transpose(3, 2, 0, 1)``.
    b : array_like, shape (1, 1, 1, n_C)
        The biases, each added once to every output.
    hparameters : mapping
        ``"stride"`` and ``"pad"`` of the forward convolution, in pixels: an integer or a pair ``(h, w)``; ``pad`` also as
        ``((top, bottom), (left, right))``. It takes so many rows and columns off the output. Optional are

        ``"output_padding"``
            Rows and columns more at the bottom and right of the output, 0 where not given: it says which of the
            extents that the forward convolution takes to ``n_H_prev`` is meant. Below the stride or the dilation.
        ``"dilation"``
            The distance of neighbouring taps, 1 where not given.
        ``"groups"``
            An integer: channels are cut into so many groups, as in `conv_forward`.

    Returns
    -------
    Z : ndarray, shape (m, n_H, n_W, n_C)
        With ``n_H = (n_H_prev - 1) * stride - top - bottom + dilation * (f_h - 1) + output_padding + 1``, in the
        promoted dtype of the arguments: half, float32 or float64.
    cache : ConvTransposeCache
        ``(A_prev, W, b, hparameters)`` for `conv_transpose_backward`.

    Raises
    ------
    ValueError
        If shapes do not fit together, a key is missing or unknown, the output would have no rows or columns, or
        ``output_padding`` is not below the stride or the dilation.
    TypeError
        If an argument has the wrong type.
    MemoryError
        If the result cannot be allocated.

    References
    ----------
    V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", chapter 4. The post has no such layer.
    """
    cdef cnp.ndarray a, w, bias
    cdef Window window
    cdef Py_ssize_t groups
    cdef Shape s
    cdef dict asked = own("conv_transpose_forward", hparameters)
    a, w, bias = check_conv_transpose_forward(A_prev, W, b, asked, &window, &groups)
    s = shape_of(a, w, &window, groups)
    return scores(&s, a, w, bias), named(ConvTransposeCache, (a, w, bias, asked))


def conv_transpose_backward(dZ, cache):
    """Gradients of a transposed convolution with respect to its input, filters and biases.

    Parameters
    ----------
    dZ : array_like, shape (m, n_H, n_W, n_C)
        Gradient of the cost with respect to the output of `conv_transpose_forward`.
    cache : ConvTransposeCache, tuple or mapping
        ``(A_prev, W, b, hparameters)`` as `conv_transpose_forward` returned it.

    Returns
    -------
    dA_prev : ndarray, shape (m, n_H_prev, n_W_prev, n_C_prev)
    dW : ndarray, shape (f_h, f_w, n_C / groups, n_C_prev)
        Summed over the batch.
    db : ndarray, shape (1, 1, 1, n_C)
        Summed over the batch and the pixels.

    Raises
    ------
    ValueError
        If `dZ` does not have the shape of the forward output, or the cache is not one of `conv_transpose_forward`.
    TypeError
        If an argument has the wrong type.
    MemoryError
        If a result cannot be allocated.
    """
    cdef cnp.ndarray g, a, w
    cdef Window window
    cdef Py_ssize_t groups
    cdef Shape s
    g, a, w = check_conv_transpose_backward(dZ, cache, &window, &groups)
    s = shape_of(a, w, &window, groups)
    return all_gradients(&s, g, a, w)
