"""The affine (fully connected) layer ``Z = A_prev W + b``.

A batch of rows is a column of 1x1 pixels and W a set of 1x1 filters, so the work is that of ``conv``:

- ``Z[i, j]``: one chain of fused multiply-adds from ``b[j]`` over the inputs in order.
- ``dA_prev[i, k]``: one chain from 0 over the outputs in order.
- ``dW``, ``db``: see ``_outer.pxd``; a chunk is 512 rows.

Source: "R for Deep Learning (IV)", ``affine_forward``, ``affine_backward``.
"""

cimport numpy as cnp
from cnnref._arrays cimport empty, named
from cnnref._check cimport check_affine_backward, check_affine_forward
from cnnref._correlate cimport correlate
from cnnref._panels cimport Matrix
from cnnref._plan cimport Correlation, multiplications
from cnnref._sums cimport batch_sums
from cnnref._types cimport real
from cnnref.threads cimport fail, team_size

from cnnref.caches import AffineCache

cnp.import_array()


cdef Correlation product_plan(Py_ssize_t m, Py_ssize_t inner, Py_ssize_t columns) noexcept nogil:
    """``m`` rows of `inner` values times a matrix of `columns` columns."""
    cdef Correlation plan
    plan.samples = 1
    plan.height = plan.n_H = m
    plan.width = plan.n_W = 1
    plan.channels = plan.image_step = inner
    plan.top = plan.left = 0
    plan.stride_h = plan.stride_w = plan.dilation_h = plan.dilation_w = plan.window_h = plan.window_w = 1
    plan.columns = plan.sharing = columns
    plan.pixel_step = plan.row_step = columns
    plan.sample_step = m * columns
    return plan


cdef int product(
    Py_ssize_t m, Py_ssize_t inner, Py_ssize_t columns, const real* rows, const real* weights, bint transposed,
    const real* bias, real* out,
) noexcept nogil:
    """``out = bias + rows @ weights``, with the weights stored as its transpose where `transposed`."""
    cdef Correlation plan = product_plan(m, inner, columns)
    cdef Matrix place
    place.row_step = place.pixel_step = inner * columns
    place.channel_step = 1 if transposed else columns
    place.column_step = inner if transposed else 1
    return correlate(&plan, rows, &place, weights, bias, out)


cdef int backward(
    Py_ssize_t m, Py_ssize_t n_prev, Py_ssize_t n, const real* dZ, const real* A_prev, const real* W,
    real* dA_prev, real* dW, real* db,
) noexcept nogil:
    cdef Correlation plan = product_plan(m, n_prev, n)
    if product(m, n, n_prev, dZ, W, True, <real*>NULL, dA_prev) < 0:
        return -1
    return batch_sums(&plan, A_prev, dZ, dW, db, team_size(multiplications(&plan)))


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
        In the promoted dtype of the arguments: float32 or float64.
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
    cdef Py_ssize_t m, n_prev, n
    cdef int status
    a, w, bias = check_affine_forward(A_prev, W, b)
    m = a.shape[0]
    n_prev = a.shape[1]
    n = w.shape[1]
    Z = matrix(m, n, a)
    if cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT:
        with nogil:
            status = product(
                m, n_prev, n, <float*>cnp.PyArray_DATA(a), <float*>cnp.PyArray_DATA(w), False,
                <float*>cnp.PyArray_DATA(bias), <float*>cnp.PyArray_DATA(Z),
            )
    else:
        with nogil:
            status = product(
                m, n_prev, n, <double*>cnp.PyArray_DATA(a), <double*>cnp.PyArray_DATA(w), False,
                <double*>cnp.PyArray_DATA(bias), <double*>cnp.PyArray_DATA(Z),
            )
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
    cdef cnp.ndarray g, a, w, dA_prev, dW, db
    cdef Py_ssize_t m, n_prev, n
    cdef int status
    g, a, w, _ = check_affine_backward(dZ, cache)
    m = a.shape[0]
    n_prev = a.shape[1]
    n = w.shape[1]
    dA_prev = matrix(m, n_prev, a)
    dW = matrix(n_prev, n, a)
    db = matrix(1, n, a)
    if cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT:
        with nogil:
            status = backward(
                m, n_prev, n, <float*>cnp.PyArray_DATA(g), <float*>cnp.PyArray_DATA(a),
                <float*>cnp.PyArray_DATA(w), <float*>cnp.PyArray_DATA(dA_prev),
                <float*>cnp.PyArray_DATA(dW), <float*>cnp.PyArray_DATA(db),
            )
    else:
        with nogil:
            status = backward(
                m, n_prev, n, <double*>cnp.PyArray_DATA(g), <double*>cnp.PyArray_DATA(a),
                <double*>cnp.PyArray_DATA(w), <double*>cnp.PyArray_DATA(dA_prev),
                <double*>cnp.PyArray_DATA(dW), <double*>cnp.PyArray_DATA(db),
            )
    if status < 0:
        fail("affine_backward: no memory for the packed weights")
    return dA_prev, dW, db
