"""The affine (fully connected) layer ``Z = A_prev W + b``.

A batch of rows is a column of 1x1 pixels and W a set of 1x1 filters, so the work is that of ``conv``:

- ``Z[i, j]``: one chain of fused multiply-adds from 0 over the inputs in order, then ``b[j]`` is added.
- ``dA_prev[i, k]``: one chain from 0 over the outputs in order.
- ``dW``, ``db``: see ``kernels/wgrad/chunks.pxd``; a chunk is 512 rows.

Source: "R for Deep Learning (IV)", ``affine_forward``, ``affine_backward``.
"""

cimport numpy as cnp
from cpython.pystate cimport PyThreadState
from numpy cimport ndarray, npy_intp

from cnnref.checks.arrays cimport elements, empty, held, is_double, take_shape
from cnnref.checks.fields cimport named
from cnnref.checks.half cimport rounded, wide
from cnnref.checks.pool_affine cimport check_affine_backward, check_affine_forward
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.correlations cimport product_plan
from cnnref.kernels.conv.problem cimport Correlation, Matrix, multiplications
from cnnref.kernels.gemm.driver cimport implicit_gemm
from cnnref.kernels.wgrad.driver cimport wgrad
from cnnref.threads cimport brief, fail, let_go, take_back, team_size

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


cdef ndarray matrix(Py_ssize_t rows, Py_ssize_t columns, ndarray like):
    cdef npy_intp[2] shape
    shape[0], shape[1] = rows, columns
    return empty(like, 2, shape)


cdef ndarray scores(ndarray A_prev, ndarray W, ndarray b, real kind):
    """`Z` of checked arguments."""
    cdef npy_intp[2] rows
    cdef npy_intp[2] weights
    take_shape(A_prev, 2, rows)
    take_shape(W, 2, weights)
    cdef Py_ssize_t m = rows[0], n_prev = rows[1], n = weights[1]
    cdef ndarray Z = matrix(m, n, A_prev)
    cdef double work = <double>m * n_prev * n
    cdef object _held = None if brief(work) else held(A_prev, W, b)
    cdef const real* a_data = elements(A_prev, m * n_prev, kind)
    cdef const real* w_data = elements(W, n_prev * n, kind)
    cdef const real* b_data = elements(b, n, kind)
    cdef real* z_data = <real*>cnp.PyArray_DATA(Z)
    cdef PyThreadState* state = let_go(work)
    cdef int status = product(m, n_prev, n, a_data, w_data, False, b_data, z_data)
    take_back(state)
    if status < 0:
        fail("affine_forward: no memory for the packed weights")
    return Z


cdef tuple gradients(ndarray dZ, ndarray A_prev, ndarray W, real kind):
    """(dA_prev, dW, db) of checked arguments."""
    cdef npy_intp[2] rows
    cdef npy_intp[2] weights
    take_shape(A_prev, 2, rows)
    take_shape(W, 2, weights)
    cdef Py_ssize_t m = rows[0], n_prev = rows[1], n = weights[1]
    cdef ndarray dA_prev = matrix(m, n_prev, A_prev), dW = matrix(n_prev, n, A_prev), db = matrix(1, n, A_prev)
    cdef double work = 2.0 * m * n_prev * n
    cdef object _held = None if brief(work) else held(dZ, A_prev, W)
    cdef const real* g_data = elements(dZ, m * n, kind)
    cdef const real* a_data = elements(A_prev, m * n_prev, kind)
    cdef const real* w_data = elements(W, n_prev * n, kind)
    cdef real* dA_prev_data = <real*>cnp.PyArray_DATA(dA_prev)
    cdef real* dW_data = <real*>cnp.PyArray_DATA(dW)
    cdef real* db_data = <real*>cnp.PyArray_DATA(db)
    cdef PyThreadState* state = let_go(work)
    cdef int status = backward(m, n_prev, n, g_data, a_data, w_data, dA_prev_data, dW_data, db_data)
    take_back(state)
    if status < 0:
        fail("affine_backward: no memory for the packed weights")
    return dA_prev, dW, db


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

    Examples
    --------
    >>> Z, cache = cnnref.affine_forward([[1, 2]], [[1, 0, 1], [0, 1, 1]], [[0.5, 0.5, 0.5]])
    >>> Z
    array([[1.5, 2.5, 3.5]])
    """
    cdef ndarray a, w, bias
    a, w, bias = check_affine_forward(A_prev, W, b)
    if is_double(a):
        Z = scores(a, w, bias, <double>0)
    else:
        Z = rounded(scores(wide(a), wide(w), wide(bias), <float>0), a)
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

    Examples
    --------
    >>> Z, cache = cnnref.affine_forward([[1, 2]], [[1, 0, 1], [0, 1, 1]], [[0.5, 0.5, 0.5]])
    >>> dA_prev, dW, db = cnnref.affine_backward(np.ones_like(Z), cache)
    >>> dA_prev
    array([[2., 2.]])
    >>> dW
    array([[1., 1., 1.],
           [2., 2., 2.]])
    """
    cdef ndarray g, a, w
    g, a, w, _ = check_affine_backward(dZ, cache)
    if is_double(a):
        return gradients(g, a, w, <double>0)
    return rounded(gradients(wide(g), wide(a), wide(w), <float>0), a)
