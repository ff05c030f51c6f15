"""Copies that only reorder: zero padding, and flattening of images to rows.

    pad3d:    out[i, y + p, x + p, c] = input[i, y, x, c], zero elsewhere
    arr2col:  out[i, (y * W + x) * C + c] = X[i, y, x, c]        (C order)

No arithmetic happens: every bit of every value is copied, NaN payloads included.

Source: "R for Deep Learning (IV)", ``pad3d``, ``arr2col``, ``col2arr`` (in R's order there, see `cnnref.blog`).
"""

cimport numpy as cnp
from cpython.pystate cimport PyThreadState
from numpy cimport ndarray, npy_intp

from cnnref.checks.arrays cimport empty, held, memory, take_shape
from cnnref.checks.elements cimport check_arr2col, check_col2arr, check_pad3d, check_pad3d_backward
from cnnref.kernels.vmath.copies cimport copy_bytes, copy_lines
from cnnref.threads cimport brief, fail, let_go, take_back

cnp.import_array()


cdef ndarray reshaped_copy(str function, ndarray x, int ndim, npy_intp* shape):
    cdef ndarray out = empty(x, ndim, shape)
    cdef Py_ssize_t size = cnp.PyArray_NBYTES(out)
    cdef object _held = None if brief(size) else held(x)
    cdef const char* x_data = <const char*>memory(x, cnp.PyArray_TYPE(out), cnp.PyArray_SIZE(out))
    cdef PyThreadState* state = let_go(size)
    cdef int status = copy_bytes(x_data, cnp.PyArray_BYTES(out), size)
    take_back(state)
    if status < 0:
        fail(f"{function}: stopped")
    return out


cdef ndarray with_margins(
    str function, ndarray x, bint padding, const npy_intp* padded, Py_ssize_t pad
):
    """Images of extents `padded` from `x` without their margins, or the other way round."""
    cdef npy_intp[4] shape
    cdef int axis
    for axis in range(4):
        shape[axis] = padded[axis] - (0 if padding or axis == 0 or axis == 3 else 2 * pad)
    cdef ndarray out = empty(x, 4, shape)
    cdef Py_ssize_t height = padded[1] - 2 * pad, width = padded[2] - 2 * pad
    cdef Py_ssize_t pixel = padded[3] * cnp.PyArray_ITEMSIZE(out)
    cdef Py_ssize_t taken = padded[0] * padded[3] * (height * width if padding else padded[1] * padded[2])
    cdef object _held = None if brief(cnp.PyArray_NBYTES(out)) else held(x)
    cdef const char* x_data = <const char*>memory(x, cnp.PyArray_TYPE(out), taken)
    cdef int status = 0
    cdef PyThreadState* state = let_go(cnp.PyArray_NBYTES(out))
    if cnp.PyArray_NBYTES(out) > 0:
        status = copy_lines(x_data, cnp.PyArray_BYTES(out), padding, padded[0], height, pad, width * pixel, pad * pixel)
    take_back(state)
    if status < 0:
        fail(f"{function}: stopped")
    return out


def pad3d(input, stride=1):
    """Pad images with zeros on all four sides.

    Parameters
    ----------
    input : array_like, shape (m, H, W, C)
        Images; half and float32 keep their dtype, everything else becomes float64.
    stride : int, optional
        The amount of padding on each side (the post's name for it), at least 0.

    Returns
    -------
    ndarray, shape (m, H + 2 * stride, W + 2 * stride, C)
        A padded copy.

    Raises
    ------
    TypeError
        If `input` does not hold floats of 16 to 64 bits, integers or booleans, or `stride` is no integer.
    ValueError
        If `input` is not four-dimensional, `stride` is negative, or the result too large to address.
    MemoryError
        If the result cannot be allocated.

    References
    ----------
    "R for Deep Learning (IV)", ``pad3d``.

    Examples
    --------
    >>> cnnref.pad3d(np.ones((1, 2, 2, 1)), 1)[0, :, :, 0]
    array([[0., 0., 0., 0.],
           [0., 1., 1., 0.],
           [0., 1., 1., 0.],
           [0., 0., 0., 0.]])
    """
    cdef ndarray x
    cdef npy_intp[4] padded
    x, pad, rows, columns = check_pad3d(input, stride)
    take_shape(x, 4, padded)
    padded[1], padded[2] = rows, columns
    return with_margins("pad3d", x, True, padded, pad)


def pad3d_backward(doutput, stride=1):
    """Gradient of `pad3d`: the inner part.

    Parameters
    ----------
    doutput : array_like, shape (m, H + 2 * stride, W + 2 * stride, C)
        Gradient with respect to the padded images.
    stride : int, optional
        The amount of padding on each side, at least 0.

    Returns
    -------
    ndarray, shape (m, H, W, C)
        A copy of the inner part.

    Raises
    ------
    TypeError
        If `doutput` does not hold floats of 16 to 64 bits, integers or booleans, or `stride` is no integer.
    ValueError
        If `doutput` is not four-dimensional or smaller than its padding, or `stride` is negative.

    References
    ----------
    "R for Deep Learning (IV)"; the post has no such function, its ``conv_backward`` takes the inner part itself.

    Examples
    --------
    >>> cnnref.pad3d_backward(np.arange(16.0).reshape(1, 4, 4, 1), 1)[0, :, :, 0]
    array([[ 5.,  6.],
           [ 9., 10.]])
    """
    cdef ndarray x
    cdef npy_intp[4] padded
    x, pad = check_pad3d_backward(doutput, stride)
    take_shape(x, 4, padded)
    return with_margins("pad3d_backward", x, False, padded, pad)


def arr2col(X):
    """Flatten each image to a row, in C order: (h, w, c), c fastest.

    Parameters
    ----------
    X : array_like, shape (m, n_H, n_W, n_C)
        Images; half and float32 keep their dtype, everything else becomes float64.

    Returns
    -------
    output : ndarray, shape (m, n_H * n_W * n_C)
        A copy.
    cache : ndarray, shape (m, n_H, n_W, n_C)
        `X` itself (converted where it had to be).

    Raises
    ------
    TypeError
        If `X` does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If `X` is not four-dimensional.

    References
    ----------
    "R for Deep Learning (IV)", ``arr2col``.

    Examples
    --------
    >>> rows, cache = cnnref.arr2col(np.zeros((5, 4, 4, 3)))
    >>> rows.shape
    (5, 48)
    """
    cdef ndarray x
    cdef npy_intp[2] shape
    cdef npy_intp[4] taken
    x, shape[1] = check_arr2col(X)
    take_shape(x, 4, taken)
    shape[0] = taken[0]
    return reshaped_copy("arr2col", x, 2, shape), x


def col2arr(X, cache):
    """Give rows the shape of the images they came from; the inverse of `arr2col`.

    Parameters
    ----------
    X : array_like, shape (m, n_H * n_W * n_C)
        Rows, or their gradient.
    cache : array_like, shape (m, n_H, n_W, n_C)
        The images that `arr2col` flattened; only the shape is used.

    Returns
    -------
    ndarray, shape (m, n_H, n_W, n_C)
        A copy, of the dtype of `X`.

    Raises
    ------
    TypeError
        If an argument does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If the shapes do not belong together.

    References
    ----------
    "R for Deep Learning (IV)", ``col2arr``.

    Examples
    --------
    >>> rows, cache = cnnref.arr2col(np.zeros((5, 4, 4, 3)))
    >>> cnnref.col2arr(rows, cache).shape
    (5, 4, 4, 3)
    """
    cdef ndarray x
    x, shape = check_col2arr(X, cache)
    cdef npy_intp[4] extents
    extents[0], extents[1], extents[2], extents[3] = shape
    return reshaped_copy("col2arr", x, 4, extents)
