"""Convolution of NHWC images with HWIO filters (a cross-correlation, as everywhere in deep learning).

    Z[i, y, x, j] = (sum over (r, q, c) of
        A_pad[i, y*stride_h + r*dilation_h, x*stride_w + q*dilation_w, c0(j) + c] * W[r, q, c, j]) + b[j]

where ``c`` runs over the ``n_C_prev / groups`` input channels of the filter's group, which start at ``c0(j)``. Order of
summation, the same for every thread count, batch and instruction set:

- ``Z``: one chain of fused multiply-adds from 0, over (r, q, c) in C order, then ``b[j]`` is added; what lies in the
  padding is left out.
- ``dA_prev``: one chain from 0 for each pixel, over the windows that contain it in C order of (y, x), then over
  the filters of its group.
- ``dW``, ``db``: see ``kernels/wgrad/chunks.pxd``.

Source: "R for Deep Learning (IV)", ``conv_single_step``, ``conv_forward``, ``conv_backward``.
"""

cimport numpy as cnp

from cnnref.checks.arrays cimport elements, empty, held, single, take_shape
from cnnref.checks.conv cimport check_conv_backward, check_conv_forward, check_conv_single_step
from cnnref.checks.fields cimport named, own
from cnnref.checks.half cimport half, in_single, narrowed, widened
from cnnref.checks.hyper cimport Window, outputs
from cnnref.kernels.conv.conv cimport backward_filters, backward_input, forward, single_step
from cnnref.kernels.conv.correlations cimport Shape, filter_size, input_size, output_size, work
from cnnref.threads cimport brief, fail

from cnnref.caches import ConvCache

cnp.import_array()


cdef Shape shape_of(cnp.ndarray A_prev, cnp.ndarray W, const Window* window, Py_ssize_t groups) except *:
    cdef Shape s
    cdef cnp.npy_intp[4] images
    cdef cnp.npy_intp[4] filters
    take_shape(A_prev, 4, images)
    take_shape(W, 4, filters)
    s.m = images[0]
    s.h = window.h
    s.w = window.w
    s.n_C_prev = images[3]
    s.n_C = filters[3]
    s.groups = groups
    s.n_H = outputs(&window.h)
    s.n_W = outputs(&window.w)
    return s


cdef int forward_of(
    const Shape* s, bint is_single, const void* A_prev, const void* W, const void* b, void* Z
) noexcept nogil:
    if is_single:
        return forward(s, <const float*>A_prev, <const float*>W, <const float*>b, <float*>Z)
    return forward(s, <const double*>A_prev, <const double*>W, <const double*>b, <double*>Z)


cdef cnp.ndarray scores(const Shape* s, cnp.ndarray A_prev, cnp.ndarray W, cnp.ndarray b):
    """`Z` of checked arguments."""
    cdef cnp.ndarray Z
    cdef cnp.npy_intp shape[4]
    cdef int status
    if half(A_prev):
        return narrowed(scores(s, widened(A_prev), widened(W), widened(b)), A_prev)
    shape[0], shape[1], shape[2], shape[3] = s.m, s.n_H, s.n_W, s.n_C
    Z = empty(A_prev, 4, shape)
    cdef bint is_single = single(Z), at_once = brief(work(s))
    cdef object _held = None if at_once else held(A_prev, W, b)
    cdef void* a_data = elements(A_prev, is_single, input_size(s))
    cdef void* w_data = elements(W, is_single, filter_size(s))
    cdef void* b_data = elements(b, is_single, s.n_C)
    cdef void* Z_data = elements(Z, is_single, output_size(s))
    if at_once:
        status = forward_of(s, is_single, a_data, w_data, b_data, Z_data)
    else:
        with nogil:
            status = forward_of(s, is_single, a_data, w_data, b_data, Z_data)
    if status < 0:
        fail("conv_forward: no memory for the packed filters and the padded rows")
    return Z


cdef int gradients_of(
    const Shape* s, bint is_single, const void* dZ, const void* A_prev, const void* W, void* dA_prev, void* dW, void* db
) noexcept nogil:
    if is_single:
        if backward_input(s, <const float*>dZ, <const float*>W, <const float*>NULL, <float*>dA_prev) < 0:
            return -1
        return backward_filters(s, <const float*>dZ, <const float*>A_prev, <float*>dW, <float*>db)
    if backward_input(s, <const double*>dZ, <const double*>W, <const double*>NULL, <double*>dA_prev) < 0:
        return -1
    return backward_filters(s, <const double*>dZ, <const double*>A_prev, <double*>dW, <double*>db)


cdef tuple gradients(const Shape* s, cnp.ndarray dZ, cnp.ndarray A_prev, cnp.ndarray W):
    """(dA_prev, dW, db) of checked arguments."""
    cdef cnp.ndarray dA_prev, dW, db
    cdef cnp.npy_intp shape[4]
    cdef int status
    if half(A_prev):
        return narrowed(gradients(s, widened(dZ), widened(A_prev), widened(W)), A_prev)
    shape[0], shape[1], shape[2], shape[3] = s.m, s.h.n, s.w.n, s.n_C_prev
    dA_prev = empty(A_prev, 4, shape)
    take_shape(W, 4, shape)
    dW = empty(A_prev, 4, shape)
    shape[0], shape[1], shape[2] = 1, 1, 1
    db = empty(A_prev, 4, shape)
    cdef bint is_single = single(dA_prev), at_once = brief(2 * work(s))
    cdef object _held = None if at_once else held(dZ, A_prev, W)
    cdef void* g_data = elements(dZ, is_single, output_size(s))
    cdef void* a_data = elements(A_prev, is_single, input_size(s))
    cdef void* w_data = elements(W, is_single, filter_size(s))
    cdef void* dA_prev_data = elements(dA_prev, is_single, input_size(s))
    cdef void* dW_data = elements(dW, is_single, filter_size(s))
    cdef void* db_data = elements(db, is_single, s.n_C)
    if at_once:
        status = gradients_of(s, is_single, g_data, a_data, w_data, dA_prev_data, dW_data, db_data)
    else:
        with nogil:
            status = gradients_of(s, is_single, g_data, a_data, w_data, dA_prev_data, dW_data, db_data)
    if status < 0:
        fail("conv_backward: no memory for the packed filters and the padded rows")
    return dA_prev, dW, db


def conv_single_step(a_slice_prev, W, b):
    """Apply one filter to one window of the input.

    Parameters
    ----------
    a_slice_prev : array_like, shape (f_h, f_w, n_C_prev)
        A window of the padded input.
    W : array_like, shape (f_h, f_w, n_C_prev)
        One filter.
    b : array_like with one element
        Its bias.

    Returns
    -------
    float
        The sum of the products plus ``b``, in the order that `conv_forward` uses: the bits are those of `conv_forward`
        for the promoted dtype.

    Raises
    ------
    ValueError
        If the shapes differ or `b` has more than one element.
    TypeError
        If an argument is not real-valued.

    References
    ----------
    "R for Deep Learning (IV)", ``conv_single_step``.
    """
    cdef cnp.ndarray a, w
    cdef double bias
    a, w, bias = check_conv_single_step(a_slice_prev, W, b)
    if half(a):
        return in_single(conv_single_step, (a, w, bias), a)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(a)
    cdef bint is_single = single(a)
    cdef void* a_data = elements(a, is_single, n)
    cdef void* w_data = elements(w, is_single, n)
    if is_single:
        return single_step(<const float*>a_data, <const float*>w_data, <float>bias, n)
    return single_step(<const double*>a_data, <const double*>w_data, bias, n)


def conv_forward(A_prev, W, b, hparameters):
    """Convolve a batch of images with a set of filters.

    Parameters
    ----------
    A_prev : array_like, shape (m, n_H_prev, n_W_prev, n_C_prev)
        The input, channels last.
    W : array_like, shape (f_h, f_w, n_C_prev / groups, n_C)
        The filters: ``n_C / groups`` of each group, one group after the other.
    b : array_like, shape (1, 1, 1, n_C)
        The biases, each added once to every output.
    hparameters : mapping
        In pixels, an integer for both axes or a pair ``(h, w)``:

        ``"stride"``
            The distance of neighbouring windows, at least 1.
        ``"pad"``
            Zeros on each side; also ``((top, bottom), (left, right))``, ``"valid"`` (none), ``"same"`` or
            ``"same_lower"``: as many as give ``ceil(n_H_prev / stride)`` outputs, with the odd zero at the bottom
            and right (TensorFlow, ONNX's SAME_UPPER, PyTorch) or at the top and left (ONNX's SAME_LOWER).
        ``"dilation"``, optional
            The distance of neighbouring taps of a window, 1 where not given.

        And ``"groups"``, optional, an integer: the input channels are cut into so many groups and each filter sees those of
        its own. With ``groups = n_C_prev`` the convolution is depthwise, with ``n_C / n_C_prev`` filters a channel.

    Returns
    -------
    Z : ndarray, shape (m, n_H, n_W, n_C)
        With ``n_H = (n_H_prev + top + bottom - dilation * (f_h - 1) - 1) // stride + 1``, in the promoted dtype of
        the arguments: half, float32 or float64.
    cache : ConvCache
        ``(A_prev, W, b, hparameters)`` for `conv_backward`.

    Raises
    ------
    ValueError
        If shapes do not fit together, a key is missing or unknown, the channels do not divide into the groups, or the window
        is larger than the padded input.
    TypeError
        If an argument has the wrong type.
    MemoryError
        If the result cannot be allocated.

    References
    ----------
    "R for Deep Learning (IV)", ``conv_forward``.
    """
    cdef cnp.ndarray a, w, bias
    cdef Window window
    cdef Py_ssize_t groups
    cdef Shape s
    cdef dict asked = own("conv_forward", hparameters)
    a, w, bias = check_conv_forward(A_prev, W, b, asked, &window, &groups)
    s = shape_of(a, w, &window, groups)
    return scores(&s, a, w, bias), named(ConvCache, (a, w, bias, asked))


def post_conv_forward(A_prev, W, b, hparameters):
    """`cnnref.conv_forward` with the bias added once for each of the window's terms; the cache holds `b` as given."""
    cdef cnp.ndarray a, w, bias
    cdef Window window
    cdef Py_ssize_t groups
    cdef Shape s
    cdef dict asked = own("conv_forward", hparameters)
    a, w, bias = check_conv_forward(A_prev, W, b, asked, &window, &groups)
    s = shape_of(a, w, &window, groups)
    wide = widened(bias)
    terms = wide.dtype.type(s.h.f * s.w.f * (s.n_C_prev // groups))
    return scores(&s, a, w, wide * terms), named(ConvCache, (a, w, bias, asked))


def conv_backward(dZ, cache):
    """Gradients of a convolution with respect to its input, filters and biases.

    Parameters
    ----------
    dZ : array_like, shape (m, n_H, n_W, n_C)
        Gradient of the cost with respect to the output of `conv_forward`.
    cache : ConvCache, tuple or mapping
        ``(A_prev, W, b, hparameters)`` as `conv_forward` returned it.

    Returns
    -------
    dA_prev : ndarray, shape (m, n_H_prev, n_W_prev, n_C_prev)
    dW : ndarray, shape (f_h, f_w, n_C_prev / groups, n_C)
        Summed over the batch.
    db : ndarray, shape (1, 1, 1, n_C)
        Summed over the batch and the pixels.

    Raises
    ------
    ValueError
        If `dZ` does not have the shape of the forward output, or the cache is not one of `conv_forward`.
    TypeError
        If an argument has the wrong type.
    MemoryError
        If a result cannot be allocated.

    References
    ----------
    "R for Deep Learning (IV)", ``conv_backward``; the true gradient, as PyTorch autograd gives it.
    """
    cdef cnp.ndarray g, a, w
    cdef Window window
    cdef Py_ssize_t groups
    cdef Shape s
    g, a, w = check_conv_backward(dZ, cache, &window, &groups)
    s = shape_of(a, w, &window, groups)
    return gradients(&s, g, a, w)
