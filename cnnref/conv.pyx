"""Convolution of NHWC images with HWIO filters (a cross-correlation, as everywhere in deep learning).

    Z[i, y, x, j] = b[j] + sum over (r, q, c) of A_pad[i, y*stride + r, x*stride + q, c] * W[r, q, c, j]

Order of summation, the same for every thread count, batch and instruction set:

- ``Z``: one chain of fused multiply-adds from ``b[j]``, over (r, q, c) in C order; what lies in the padding is
  left out.
- ``dA_prev``: one chain from 0 for each pixel, over the windows that contain it in C order of (y, x), then over
  the filters.
- ``dW``, ``db``: see ``_outer.pxd``.

Source: "R for Deep Learning (IV)", ``conv_single_step``, ``conv_forward``, ``conv_backward``.
"""

cimport numpy as cnp

from cnnref._arrays cimport empty
from cnnref._check cimport check_conv_backward, check_conv_forward, check_conv_single_step
from cnnref._window cimport output_extent
from cnnref._convolution cimport Shape, backward_filters, backward_input, forward, single_step

from cnnref.caches import ConvCache

cnp.import_array()


cdef Shape shape_of(cnp.ndarray A_prev, cnp.ndarray W, Py_ssize_t stride, Py_ssize_t pad):
    cdef Shape s
    s.m = A_prev.shape[0]
    s.n_H_prev = A_prev.shape[1]
    s.n_W_prev = A_prev.shape[2]
    s.n_C_prev = A_prev.shape[3]
    s.f = W.shape[0]
    s.n_C = W.shape[3]
    s.stride = stride
    s.pad = pad
    s.n_H = output_extent(s.n_H_prev, s.f, stride, pad)
    s.n_W = output_extent(s.n_W_prev, s.f, stride, pad)
    return s


def conv_single_step(a_slice_prev, W, b):
    """Apply one filter to one window of the input.

    Parameters
    ----------
    a_slice_prev : array_like, shape (f, f, n_C_prev)
        A window of the padded input.
    W : array_like, shape (f, f, n_C_prev)
        One filter.
    b : array_like with one element
        Its bias.

    Returns
    -------
    float
        ``b`` plus the sum of the products, in the chain that `conv_forward` uses: the bits are those of `conv_forward`
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
    W : array_like, shape (f, f, n_C_prev, n_C)
        The filters.
    b : array_like, shape (1, 1, 1, n_C)
        The biases, each added once to every output.
    hparameters : mapping
        ``"stride"`` (at least 1) and ``"pad"`` (zeros on each side, at least 0), both in pixels.

    Returns
    -------
    Z : ndarray, shape (m, n_H, n_W, n_C)
        With ``n_H = (n_H_prev + 2 * pad - f) // stride + 1``, in the promoted dtype of the arguments: float32 or
        float64.
    cache : ConvCache
        ``(A_prev, W, b, hparameters)`` for `conv_backward`.

    Raises
    ------
    ValueError
        If shapes do not fit together, a key is missing or unknown, or the window is larger than the padded input.
    TypeError
        If an argument has the wrong type.
    MemoryError
        If the result cannot be allocated.

    References
    ----------
    "R for Deep Learning (IV)", ``conv_forward``.
    """
    cdef cnp.ndarray a, w, bias, Z
    cdef cnp.npy_intp shape[4]
    cdef Shape s
    cdef int status
    a, w, bias, stride, pad, _, _ = check_conv_forward(A_prev, W, b, hparameters)
    s = shape_of(a, w, stride, pad)
    shape[0], shape[1], shape[2], shape[3] = s.m, s.n_H, s.n_W, s.n_C
    Z = empty(a, 4, shape)
    if cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT:
        with nogil:
            status = forward(
                &s, <float*>cnp.PyArray_DATA(a), <float*>cnp.PyArray_DATA(w), <float*>cnp.PyArray_DATA(bias),
                <float*>cnp.PyArray_DATA(Z),
            )
    else:
        with nogil:
            status = forward(
                &s, <double*>cnp.PyArray_DATA(a), <double*>cnp.PyArray_DATA(w), <double*>cnp.PyArray_DATA(bias),
                <double*>cnp.PyArray_DATA(Z),
            )
    if status < 0:
        raise MemoryError("conv_forward: no memory for the packed filters and the padded rows")
    return Z, ConvCache(a, w, bias, dict(hparameters))


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
    dW : ndarray, shape (f, f, n_C_prev, n_C)
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
    cdef Shape s
    cdef int status
    g, a, w, _, stride, pad = check_conv_backward(dZ, cache)
    s = shape_of(a, w, stride, pad)
    shape[0], shape[1], shape[2], shape[3] = s.m, s.n_H_prev, s.n_W_prev, s.n_C_prev
    dA_prev = empty(a, 4, shape)
    shape[0], shape[1], shape[2], shape[3] = s.f, s.f, s.n_C_prev, s.n_C
    dW = empty(a, 4, shape)
    shape[0], shape[1], shape[2] = 1, 1, 1
    db = empty(a, 4, shape)
    if cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT:
        with nogil:
            status = backward_input(
                &s, <float*>cnp.PyArray_DATA(g), <float*>cnp.PyArray_DATA(w), <float*>cnp.PyArray_DATA(dA_prev)
            )
            if status == 0:
                status = backward_filters(
                    &s, <float*>cnp.PyArray_DATA(g), <float*>cnp.PyArray_DATA(a),
                    <float*>cnp.PyArray_DATA(dW), <float*>cnp.PyArray_DATA(db),
                )
    else:
        with nogil:
            status = backward_input(
                &s, <double*>cnp.PyArray_DATA(g), <double*>cnp.PyArray_DATA(w), <double*>cnp.PyArray_DATA(dA_prev)
            )
            if status == 0:
                status = backward_filters(
                    &s, <double*>cnp.PyArray_DATA(g), <double*>cnp.PyArray_DATA(a),
                    <double*>cnp.PyArray_DATA(dW), <double*>cnp.PyArray_DATA(db),
                )
    if status < 0:
        raise MemoryError("conv_backward: no memory for the packed filters and the padded rows")
    return dA_prev, dW, db
