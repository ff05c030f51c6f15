"""Convolution of NHWC images with HWIO filters (a cross-correlation, as everywhere in deep learning).

    Z[i, y, x, j] = (sum over (r, q, c) of
        A_pad[i, y*stride_h + r*dilation_h, x*stride_w + q*dilation_w, c0(j) + c] * W[r, q, c, j]) + b[j]

where ``c`` runs over the ``n_C_prev / groups`` input channels of the filter's group, which start at ``c0(j)``. Order of
summation, the same for every thread count, batch and instruction set:

- ``Z``: one chain of fused multiply-adds from 0, over (r, q, c) in C order, then ``b[j]`` is added; what lies in the
  padding is left out.
- ``dA_prev``: one chain from 0 for each pixel, over the windows that contain it in C order of (y, x), then over
  the filters of its group.
- ``dW``, ``db``: see ``_outer.pxd``.

Source: "R for Deep Learning (IV)", ``conv_single_step``, ``conv_forward``, ``conv_backward``.
"""

cimport numpy as cnp

from cnnref._arrays cimport empty
from cnnref._check_conv cimport check_conv_backward, check_conv_forward, check_conv_single_step
from cnnref._convolution cimport Shape, backward_filters, backward_input, forward, single_step
from cnnref._fields cimport named
from cnnref._half cimport half, in_single, narrowed, widened
from cnnref._hyper cimport Window, outputs
from cnnref.threads cimport fail

from cnnref.caches import ConvCache

cnp.import_array()


cdef Shape shape_of(cnp.ndarray A_prev, cnp.ndarray W, const Window* window, Py_ssize_t groups):
    cdef Shape s
    s.m = A_prev.shape[0]
    s.h = window.h
    s.w = window.w
    s.n_C_prev = A_prev.shape[3]
    s.n_C = W.shape[3]
    s.groups = groups
    s.n_H = outputs(&window.h)
    s.n_W = outputs(&window.w)
    return s


cdef cnp.ndarray scores(const Shape* s, cnp.ndarray A_prev, cnp.ndarray W, cnp.ndarray b):
    """`Z` of checked arguments."""
    cdef cnp.ndarray Z
    cdef cnp.npy_intp shape[4]
    cdef int status
    if half(A_prev):
        return narrowed(scores(s, widened(A_prev), widened(W), widened(b)), A_prev)
    shape[0], shape[1], shape[2], shape[3] = s.m, s.n_H, s.n_W, s.n_C
    Z = empty(A_prev, 4, shape)
    if cnp.PyArray_TYPE(A_prev) == cnp.NPY_FLOAT:
        with nogil:
            status = forward(
                s, <float*>cnp.PyArray_DATA(A_prev), <float*>cnp.PyArray_DATA(W), <float*>cnp.PyArray_DATA(b),
                <float*>cnp.PyArray_DATA(Z),
            )
    else:
        with nogil:
            status = forward(
                s, <double*>cnp.PyArray_DATA(A_prev), <double*>cnp.PyArray_DATA(W), <double*>cnp.PyArray_DATA(b),
                <double*>cnp.PyArray_DATA(Z),
            )
    if status < 0:
        fail("conv_forward: no memory for the packed filters and the padded rows")
    return Z


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
    if cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT:
        return single_step(
            <float*>cnp.PyArray_DATA(a), <float*>cnp.PyArray_DATA(w), <float>bias, cnp.PyArray_SIZE(a)
        )
    return single_step(
        <double*>cnp.PyArray_DATA(a), <double*>cnp.PyArray_DATA(w), bias, cnp.PyArray_SIZE(a)
    )


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
    a, w, bias = check_conv_forward(A_prev, W, b, hparameters, &window, &groups)
    s = shape_of(a, w, &window, groups)
    return scores(&s, a, w, bias), named(ConvCache, (a, w, bias, dict(hparameters)))


def post_conv_forward(A_prev, W, b, hparameters):
    """`cnnref.conv_forward` with the bias added once for each of the window's terms; the cache holds `b` as given."""
    cdef cnp.ndarray a, w, bias
    cdef Window window
    cdef Py_ssize_t groups
    cdef Shape s
    a, w, bias = check_conv_forward(A_prev, W, b, hparameters, &window, &groups)
    s = shape_of(a, w, &window, groups)
    wide = widened(bias)
    terms = wide.dtype.type(w.shape[0] * w.shape[1] * w.shape[2])
    return scores(&s, a, w, wide * terms), named(ConvCache, (a, w, bias, dict(hparameters)))


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
    cdef cnp.ndarray g, a, w, dA_prev, dW, db
    cdef cnp.npy_intp shape[4]
    cdef Window window
    cdef Py_ssize_t groups
    cdef Shape s
    cdef int status
    g, a, w = check_conv_backward(dZ, cache, &window, &groups)
    if half(a):
        return in_single(conv_backward, (g, cache), a)
    s = shape_of(a, w, &window, groups)
    shape[0], shape[1], shape[2], shape[3] = s.m, s.h.n, s.w.n, s.n_C_prev
    dA_prev = empty(a, 4, shape)
    shape[0], shape[1], shape[2], shape[3] = s.h.f, s.w.f, w.shape[2], s.n_C
    dW = empty(a, 4, shape)
    shape[0], shape[1], shape[2] = 1, 1, 1
    db = empty(a, 4, shape)
    if cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT:
        with nogil:
            status = backward_input(
                &s, <float*>cnp.PyArray_DATA(g), <float*>cnp.PyArray_DATA(w), <float*>NULL, <float*>cnp.PyArray_DATA(dA_prev)
            )
            if status == 0:
                status = backward_filters(
                    &s, <float*>cnp.PyArray_DATA(g), <float*>cnp.PyArray_DATA(a),
                    <float*>cnp.PyArray_DATA(dW), <float*>cnp.PyArray_DATA(db),
                )
    else:
        with nogil:
            status = backward_input(
                &s, <double*>cnp.PyArray_DATA(g), <double*>cnp.PyArray_DATA(w), <double*>NULL, <double*>cnp.PyArray_DATA(dA_prev)
            )
            if status == 0:
                status = backward_filters(
                    &s, <double*>cnp.PyArray_DATA(g), <double*>cnp.PyArray_DATA(a),
                    <double*>cnp.PyArray_DATA(dW), <double*>cnp.PyArray_DATA(db),
                )
    if status < 0:
        fail("conv_backward: no memory for the packed filters and the padded rows")
    return dA_prev, dW, db
