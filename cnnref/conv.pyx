"""Convolution of NHWC images with HWIO filters (a cross-correlation, as everywhere in deep learning).

    Z[i, y, x, j] = b[j] + sum over (r, q, c) of A_pad[i, y*stride + r, x*stride + q, c] * W[r, q, c, j]

Order of summation, the same for every thread count, batch and instruction set:

- ``Z``: one chain of fused multiply-adds from ``b[j]``, over (r, q, c) in C order; padding is part of the chain as
  zeros.
- ``dA_prev``: one chain from 0 for each pixel, over the windows that contain it in C order of (y, x), then over the filters. Positions
  where no window is are part of the chain as zeros, unless a filter value is infinite or NaN: then they are left out.
- ``dW``, ``db``: see ``_outer.pxd``.

Source: "R for Deep Learning (IV)", ``conv_single_step``, ``conv_forward``, ``conv_backward``.
"""

cimport numpy as cnp
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from cnnref._correlate cimport Correlation, correlate, multiplications
from cnnref._memory cimport allocate
from cnnref._outer cimport outer_product
from cnnref._panels cimport pack_columns, pack_rows, padded_columns
from cnnref._types cimport multiply_add, real
from cnnref.threads cimport team_size

from cnnref._check import check_conv_backward, check_conv_forward, check_conv_single_step
from cnnref.caches import ConvCache

cnp.import_array()


cdef struct Shape:
    # A convolution's extents, under the post's names.
    Py_ssize_t m
    Py_ssize_t n_H_prev
    Py_ssize_t n_W_prev
    Py_ssize_t n_C_prev
    Py_ssize_t f
    Py_ssize_t n_C
    Py_ssize_t stride
    Py_ssize_t pad
    Py_ssize_t n_H
    Py_ssize_t n_W


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
    s.n_H = (s.n_H_prev + 2 * pad - s.f) // stride + 1
    s.n_W = (s.n_W_prev + 2 * pad - s.f) // stride + 1
    return s


cdef Correlation forward_plan(const Shape* s) noexcept nogil:
    cdef Correlation plan
    plan.samples = s.m
    plan.height = s.n_H_prev
    plan.width = s.n_W_prev
    plan.channels = s.n_C_prev
    plan.top = s.pad
    plan.left = s.pad
    plan.stride = s.stride
    plan.window_h = s.f
    plan.window_w = s.f
    plan.n_H = s.n_H
    plan.n_W = s.n_W
    plan.columns = s.n_C
    plan.pixel_step = s.n_C
    plan.row_step = s.n_W * s.n_C
    plan.sample_step = s.n_H * s.n_W * s.n_C
    join_samples(&plan)
    return plan


cdef void join_samples(Correlation* plan) noexcept nogil:
    """Take 1x1 windows over whole images as one tall image: tiles then run across samples."""
    if (
        plan.window_h == 1 and plan.window_w == 1 and plan.stride == 1 and plan.top == 0 and plan.left == 0
        and plan.n_H == plan.height and plan.n_W == plan.width
        and plan.row_step == plan.n_W * plan.columns and plan.sample_step == plan.n_H * plan.row_step
    ):
        plan.height *= plan.samples
        plan.n_H *= plan.samples
        plan.samples = 1


cdef int forward(const Shape* s, const real* A_prev, const real* W, const real* b, real* Z) noexcept nogil:
    cdef Correlation plan = forward_plan(s)
    cdef Py_ssize_t depth = s.f * s.f * s.n_C_prev
    cdef Py_ssize_t padded = padded_columns(s.n_C, <real>0)
    cdef real* start = <real*>allocate(padded * (depth + 1), sizeof(real))
    cdef int status
    if start == NULL:
        return -1
    memset(start, 0, padded * sizeof(real))
    memcpy(start, b, s.n_C * sizeof(real))
    pack_columns(W, depth, s.n_C, s.n_C, depth, 0, start + padded)
    status = correlate(&plan, A_prev, start + padded, start, Z, team_size(multiplications(&plan)))
    free(start)
    return status


cdef bint all_finite(const real* values, Py_ssize_t count) noexcept nogil:
    """Whether no value is infinite or NaN, by a count that vectorises."""
    cdef Py_ssize_t j, others = 0
    for j in range(count):
        others += values[j] - values[j] != 0
    return others == 0


cdef int backward_input(const Shape* s, const real* dZ, const real* W, real* dA_prev) noexcept nogil:
    """`dA_prev`, phase by phase.

    The pixels whose row and column have the same remainders modulo the stride are touched by the same filter taps: for
    them the gradient is a dense correlation of dZ with those taps, in reverse.
    """
    cdef Py_ssize_t size = s.m * s.n_H_prev * s.n_W_prev * s.n_C_prev
    cdef Py_ssize_t padded = padded_columns(s.n_C_prev, <real>0)
    cdef Py_ssize_t row_phase, column_phase, phases = min(s.stride, s.f)
    cdef Py_ssize_t first_h, first_w, r, q, depth
    cdef Correlation plan
    cdef int status = 0
    cdef real* panels
    cdef real* start
    if not all_finite(W, s.f * s.f * s.n_C_prev * s.n_C):
        backward_input_by_taps(s, dZ, W, dA_prev)
        return 0
    start = <real*>allocate(padded * (s.f * s.f * s.n_C + 1), sizeof(real))
    if start == NULL:
        return -1
    memset(start, 0, padded * sizeof(real))
    panels = start + padded
    if s.stride > 1:
        memset(dA_prev, 0, size * sizeof(real))
    plan.samples = s.m
    plan.height = s.n_H
    plan.width = s.n_W
    plan.channels = s.n_C
    plan.stride = 1
    plan.columns = s.n_C_prev
    plan.pixel_step = s.stride * s.n_C_prev
    plan.row_step = s.stride * s.n_W_prev * s.n_C_prev
    plan.sample_step = s.n_H_prev * s.n_W_prev * s.n_C_prev
    for row_phase in range(phases):
        first_h = (row_phase - s.pad) % s.stride
        if first_h < 0:
            first_h += s.stride
        plan.window_h = (s.f - row_phase + s.stride - 1) // s.stride
        plan.n_H = max((s.n_H_prev - first_h + s.stride - 1) // s.stride, <Py_ssize_t>0)
        plan.top = plan.window_h - 1 - (first_h + s.pad - row_phase) // s.stride
        for column_phase in range(phases):
            first_w = (column_phase - s.pad) % s.stride
            if first_w < 0:
                first_w += s.stride
            plan.window_w = (s.f - column_phase + s.stride - 1) // s.stride
            plan.n_W = max((s.n_W_prev - first_w + s.stride - 1) // s.stride, <Py_ssize_t>0)
            plan.left = plan.window_w - 1 - (first_w + s.pad - column_phase) // s.stride
            depth = plan.window_h * plan.window_w * s.n_C
            for r in range(plan.window_h):
                for q in range(plan.window_w):
                    pack_rows(
                        W + (
                            (row_phase + s.stride * (plan.window_h - 1 - r)) * s.f
                            + column_phase + s.stride * (plan.window_w - 1 - q)
                        ) * s.n_C_prev * s.n_C,
                        s.n_C, s.n_C_prev, s.n_C, depth, (r * plan.window_w + q) * s.n_C, panels,
                    )
            status = run_phase(plan, dZ, panels, start, dA_prev + (first_h * s.n_W_prev + first_w) * s.n_C_prev)
            if status < 0:
                break
        if status < 0:
            break
    free(start)
    return status


cdef int run_phase(
    Correlation plan, const real* dZ, const real* panels, const real* start, real* dA_prev
) noexcept nogil:
    join_samples(&plan)
    return correlate(&plan, dZ, panels, start, dA_prev, team_size(multiplications(&plan)))


cdef void backward_input_by_taps(const Shape* s, const real* dZ, const real* W, real* dA_prev) noexcept nogil:
    """`dA_prev` where zeros outside dZ must not meet the filters: 0 * inf would be NaN. Slow and rare."""
    cdef Py_ssize_t i, h, w, c, r, q, k, y, x
    cdef real total
    for i in range(s.m):
        for h in range(s.n_H_prev):
            for w in range(s.n_W_prev):
                for c in range(s.n_C_prev):
                    total = 0
                    for r in range(s.f - 1, -1, -1):
                        y = h + s.pad - r
                        if y < 0 or y % s.stride != 0 or y // s.stride >= s.n_H:
                            continue
                        for q in range(s.f - 1, -1, -1):
                            x = w + s.pad - q
                            if x < 0 or x % s.stride != 0 or x // s.stride >= s.n_W:
                                continue
                            for k in range(s.n_C):
                                total = multiply_add(
                                    dZ[((i * s.n_H + y // s.stride) * s.n_W + x // s.stride) * s.n_C + k],
                                    W[((r * s.f + q) * s.n_C_prev + c) * s.n_C + k],
                                    total,
                                )
                    dA_prev[((i * s.n_H_prev + h) * s.n_W_prev + w) * s.n_C_prev + c] = total


cdef int backward_filters(
    const Shape* s, const real* dZ, const real* A_prev, real* dW, real* db
) noexcept nogil:
    cdef Correlation plan = forward_plan(s)
    return outer_product(&plan, A_prev, dZ, dW, db, team_size(multiplications(&plan)))


cdef cnp.ndarray empty(tuple shape, cnp.ndarray like):
    cdef cnp.npy_intp extents[4]
    cdef Py_ssize_t axis
    for axis in range(len(shape)):
        extents[axis] = shape[axis]
    return cnp.PyArray_EMPTY(<int>len(shape), extents, cnp.PyArray_TYPE(like), 0)


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
    cdef cnp.ndarray a, w, bias
    a, w, bias = check_conv_single_step(a_slice_prev, W, b)
    if cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT:
        return single_step(
            <float*>cnp.PyArray_DATA(a), <float*>cnp.PyArray_DATA(w), (<float*>cnp.PyArray_DATA(bias))[0],
            cnp.PyArray_SIZE(a),
        )
    return single_step(
        <double*>cnp.PyArray_DATA(a), <double*>cnp.PyArray_DATA(w), (<double*>cnp.PyArray_DATA(bias))[0],
        cnp.PyArray_SIZE(a),
    )


cdef double single_step(const real* a, const real* w, real total, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        total = multiply_add(a[j], w[j], total)
    return total


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
    cdef Py_ssize_t stride, pad
    cdef Shape s
    cdef int status
    a, w, bias, stride, pad, hparameters = check_conv_forward(A_prev, W, b, hparameters)
    s = shape_of(a, w, stride, pad)
    Z = empty((s.m, s.n_H, s.n_W, s.n_C), a)
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
    return Z, ConvCache(a, w, bias, hparameters)


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
    cdef Py_ssize_t stride, pad
    cdef Shape s
    cdef int status
    g, a, w, stride, pad = check_conv_backward(dZ, cache)
    s = shape_of(a, w, stride, pad)
    dA_prev = empty((s.m, s.n_H_prev, s.n_W_prev, s.n_C_prev), a)
    dW = empty((s.f, s.f, s.n_C_prev, s.n_C), a)
    db = empty((1, 1, 1, s.n_C), a)
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
