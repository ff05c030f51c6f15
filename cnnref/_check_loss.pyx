"""Argument checks of softmax and cross entropy, as those of `cnnref._check`."""

import numpy as np

cimport numpy as cnp
from numpy cimport ndarray

from cnnref._arrays cimport array, common, integer, kind_of, plain, real_number, same_shape
from cnnref._fields cimport fields

cnp.import_array()

cdef Py_ssize_t LARGEST = (<size_t>-1) >> 1


cpdef object check_softmax(object X, str function="softmax"):
    """X."""
    cdef ndarray x = array(function, "X", X, 2, "(m, n)")
    return plain(x, common(kind_of(x)))


cpdef tuple check_softmax_backward(
    object dprobs, object cache, str function="softmax_backward", str gradient="dprobs"
):
    """(dprobs, X)."""
    cdef ndarray dp = array(function, gradient, dprobs, 2, "(m, n)")
    cdef ndarray x = array(function, "cache", cache, 2, "(m, n)")
    cdef int typenum = common(kind_of(dp) | kind_of(x))
    same_shape(function, gradient, dp, "cache", x)
    return plain(dp, typenum), plain(x, typenum)


cdef ndarray _indices(str function, str name, object value):
    """`value` as an array of indices, refusing whatever is not an integer."""
    cdef ndarray x = array(function, name, value, -1, "")
    cdef int kind = cnp.PyArray_TYPE(x)
    if not cnp.NPY_BYTE <= kind <= cnp.NPY_ULONGLONG:
        raise TypeError(f"{function}: {name} must hold integers, got dtype {(<object>x).dtype}")
    if kind != cnp.NPY_INTP:
        if cnp.PyArray_SIZE(x) > 0 and (<object>x).max() > LARGEST:
            raise ValueError(f"{function}: {name} is out of range, got {(<object>x).max()}")
        x = (<object>x).astype("intp")
    return plain(x, cnp.NPY_INTP)


cdef int _one_label_a_row(ndarray labels, ndarray al) except -1:
    if cnp.PyArray_SIZE(labels) != al.shape[0] or not (
        cnp.PyArray_NDIM(labels) == 1 or (cnp.PyArray_NDIM(labels) == 2 and labels.shape[1] == 1)
    ):
        raise ValueError(
            f"cross_entropy_cost: Y must have shape {(al.shape[0],)} or {(al.shape[0], 1)} for AL of shape"
            f" {(<object>al).shape}, got {(<object>labels).shape}"
        )
    return 0


cdef tuple _options(str function, object label_smoothing, object ignore_index):
    """(label_smoothing, whether labels are ignored, which one)."""
    cdef double smoothing = real_number(function, "label_smoothing", label_smoothing)
    cdef Py_ssize_t ignored = 0
    if not 0 <= smoothing <= 1:
        raise ValueError(f"{function}: label_smoothing must be from 0 to 1, got {smoothing}")
    if ignore_index is not None:
        try:
            if isinstance(ignore_index, (bool, np.bool_)):
                raise TypeError
            ignored = ignore_index.__index__()
        except (AttributeError, TypeError):
            raise TypeError(
                f"{function}: ignore_index must be an integer or None, got {type(ignore_index).__name__}"
            ) from None
        except OverflowError:
            raise ValueError(f"{function}: ignore_index is out of range, got {ignore_index}") from None
    return smoothing, ignore_index is not None, ignored


cpdef tuple check_cross_entropy_cost(
    object AL, object Y, object batch_size, object label_smoothing, object ignore_index
):
    """(AL, Y as a flat intp array of columns, label_smoothing, whether labels are ignored, which one)."""
    cdef str function = "cross_entropy_cost"
    cdef ndarray al = array(function, "AL", AL, 2, "(m, n)")
    cdef ndarray labels = _indices(function, "Y", Y)
    cdef Py_ssize_t m = al.shape[0]
    cdef Py_ssize_t classes = al.shape[1]
    cdef Py_ssize_t row, ignored
    cdef bint ignoring
    cdef cnp.npy_intp* columns
    _one_label_a_row(labels, al)
    smoothing, ignoring, ignored = _options(function, label_smoothing, ignore_index)
    if batch_size is not None and integer(function, "batch_size", batch_size, 0) != m:
        raise ValueError(f"{function}: batch_size must be the number of rows of AL, {m}, got {batch_size}")
    columns = <cnp.npy_intp*>cnp.PyArray_DATA(labels)
    for row in range(m):
        if not 0 <= columns[row] < classes and not (ignoring and columns[row] == ignored):
            raise ValueError(
                f"{function}: Y must hold class indices from 0 to {classes - 1}"
                + (f" or {ignored}," if ignoring else ",") + f" got {columns[row]} in row {row}"
            )
    return plain(al, common(kind_of(al))), labels, smoothing, ignoring, ignored


cpdef tuple check_ranks(object AL, object Y, object ignore_index):
    """(AL, the rank of each label among those present and not ignored; ignored ones as they are)."""
    cdef ndarray al = array("cross_entropy_cost", "AL", AL, 2, "(m, n)")
    cdef ndarray labels = _indices("cross_entropy_cost", "Y", Y)
    _one_label_a_row(labels, al)
    cdef bint ignoring
    cdef Py_ssize_t ignored
    _, ignoring, ignored = _options("cross_entropy_cost", 0, ignore_index)
    if ignoring and 0 <= ignored < al.shape[1]:
        raise ValueError(
            f"cross_entropy_cost: ignore_index must be no rank of a label, 0 to {al.shape[1] - 1}, got {ignored}"
        )
    kept = (<object>labels != ignored if ignoring else np.ones((<object>labels).shape, bool)).reshape(-1)
    distinct, ranks = np.unique((<object>labels).reshape(-1)[kept], return_inverse=True)
    if distinct.size > al.shape[1]:
        raise ValueError(
            f"cross_entropy_cost: Y has {distinct.size} distinct labels, AL has {al.shape[1]} columns"
        )
    columns = np.full(kept.shape, ignored, np.intp)
    columns[kept] = ranks.reshape(-1)
    return plain(al, common(kind_of(al))), columns


cpdef tuple check_cross_entropy_cache(str function, object cache, object label_smoothing, object ignore_index):
    """(AL, Y_index as an (m, 2) intp array, label_smoothing, whether labels are ignored, which one)."""
    cdef tuple values = fields(function, cache, ("AL", "Y_index"))
    cdef ndarray al = array(function, "cache.AL", values[0], 2, "(m, n)")
    cdef ndarray index = _indices(function, "cache.Y_index", values[1])
    cdef Py_ssize_t m = al.shape[0]
    cdef Py_ssize_t classes = al.shape[1]
    cdef Py_ssize_t row, ignored
    cdef bint ignoring
    cdef cnp.npy_intp* pairs
    smoothing, ignoring, ignored = _options(function, label_smoothing, ignore_index)
    if cnp.PyArray_NDIM(index) != 2 or index.shape[0] != m or index.shape[1] != 2:
        raise ValueError(
            f"{function}: cache.Y_index must have shape {(m, 2)} for cache.AL of shape {(m, classes)},"
            f" got {(<object>index).shape}"
        )
    pairs = <cnp.npy_intp*>cnp.PyArray_DATA(index)
    for row in range(m):
        if pairs[2 * row] != row or (
            not 0 <= pairs[2 * row + 1] < classes and not (ignoring and pairs[2 * row + 1] == ignored)
        ):
            raise ValueError(
                f"{function}: cache.Y_index must hold ({row}, a column from 0 to {classes - 1}"
                + (f" or {ignored})" if ignoring else ")")
                + f" in row {row}, got {(pairs[2 * row], pairs[2 * row + 1])}"
            )
    return plain(al, common(kind_of(al))), index, smoothing, ignoring, ignored
