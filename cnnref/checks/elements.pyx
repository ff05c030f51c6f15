"""Argument checks of the functions on elements: reordering, masks, activation.

As `cnnref.checks.pool_affine`: each returns its arguments made uniform, or raises before anything is computed.
"""

cimport numpy as cnp
from numpy cimport ndarray

from cnnref.checks.arrays cimport addressable, array, common, given, index, integer, kind_of, padded, plain, same_shape

import numpy as np

from cnnref.checks.mistakes import described

cnp.import_array()

cdef Py_ssize_t LARGEST = (<size_t>-1) >> 1

cdef enum:
    MOST_AXES = 32  # of a NumPy array before NumPy 2

cdef str IMAGE = "(m, n_H, n_W, n_C)"


# ------------------------------------------------------------------------------------------ reordering


cpdef tuple check_pad3d(object input, object stride):
    """(input, pad, H + 2 pad, W + 2 pad)."""
    input, stride = given("pad3d", "input", input), index("pad3d", "stride", stride)
    cdef ndarray x = array("pad3d", "input", input, 4, "(m, H, W, C)")
    cdef Py_ssize_t pad = integer("pad3d", "stride", stride, 0)
    cdef Py_ssize_t[4] shape
    shape[0], shape[3] = x.shape[0], x.shape[3]
    shape[1] = padded("pad3d", x.shape[1], pad, "stride")
    shape[2] = padded("pad3d", x.shape[2], pad, "stride")
    addressable("pad3d", 4, shape, 8)
    return plain(x, common(kind_of(x))), pad, shape[1], shape[2]


cpdef tuple check_pad3d_backward(object doutput, object stride):
    """(doutput, pad)."""
    doutput, stride = given("pad3d_backward", "doutput", doutput), index("pad3d_backward", "stride", stride)
    cdef ndarray x = array("pad3d_backward", "doutput", doutput, 4, "(m, H + 2 * stride, W + 2 * stride, C)")
    cdef Py_ssize_t pad = integer("pad3d_backward", "stride", stride, 0)
    if pad > x.shape[1] // 2 or pad > x.shape[2] // 2:
        raise ValueError(
            f"pad3d_backward: doutput must be at least {2 * (<object>pad)} high and wide for stride {pad},"
            f" got shape {(<object>x).shape}"
        )
    return plain(x, common(kind_of(x))), pad


cpdef tuple check_arr2col(object X):
    """(X, features)."""
    cdef ndarray x = array("arr2col", "X", X, 4, IMAGE)
    cdef Py_ssize_t features = x.shape[1] * x.shape[2] * x.shape[3]
    return plain(x, common(kind_of(x))), features


cpdef tuple check_col2arr(object X, object cache):
    """(X, the shape to give it)."""
    X, cache = given("col2arr", "X", X), given("col2arr", "cache", cache)
    cdef ndarray x = array("col2arr", "X", X, 2, "(m, n_H * n_W * n_C)")
    cdef ndarray image = array("col2arr", "cache", cache, 4, IMAGE)
    cdef tuple shape = (<object>image).shape
    if x.shape[0] != shape[0] or x.shape[1] != shape[1] * shape[2] * shape[3]:
        raise ValueError(
            f"col2arr: X must have shape {(shape[0], shape[1] * shape[2] * shape[3])} for a cache of shape {shape},"
            f" got {(<object>x).shape}"
        )
    return plain(x, common(kind_of(x))), shape


cpdef object check_create_mask_from_window(object x):
    """x."""
    cdef ndarray window = array("create_mask_from_window", "x", x, -1, "")
    return plain(window, common(kind_of(window)))


cdef double _one_number(str function, object dz) except? -1:
    cdef ndarray value
    if type(dz) is float or type(dz) is np.float32:
        return dz
    value = array(function, "dz", dz, -1, "")
    if cnp.PyArray_SIZE(value) != 1:
        raise ValueError(f"{function}: dz must be a scalar or have one element, got shape {(<object>value).shape}")
    return (<object>value).item()


cpdef tuple check_distribute_value(object dz, object shape):
    """(dz as a Python float, shape as a tuple of int)."""
    cdef str function = "distribute_value"
    cdef Py_ssize_t[MOST_AXES] extents
    cdef double value = _one_number(function, dz)
    cdef int axis
    if type(shape) is not tuple and hasattr(shape, "__index__") and not hasattr(shape, "__len__"):
        shape = (shape,)
    try:
        shape = tuple(shape)
    except TypeError:
        raise TypeError(f"{function}: shape must be a tuple of integers, got {described(shape)}") from None
    if len(<tuple>shape) > MOST_AXES:
        raise ValueError(f"{function}: shape must have at most {MOST_AXES} dimensions, got {len(<tuple>shape)}")
    for axis in range(<int>len(<tuple>shape)):
        side = (<tuple>shape)[axis]
        if type(side) is int and 0 <= side <= LARGEST:
            extents[axis] = side
        else:
            extents[axis] = integer(function, f"shape[{axis}]", side, 0)
    addressable(function, <int>len(<tuple>shape), extents, 8)
    return value, tuple([extents[axis] for axis in range(<int>len(<tuple>shape))])


# ------------------------------------------------------------------------------------------ activation


cpdef object check_activation(str function, object Z):
    """Z, of any shape."""
    cdef ndarray z = array(function, "Z", Z, -1, "")
    return plain(z, common(kind_of(z)))


cpdef tuple check_activation_backward(str function, object dA, object cache, str name="cache"):
    """(dA, Z)."""
    dA, cache = given(function, "dA", dA), given(function, name, cache)
    cdef ndarray da = array(function, "dA", dA, -1, "")
    cdef ndarray z = array(function, name, cache, -1, "")
    cdef int typenum = common(kind_of(da) | kind_of(z))
    same_shape(function, "dA", da, name, z)
    return plain(da, typenum), plain(z, typenum)
