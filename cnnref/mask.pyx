"""The two helpers with which the post explains pooling backward, one window at a time.

Source: "R for Deep Learning (IV)", ``create_mask_from_window``, ``distribute_value``.
"""

cimport numpy as cnp
from cpython.pystate cimport PyThreadState
from libc.string cimport memset
from numpy cimport ndarray

from cnnref.checks.arrays cimport elements, empty, held, is_double
from cnnref.checks.elements cimport check_create_mask_from_window, check_distribute_value
from cnnref.checks.half cimport rounded, wide
from cnnref.kernels.base.types cimport real
from cnnref.threads cimport brief, let_go, take_back

cnp.import_array()


cdef enum:
    BLOCK = 64  # elements looked at together


cdef inline bint any_equal(const real* x, real value) noexcept nogil:
    """Whether one of BLOCK elements is `value`."""
    cdef int i, found = 0
    for i in range(BLOCK):
        found |= x[i] == value
    return found


cdef Py_ssize_t place_of_maximum(const real* x, Py_ssize_t n) noexcept nogil:
    """The first maximum, or the last NaN where there is one, of `n` elements; -1 of none."""
    cdef real[BLOCK] lanes
    cdef real top
    cdef int nan = 0, i
    cdef Py_ssize_t block, blocks = n // BLOCK, at
    if n == 0:
        return -1
    top = x[0]
    for at in range(BLOCK * blocks, n):
        nan |= x[at] != x[at]
        top = x[at] if x[at] > top else top
    if blocks:
        for i in range(BLOCK):
            lanes[i] = x[i]
        for block in range(blocks):
            for i in range(BLOCK):
                nan |= x[block * BLOCK + i] != x[block * BLOCK + i]
                lanes[i] = x[block * BLOCK + i] if x[block * BLOCK + i] > lanes[i] else lanes[i]
        for i in range(BLOCK):
            top = lanes[i] if lanes[i] > top else top
    if nan:
        at = n - 1
        while x[at] == x[at]:
            at -= 1
        return at
    at = 0
    while at + BLOCK <= n and not any_equal(x + at, top):
        at += BLOCK
    while x[at] != top:
        at += 1
    return at


cdef void mark_maximum(const real* x, real* mask, Py_ssize_t n, bint ties) noexcept nogil:
    """Mark the first maximum or last NaN; with `ties` every maximum, and everything NaN where there is one."""
    cdef Py_ssize_t i, best = place_of_maximum(x, n)
    if ties:
        for i in range(n):
            mask[i] = <real>(x[i] == x[best]) if x[best] == x[best] else x[best]
    elif n > 0:
        memset(mask, 0, n * sizeof(real))
        mask[best] = 1


cdef ndarray marked(ndarray window, bint ties, real kind):
    cdef ndarray mask = empty(window, cnp.PyArray_NDIM(window), cnp.PyArray_DIMS(window))
    cdef Py_ssize_t n = cnp.PyArray_SIZE(mask)
    cdef object _held = None if brief(n) else held(window)
    cdef const real* data = elements(window, n, kind)
    cdef real* out = <real*>cnp.PyArray_DATA(mask)
    cdef PyThreadState* state = let_go(n)
    mark_maximum(data, out, n, ties)
    take_back(state)
    return mask


cdef object run(object x, bint ties):
    cdef ndarray window = check_create_mask_from_window(x)
    if is_double(window):
        return marked(window, ties, <double>0)
    return rounded(marked(wide(window), ties, <float>0), window)


def create_mask_from_window(x):
    """Mark the maximum of a window.

    Parameters
    ----------
    x : array_like
        A window, of any shape; half and float32 keep their dtype, everything else becomes float64.

    Returns
    -------
    ndarray
        1 at the first maximum in C order, or at the last NaN where there is one, and 0 elsewhere; the
        shape and dtype of `x`.

    Raises
    ------
    TypeError
        If `x` does not hold floats of 16 to 64 bits, integers or booleans.

    References
    ----------
    "R for Deep Learning (IV)", ``create_mask_from_window``.

    Examples
    --------
    >>> cnnref.create_mask_from_window([[1, 3], [3, 2]])
    array([[0., 1.],
           [0., 0.]])
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
        If `dz` does not have one element, or `shape` is negative or too large.
    MemoryError
        If the result cannot be allocated.

    References
    ----------
    "R for Deep Learning (IV)", ``distribute_value``.

    Examples
    --------
    >>> cnnref.distribute_value(2.0, (2, 2))
    array([[0.5, 0.5],
           [0.5, 0.5]])
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
    cdef PyThreadState* state = let_go(n)
    for i in range(n):
        data[i] = share
    take_back(state)
    return out
