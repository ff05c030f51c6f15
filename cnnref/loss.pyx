"""Cross entropy of class probabilities and its gradients.

    loss = -(1/m) sum_i log(AL[i, y_i])
    dAL[i, y_i] = (-1/m) / AL[i, y_i], and 0 elsewhere
    dx = (p - onehot(y)) / m, the gradient through a softmax

The loss is a double sum over chunks of 256 rows, in order within and between them, whatever the dtype of AL, of the
logarithm of the probability as a double. Its order is the same for every thread count and instruction set.

Source: "R for Deep Learning (IV)", ``cross_entropy_cost``; the gradients are not in the post.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.stdlib cimport free
from numpy cimport ndarray

from cnnref._arrays cimport empty, single, zeros
from cnnref._check_elements cimport check_cross_entropy_cache, check_cross_entropy_cost
from cnnref._elementary cimport log
from cnnref._memory cimport allocate
from cnnref._types cimport real
from cnnref.threads cimport team_size

from cnnref.caches import CrossEntropyCache

cnp.import_array()

cdef enum:
    CHUNK = 256  # rows whose losses are added up first

cdef object new_tuple = tuple.__new__


cdef double chunk_loss(
    const real* al, const cnp.npy_intp* y, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t n
) noexcept nogil:
    cdef double loss = 0
    cdef Py_ssize_t row
    for row in range(begin, end):
        loss -= log(al[row * n + y[row]])
    return loss


cdef double mean_loss(const real* al, const cnp.npy_intp* y, Py_ssize_t m, Py_ssize_t n, int threads) noexcept nogil:
    cdef Py_ssize_t chunks = (m + CHUNK - 1) // CHUNK
    cdef Py_ssize_t chunk
    cdef double loss = 0
    cdef double* partial
    if threads == 1:
        for chunk in range(chunks):
            loss += chunk_loss(al, y, chunk * CHUNK, min((chunk + 1) * CHUNK, m), n)
        return loss / m
    partial = <double*>allocate(chunks, sizeof(double))
    if partial == NULL:
        return mean_loss(al, y, m, n, 1)
    for chunk in prange(chunks, num_threads=threads, schedule="static"):
        partial[chunk] = chunk_loss(al, y, chunk * CHUNK, min((chunk + 1) * CHUNK, m), n)
    for chunk in range(chunks):
        loss += partial[chunk]
    free(partial)
    return loss / m


cdef void loss_gradient(
    const real* al, const cnp.npy_intp* index, real* dal, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef double share = -1.0 / <double>m
    cdef Py_ssize_t row, i
    for row in range(m):
        i = row * n + index[2 * row + 1]
        dal[i] = <real>(share / al[i])


cdef void logit_gradient(
    const real* al, const cnp.npy_intp* index, real* dx, Py_ssize_t m, Py_ssize_t n, int threads
) noexcept nogil:
    cdef Py_ssize_t part, begin, end, i
    for part in prange(threads, num_threads=threads, use_threads_if=threads > 1, schedule="static"):
        begin = m * part // threads
        end = m * (part + 1) // threads
        for i in range(begin * n, end * n):
            dx[i] = al[i] / <real>m
        for i in range(begin, end):
            dx[i * n + index[2 * i + 1]] = (al[i * n + index[2 * i + 1]] - <real>1) / <real>m


def cross_entropy_cost(AL, Y, batch_size=None):
    """Mean cross entropy of probabilities and class indices.

    Parameters
    ----------
    AL : array_like, shape (m, n)
        Probabilities of each class.
    Y : array_like of int, shape (m,) or (m, 1)
        Class indices from 0 to n - 1.
    batch_size : int, optional
        The number of rows m, where given.

    Returns
    -------
    loss : float
        ``-(1/m) sum_i log(AL[i, Y[i]])``; inf where a probability is 0, NaN for an empty batch.
    cache : CrossEntropyCache
        `AL` and `Y_index`, an (m, 2) array of (row, column).

    Raises
    ------
    TypeError
        If `AL` does not hold float32, float64, integers or booleans, or `Y` or `batch_size` no integers.
    ValueError
        If a shape is wrong, a class index is out of range, or `batch_size` is not the number of rows.

    References
    ----------
    "R for Deep Learning (IV)", ``cross_entropy_cost``.
    """
    cdef ndarray al, y, index
    cdef cnp.npy_intp[2] shape
    cdef Py_ssize_t row, n
    cdef cnp.npy_intp* pairs
    cdef cnp.npy_intp* columns
    cdef void* al_data
    cdef bint is_single
    cdef int threads
    cdef double loss
    al, y = check_cross_entropy_cost(AL, Y, batch_size)
    shape[0], shape[1], n = al.shape[0], 2, al.shape[1]
    index = cnp.PyArray_EMPTY(2, shape, cnp.NPY_INTP, 0)
    pairs = <cnp.npy_intp*>cnp.PyArray_DATA(index)
    columns = <cnp.npy_intp*>cnp.PyArray_DATA(y)
    al_data = cnp.PyArray_DATA(al)
    is_single = single(al)
    threads = team_size(shape[0] * 40.0)
    with nogil:
        for row in range(shape[0]):
            pairs[2 * row] = row
            pairs[2 * row + 1] = columns[row]
        if is_single:
            loss = mean_loss(<const float*>al_data, columns, shape[0], n, threads)
        else:
            loss = mean_loss(<const double*>al_data, columns, shape[0], n, threads)
    return loss, new_tuple(CrossEntropyCache, (al, index))


def cross_entropy_backward(cache):
    """Gradient of `cross_entropy_cost` with respect to the probabilities.

    Parameters
    ----------
    cache : CrossEntropyCache
        As `cross_entropy_cost` returned it; or a tuple or mapping with its fields.

    Returns
    -------
    ndarray, shape (m, n)
        ``dAL``: ``(-1/m) / AL`` at each label (computed in double, then rounded), 0 elsewhere.

    Raises
    ------
    TypeError
        If `cache` is no such cache, or holds arrays of a wrong type.
    ValueError
        If a field is missing or has a wrong shape, or `Y_index` does not hold each row in order with a column
        in range.
    """
    cdef ndarray al, index, out
    al, index = check_cross_entropy_cache("cross_entropy_backward", cache)
    out = zeros(al, 2, cnp.PyArray_DIMS(al))
    cdef Py_ssize_t m = al.shape[0]
    cdef Py_ssize_t n = al.shape[1]
    cdef const cnp.npy_intp* pairs = <cnp.npy_intp*>cnp.PyArray_DATA(index)
    cdef void* al_data = cnp.PyArray_DATA(al)
    cdef void* out_data = cnp.PyArray_DATA(out)
    cdef bint is_single = single(al)
    with nogil:
        if is_single:
            loss_gradient(<const float*>al_data, pairs, <float*>out_data, m, n)
        else:
            loss_gradient(<const double*>al_data, pairs, <double*>out_data, m, n)
    return out


def softmax_cross_entropy_backward(cache):
    """Gradient of `cross_entropy_cost` of `softmax` with respect to the logits.

    Parameters
    ----------
    cache : CrossEntropyCache
        As `cross_entropy_cost` returned it for the output of `softmax`; or a tuple or mapping with its fields.

    Returns
    -------
    ndarray, shape (m, n)
        ``dX = (probs - onehot) / m``.

    Raises
    ------
    TypeError
        If `cache` is no such cache, or holds arrays of a wrong type.
    ValueError
        If a field is missing or has a wrong shape, or `Y_index` does not hold each row in order with a column
        in range.
    """
    cdef ndarray al, index, out
    al, index = check_cross_entropy_cache("softmax_cross_entropy_backward", cache)
    out = empty(al, 2, cnp.PyArray_DIMS(al))
    cdef Py_ssize_t m = al.shape[0]
    cdef Py_ssize_t n = al.shape[1]
    cdef int threads = team_size(<double>m * n)
    cdef const cnp.npy_intp* pairs = <cnp.npy_intp*>cnp.PyArray_DATA(index)
    cdef void* al_data = cnp.PyArray_DATA(al)
    cdef void* out_data = cnp.PyArray_DATA(out)
    cdef bint is_single = single(al)
    with nogil:
        if is_single:
            logit_gradient(<const float*>al_data, pairs, <float*>out_data, m, n, threads)
        else:
            logit_gradient(<const double*>al_data, pairs, <double*>out_data, m, n, threads)
    return out
