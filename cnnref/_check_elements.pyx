"""Argument checks of the functions on elements: reordering, masks, activation, loss.

As `cnnref._check`: each returns its arguments made uniform, or raises before anything is computed.
"""

import numpy as np

cimport numpy as cnp
from numpy cimport ndarray

from cnnref._arrays cimport addressable, array, common, fields, integer, padded, plain, same_shape, single

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    ndarray PyArray_FROMANY(object x, int typenum, int least, int most, int flags)
    int NPY_ARRAY_CARRAY_RO
    int NPY_ARRAY_ENSUREARRAY

cdef Py_ssize_t LARGEST = (<size_t>-1) >> 1

cdef enum:
    MOST_AXES = 32  # of a NumPy array before NumPy 2

cdef str IMAGE = "(m, n_H, n_W, n_C)"


# ------------------------------------------------------------------------------------------ reordering


cpdef tuple check_pad3d(object input, object stride):
    """(input, pad, H + 2 pad, W + 2 pad)."""
    cdef ndarray x = array("pad3d", "input", input, 4, "(m, H, W, C)")
    cdef Py_ssize_t pad = integer("pad3d", "stride", stride, 0)
    cdef Py_ssize_t[4] shape
    shape[0], shape[3] = x.shape[0], x.shape[3]
    shape[1] = padded("pad3d", x.shape[1], pad, "stride")
    shape[2] = padded("pad3d", x.shape[2], pad, "stride")
    addressable("pad3d", 4, shape, 8)
    return plain(x, common(single(x))), pad, shape[1], shape[2]


cpdef tuple check_pad3d_backward(object doutput, object stride):
    """(doutput, pad)."""
    cdef ndarray x = array("pad3d_backward", "doutput", doutput, 4, "(m, H + 2 * stride, W + 2 * stride, C)")
    cdef Py_ssize_t pad = integer("pad3d_backward", "stride", stride, 0)
    if pad > x.shape[1] // 2 or pad > x.shape[2] // 2:
        raise ValueError(
            f"pad3d_backward: doutput must be at least {2 * (<object>pad)} high and wide for stride {pad},"
            f" got shape {(<object>x).shape}"
        )
    return plain(x, common(single(x))), pad


cpdef tuple check_arr2col(object X):
    """(X, features)."""
    cdef ndarray x = array("arr2col", "X", X, 4, IMAGE)
    return plain(x, common(single(x))), x.shape[1] * x.shape[2] * x.shape[3]


cpdef tuple check_col2arr(object X, object cache):
    """(X, the shape to give it)."""
    cdef ndarray x = array("col2arr", "X", X, 2, "(m, n_H * n_W * n_C)")
    cdef ndarray image = array("col2arr", "cache", cache, 4, IMAGE)
    cdef tuple shape = (<object>image).shape
    if x.shape[0] != shape[0] or x.shape[1] != shape[1] * shape[2] * shape[3]:
        raise ValueError(
            f"col2arr: X must have shape {(shape[0], shape[1] * shape[2] * shape[3])} for a cache of shape {shape},"
            f" got {(<object>x).shape}"
        )
    return plain(x, common(single(x))), shape


cpdef object check_create_mask_from_window(object x):
    """x."""
    cdef ndarray window = array("create_mask_from_window", "x", x, -1, "")
    return plain(window, common(single(window)))


cpdef tuple check_distribute_value(object dz, object shape):
    """(dz as a Python float, shape as a tuple of int)."""
    cdef str function = "distribute_value"
    cdef ndarray value = array(function, "dz", dz, -1, "")
    cdef Py_ssize_t[MOST_AXES] extents
    cdef int axis
    if cnp.PyArray_SIZE(value) != 1:
        raise ValueError(f"{function}: dz must be a scalar or have one element, got shape {(<object>value).shape}")
    if hasattr(shape, "__index__") and not hasattr(shape, "__len__"):
        shape = (shape,)
    try:
        shape = tuple(shape)
    except TypeError:
        raise TypeError(f"{function}: shape must be a tuple of integers, got {type(shape).__name__}") from None
    if len(<tuple>shape) > MOST_AXES:
        raise ValueError(f"{function}: shape must have at most {MOST_AXES} dimensions, got {len(<tuple>shape)}")
    for axis in range(<int>len(<tuple>shape)):
        extents[axis] = integer(function, f"shape[{axis}]", (<tuple>shape)[axis], 0)
    addressable(function, <int>len(<tuple>shape), extents, 8)
    return float((<object>value).item()), tuple([extents[axis] for axis in range(<int>len(<tuple>shape))])


# ------------------------------------------------------------------------------------------ activation


cpdef object check_activation(str function, object Z):
    """Z, of any shape."""
    cdef ndarray z = array(function, "Z", Z, -1, "")
    return plain(z, common(single(z)))


cpdef tuple check_activation_backward(str function, object dA, object cache, str name="cache"):
    """(dA, Z)."""
    cdef ndarray da = array(function, "dA", dA, -1, "")
    cdef ndarray z = array(function, name, cache, -1, "")
    cdef int typenum = common(single(da) and single(z))
    same_shape(function, "dA", da, name, z)
    return plain(da, typenum), plain(z, typenum)


# ------------------------------------------------------------------------------------------------ loss


cpdef object check_softmax(object X, str function="softmax"):
    """X."""
    cdef ndarray x = array(function, "X", X, 2, "(m, n)")
    return plain(x, common(single(x)))


cpdef tuple check_softmax_backward(
    object dprobs, object cache, str function="softmax_backward", str gradient="dprobs"
):
    """(dprobs, X)."""
    cdef ndarray dp = array(function, gradient, dprobs, 2, "(m, n)")
    cdef ndarray x = array(function, "cache", cache, 2, "(m, n)")
    cdef int typenum = common(single(dp) and single(x))
    same_shape(function, gradient, dp, "cache", x)
    return plain(dp, typenum), plain(x, typenum)


cdef ndarray _indices(str function, str name, object value):
    """`value` as an array of indices, refusing whatever is not an integer."""
    cdef ndarray x = array(function, name, value, -1, "")
    cdef int kind = cnp.PyArray_TYPE(x)
    if kind == cnp.NPY_BOOL or kind == cnp.NPY_FLOAT or kind == cnp.NPY_DOUBLE:
        raise TypeError(f"{function}: {name} must hold integers, got dtype {(<object>x).dtype}")
    if kind != cnp.NPY_INTP:
        if cnp.PyArray_SIZE(x) > 0 and (<object>x).max() > LARGEST:
            raise ValueError(f"{function}: {name} is out of range, got {(<object>x).max()}")
        x = (<object>x).astype("intp")
    return PyArray_FROMANY(x, cnp.NPY_INTP, 0, 0, NPY_ARRAY_CARRAY_RO | NPY_ARRAY_ENSUREARRAY)


cdef int _one_label_a_row(ndarray labels, ndarray al) except -1:
    if cnp.PyArray_SIZE(labels) != al.shape[0] or not (
        cnp.PyArray_NDIM(labels) == 1 or (cnp.PyArray_NDIM(labels) == 2 and labels.shape[1] == 1)
    ):
        raise ValueError(
            f"cross_entropy_cost: Y must have shape {(al.shape[0],)} or {(al.shape[0], 1)} for AL of shape"
            f" {(<object>al).shape}, got {(<object>labels).shape}"
        )
    return 0


cpdef tuple check_cross_entropy_cost(object AL, object Y, object batch_size):
    """(AL, Y as a flat intp array of columns)."""
    cdef str function = "cross_entropy_cost"
    cdef ndarray al = array(function, "AL", AL, 2, "(m, n)")
    cdef ndarray labels = _indices(function, "Y", Y)
    cdef Py_ssize_t m = al.shape[0]
    cdef Py_ssize_t classes = al.shape[1]
    cdef Py_ssize_t row
    cdef cnp.npy_intp* columns
    _one_label_a_row(labels, al)
    if batch_size is not None and integer(function, "batch_size", batch_size, 0) != m:
        raise ValueError(f"{function}: batch_size must be the number of rows of AL, {m}, got {batch_size}")
    columns = <cnp.npy_intp*>cnp.PyArray_DATA(labels)
    for row in range(m):
        if not 0 <= columns[row] < classes:
            raise ValueError(
                f"{function}: Y must hold class indices from 0 to {classes - 1},"
                f" got {columns[row]} in row {row}"
            )
    return plain(al, common(single(al))), labels


cpdef tuple check_ranks(object AL, object Y):
    """(AL, the rank of each label among those present)."""
    cdef ndarray al = array("cross_entropy_cost", "AL", AL, 2, "(m, n)")
    cdef ndarray labels = _indices("cross_entropy_cost", "Y", Y)
    _one_label_a_row(labels, al)
    distinct, ranks = np.unique(labels, return_inverse=True)
    if distinct.size > al.shape[1]:
        raise ValueError(
            f"cross_entropy_cost: Y has {distinct.size} distinct labels, AL has {al.shape[1]} columns"
        )
    return plain(al, common(single(al))), ranks.reshape(-1)


cpdef tuple check_cross_entropy_cache(str function, object cache):
    """(AL, Y_index as an (m, 2) intp array)."""
    cdef tuple values = fields(function, cache, ("AL", "Y_index"))
    cdef ndarray al = array(function, "cache.AL", values[0], 2, "(m, n)")
    cdef ndarray index = _indices(function, "cache.Y_index", values[1])
    cdef Py_ssize_t m = al.shape[0]
    cdef Py_ssize_t classes = al.shape[1]
    cdef Py_ssize_t row
    cdef cnp.npy_intp* pairs
    if cnp.PyArray_NDIM(index) != 2 or index.shape[0] != m or index.shape[1] != 2:
        raise ValueError(
            f"{function}: cache.Y_index must have shape {(m, 2)} for cache.AL of shape {(m, classes)},"
            f" got {(<object>index).shape}"
        )
    pairs = <cnp.npy_intp*>cnp.PyArray_DATA(index)
    for row in range(m):
        if pairs[2 * row] != row or not 0 <= pairs[2 * row + 1] < classes:
            raise ValueError(
                f"{function}: cache.Y_index must hold ({row}, a column from 0 to {classes - 1}) in row {row},"
                f" got {(pairs[2 * row], pairs[2 * row + 1])}"
            )
    return plain(al, common(single(al))), index
