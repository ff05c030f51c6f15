"""The two helpers with which the post explains pooling backward, one window at a time.

Source: "R for Deep Learning (IV)", ``create_mask_from_window``, ``distribute_value``.
"""

cimport numpy as cnp
from numpy cimport ndarray

from cnnref._arrays cimport empty, single
from cnnref._check_elements cimport check_create_mask_from_window, check_distribute_value
from cnnref._types cimport real

cnp.import_array()


cdef void mark_maximum(const real* x, real* mask, Py_ssize_t n, bint ties) noexcept nogil:
    """Mark the first maximum or last NaN; with `ties` every maximum, and everything NaN where there is one."""
    cdef Py_ssize_t i, best = 0
    for i in range(n):
        mask[i] = 0
        if x[i] > x[best] or x[i] != x[i]:
            best = i
    if ties:
        for i in range(n):
            mask[i] = <real>(x[i] == x[best]) if x[best] == x[best] else x[best]
    elif n > 0:
        mask[best] = 1


cdef ndarray run(object x, bint ties):
    cdef ndarray window = check_create_mask_from_window(x)
    cdef ndarray mask = empty(window, cnp.PyArray_NDIM(window), cnp.PyArray_DIMS(window))
    cdef Py_ssize_t n = cnp.PyArray_SIZE(window)
    cdef void* data = cnp.PyArray_DATA(window)
    cdef void* out = cnp.PyArray_DATA(mask)
    cdef bint is_single = single(window)
    with nogil:
        if is_single:
            mark_maximum(<const float*>data, <float*>out, n, ties)
        else:
            mark_maximum(<const double*>data, <double*>out, n, ties)
    return mask


def create_mask_from_window(x):
    """Mark the maximum of a window.

    Parameters
    ----------
    x : array_like
        A window, of any shape; float32 stays float32, everything else becomes float64.

    Returns
    -------
    ndarray
        1 at the first maximum in C order, or at the last NaN where there is one, and 0 elsewhere; the
        shape and dtype of `x`.

    Raises
    ------
    TypeError
        If `x` does not hold float32, float64, integers or booleans.

    References
    ----------
    "R for Deep Learning (IV)", ``create_mask_from_window``.
    """
    return run(x, False)


def post_create_mask_from_window(x):
    """`create_mask_from_window` as the post has it: 1 at every maximum, NaN everywhere if `x` holds one."""
    return run(x, True)


def distribute_value(dz, shape):
    """Spread a value evenly over a window.

    Parameters
    ----------
    dz : float
        The value, or an array of one element.
    shape : tuple of int
        The window's shape.

    Returns
    -------
    ndarray of float64
        ``dz / number of elements`` everywhere.

    Raises
    ------
    TypeError
        If `dz` is no real number or `shape` holds no integers.
    ValueError
        If `dz` has not one element, or `shape` is negative or too large.
    MemoryError
        If the result cannot be allocated.

    References
    ----------
    "R for Deep Learning (IV)", ``distribute_value``.
    """
    cdef double value
    value, sides = check_distribute_value(dz, shape)
    cdef cnp.npy_intp[32] dims
    cdef int axis
    for axis in range(<int>len(<tuple>sides)):
        dims[axis] = sides[axis]
    cdef ndarray out = cnp.PyArray_EMPTY(<int>len(<tuple>sides), dims, cnp.NPY_DOUBLE, 0)
    cdef Py_ssize_t i, n = cnp.PyArray_SIZE(out)
    cdef double* data = <double*>cnp.PyArray_DATA(out)
    cdef double share = value / <double>n
    with nogil:
        for i in range(n):
            data[i] = share
    return out
