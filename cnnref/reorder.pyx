"""Copies that only reorder: zero padding, and flattening of images to rows.

    pad3d:    out[i, y + p, x + p, c] = input[i, y, x, c], zero elsewhere
    arr2col:  out[i, (y * W + x) * C + c] = X[i, y, x, c]        (C order)

No arithmetic happens: every bit of every value is copied, NaN payloads included.

Source: "R for Deep Learning (IV)", ``pad3d``, ``arr2col``, ``col2arr`` (in R's order there, see `cnnref.blog`).
"""

cimport numpy as cnp
from numpy cimport ndarray

from cnnref.checks.arrays cimport empty, held, memory, take_shape
from cnnref.checks.elements cimport check_arr2col, check_col2arr, check_pad3d, check_pad3d_backward
from cnnref.kernels.vmath.copies cimport copy_bytes, copy_lines
from cnnref.threads cimport fail

cnp.import_array()


cdef ndarray reshaped_copy(str function, ndarray x, int ndim, cnp.npy_intp* shape):
    cdef ndarray out = empty(x, ndim, shape)
    cdef Py_ssize_t size = cnp.PyArray_NBYTES(out)
    cdef object _held = held(x)
    cdef const char* x_data = <const char*>memory(x, cnp.PyArray_TYPE(out), cnp.PyArray_SIZE(out))
    cdef char* out_data = cnp.PyArray_BYTES(out)
    cdef int status
    with nogil:
        status = copy_bytes(x_data, out_data, size)
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
    """
    cdef ndarray x, out
    cdef cnp.npy_intp[4] shape
    cdef cnp.npy_intp[4] taken
    cdef Py_ssize_t pad, inner, margin, pixel
    cdef const char* x_data
    cdef char* out_data
    cdef int status = 0
    x, pad, shape[1], shape[2] = check_pad3d(input, stride)
    take_shape(x, 4, taken)
    shape[0], shape[3] = taken[0], taken[3]
    out = empty(x, 4, shape)
    pixel = shape[3] * cnp.PyArray_ITEMSIZE(out)
    inner, margin = (shape[2] - 2 * pad) * pixel, pad * pixel
    _held = held(x)
    x_data = <const char*>memory(
        x, cnp.PyArray_TYPE(out), shape[0] * (shape[1] - 2 * pad) * (shape[2] - 2 * pad) * shape[3]
    )
    out_data = cnp.PyArray_BYTES(out)
    with nogil:
        if inner + 2 * margin > 0:
            status = copy_lines(x_data, out_data, True, shape[0], shape[1] - 2 * pad, pad, inner, margin)
    if status < 0:
        fail("pad3d: stopped")
    return out


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
    """
    cdef ndarray x, out
    cdef cnp.npy_intp[4] shape
    cdef cnp.npy_intp[4] taken
    cdef Py_ssize_t pad, inner, margin, pixel
    cdef const char* x_data
    cdef char* out_data
    cdef int status = 0
    x, pad = check_pad3d_backward(doutput, stride)
    take_shape(x, 4, taken)
    shape[0], shape[1], shape[2], shape[3] = taken[0], taken[1] - 2 * pad, taken[2] - 2 * pad, taken[3]
    out = empty(x, 4, shape)
    pixel = shape[3] * cnp.PyArray_ITEMSIZE(out)
    inner, margin = shape[2] * pixel, pad * pixel
    _held = held(x)
    x_data = <const char*>memory(x, cnp.PyArray_TYPE(out), taken[0] * taken[1] * taken[2] * taken[3])
    out_data = cnp.PyArray_BYTES(out)
    with nogil:
        if inner > 0:
            status = copy_lines(x_data, out_data, False, shape[0], shape[1], pad, inner, margin)
    if status < 0:
        fail("pad3d_backward: stopped")
    return out


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
    """
    cdef ndarray x
    cdef cnp.npy_intp[2] shape
    cdef cnp.npy_intp[4] taken
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
    """
    cdef ndarray x
    x, shape = check_col2arr(X, cache)
    cdef cnp.npy_intp[4] extents
    extents[0], extents[1], extents[2], extents[3] = shape
    return reshaped_copy("col2arr", x, 4, extents)
