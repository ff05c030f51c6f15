"""The affine (fully connected) layer ``Z = A_prev W + b``.

A batch of rows is a column of 1x1 pixels and W a set of 1x1 filters, so the work is that of ``conv``:

- ``Z[i, j]``: one chain of fused multiply-adds from 0 over the inputs in order, then ``b[j]`` is added.
- ``dA_prev[i, k]``: one chain from 0 over the outputs in order.
- ``dW``, ``db``: see ``kernels/wgrad/chunks.pxd``; a chunk is 512 rows.

Source: "R for Deep Learning (IV)", ``affine_forward``, ``affine_backward``.
"""

cimport numpy as cnp
from cnnref.checks.arrays cimport elements, empty, held, single, take_shape
from cnnref.checks.fields cimport named
from cnnref.checks.half cimport half, in_single, narrowed, widened
from cnnref.checks.pool_affine cimport check_affine_backward, check_affine_forward
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.correlations cimport product_plan
from cnnref.kernels.conv.problem cimport Correlation, Matrix, multiplications
from cnnref.kernels.gemm.driver cimport implicit_gemm
from cnnref.kernels.wgrad.driver cimport wgrad
from cnnref.threads cimport brief, fail, team_size

from cnnref.caches import AffineCache

cnp.import_array()


cdef int product(
    Py_ssize_t m, Py_ssize_t inner, Py_ssize_t columns, const real* rows, const real* weights, bint transposed,
    const real* bias, real* out,
) noexcept nogil:
    """``out = rows @ weights + bias``, with the weights stored as its transpose where `transposed`."""
    cdef Correlation plan = product_plan(m, inner, columns)
    cdef Matrix place
    place.row_step = place.pixel_step = inner * columns
    place.channel_step = 1 if transposed else columns
    place.column_step = inner if transposed else 1
    return implicit_gemm(&plan, rows, &place, weights, bias, out)


cdef int backward(
    Py_ssize_t m, Py_ssize_t n_prev, Py_ssize_t n, const real* dZ, const real* A_prev, const real* W,
    real* dA_prev, real* dW, real* db,
) noexcept nogil:
    cdef Correlation plan = product_plan(m, n_prev, n)
    if product(m, n, n_prev, dZ, W, True, <real*>NULL, dA_prev) < 0:
        return -1
    return wgrad(&plan, A_prev, dZ, dW, db, team_size(multiplications(&plan)))


cdef int product_of(
    bint is_single, Py_ssize_t m, Py_ssize_t inner, Py_ssize_t columns, const void* rows, const void* weights,
    const void* bias, void* out,
) noexcept nogil:
    if is_single:
        return product(
            m, inner, columns, <const float*>rows, <const float*>weights, False, <const float*>bias, <float*>out
        )
    return product(
        m, inner, columns, <const double*>rows, <const double*>weights, False, <const double*>bias, <double*>out
    )


cdef int gradients_of(
    bint is_single, Py_ssize_t m, Py_ssize_t n_prev, Py_ssize_t n, const void* dZ, const void* A_prev, const void* W,
    void* dA_prev, void* dW, void* db,
) noexcept nogil:
    if is_single:
        return backward(
            m, n_prev, n, <const float*>dZ, <const float*>A_prev, <const float*>W, <float*>dA_prev, <float*>dW,
            <float*>db,
        )
    return backward(
        m, n_prev, n, <const double*>dZ, <const double*>A_prev, <const double*>W, <double*>dA_prev, <double*>dW,
        <double*>db,
    )


cdef cnp.ndarray matrix(Py_ssize_t rows, Py_ssize_t columns, cnp.ndarray like):
    cdef cnp.npy_intp shape[2]
    shape[0], shape[1] = rows, columns
    return empty(like, 2, shape)


def affine_forward(A_prev, W, b):
    """Affine layer: ``Z = A_prev @ W + b``.

    Parameters
    ----------
    A_prev : array_like, shape (m, n_prev)
        The input, one sample a row.
    W : array_like, shape (n_prev, n)
    b : array_like, shape (1, n)

    Returns
    -------
    Z : ndarray, shape (m, n)
        In the promoted dtype of the arguments: half, float32 or float64.
    cache : AffineCache
        ``(A_prev, W, b)`` for `affine_backward`.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    TypeError
        If an argument has the wrong type.
    MemoryError
        If the result cannot be allocated.

    References
    ----------
    "R for Deep Learning (IV)", ``affine_forward``.
    """
    cdef cnp.ndarray a, w, bias, Z
    cdef cnp.npy_intp[2] rows
    cdef cnp.npy_intp[2] weights
    cdef Py_ssize_t m, n_prev, n
    cdef bint is_single
    cdef void* a_data
    cdef void* w_data
    cdef void* b_data
    cdef void* Z_data
    cdef int status
    a, w, bias = check_affine_forward(A_prev, W, b)
    if half(a):
        Z, _ = affine_forward(widened(a), widened(w), widened(bias))  # arrays: none of the caller's code
        return narrowed(Z, a), named(AffineCache, (a, w, bias))
    take_shape(a, 2, rows)
    take_shape(w, 2, weights)
    m, n_prev, n = rows[0], rows[1], weights[1]
    Z = matrix(m, n, a)
    is_single = single(Z)
    cdef object _held = None if brief(<double>m * n_prev * n) else held(a, w, bias)
    a_data, w_data = elements(a, is_single, m * n_prev), elements(w, is_single, n_prev * n)
    b_data, Z_data = elements(bias, is_single, n), elements(Z, is_single, m * n)
    if brief(<double>m * n_prev * n):
        status = product_of(is_single, m, n_prev, n, a_data, w_data, b_data, Z_data)
    else:
        with nogil:
            status = product_of(is_single, m, n_prev, n, a_data, w_data, b_data, Z_data)
    if status < 0:
        fail("affine_forward: no memory for the packed weights")
    return Z, named(AffineCache, (a, w, bias))


def affine_backward(dZ, cache):
    """Gradients of the affine layer with respect to its input, weights and biases.

    Parameters
    ----------
    dZ : array_like, shape (m, n)
        Gradient of the cost with respect to the output of `affine_forward`.
    cache : AffineCache, tuple or mapping
        ``(A_prev, W, b)`` as `affine_forward` returned it.

    Returns
    -------
    dA_prev : ndarray, shape (m, n_prev)
    dW : ndarray, shape (n_prev, n)
        Summed over the batch.
    db : ndarray, shape (1, n)
        Summed over the batch.

    Raises
    ------
    ValueError
        If `dZ` does not have the shape of the forward output, or the cache is not one of `affine_forward`.
    TypeError
        If an argument has the wrong type.
    MemoryError
        If a result cannot be allocated.

    References
    ----------
    "R for Deep Learning (IV)", ``affine_backward``, without its division of dW and db by m.
    """
    cdef cnp.ndarray g, a, w, bias, dA_prev, dW, db
    cdef cnp.npy_intp[2] rows
    cdef cnp.npy_intp[2] weights
    cdef Py_ssize_t m, n_prev, n
    cdef bint is_single
    cdef void* g_data
    cdef void* a_data
    cdef void* w_data
    cdef void* dA_prev_data
    cdef void* dW_data
    cdef void* db_data
    cdef int status
    g, a, w, bias = check_affine_backward(dZ, cache)
    if half(a):
        return in_single(affine_backward, (g, (a, w, bias)), a)
    take_shape(a, 2, rows)
    take_shape(w, 2, weights)
    m, n_prev, n = rows[0], rows[1], weights[1]
    dA_prev = matrix(m, n_prev, a)
    dW = matrix(n_prev, n, a)
    db = matrix(1, n, a)
    is_single = single(dA_prev)
    cdef object _held = None if brief(2.0 * m * n_prev * n) else held(g, a, w)
    g_data, a_data = elements(g, is_single, m * n), elements(a, is_single, m * n_prev)
    w_data, dA_prev_data = elements(w, is_single, n_prev * n), elements(dA_prev, is_single, m * n_prev)
    dW_data, db_data = elements(dW, is_single, n_prev * n), elements(db, is_single, n)
    if brief(2.0 * m * n_prev * n):
        status = gradients_of(is_single, m, n_prev, n, g_data, a_data, w_data, dA_prev_data, dW_data, db_data)
    else:
        with nogil:
            status = gradients_of(is_single, m, n_prev, n, g_data, a_data, w_data, dA_prev_data, dW_data, db_data)
    if status < 0:
        fail("affine_backward: no memory for the packed weights")
    return dA_prev, dW, db
