"""Argument checks of softmax, cross entropy and the losses of each element, as those of `cnnref.checks.pool_affine`."""

import numpy as np

cimport numpy as cnp
from numpy cimport ndarray

from cnnref.checks.arrays cimport (
    array, common, given, index, integer, kind_of, memory, plain, real_number, same_shape, shown,
)
from cnnref.checks.fields cimport fields

from cnnref.checks.mistakes import labels_meant

cnp.import_array()

cdef extern from *:
    """
    /* Not again: a compiler may otherwise read memory twice, and another thread write to it in between. */
    static npy_intp read_once(const npy_intp *place) { return __atomic_load_n(place, __ATOMIC_RELAXED); }
    """
    cnp.npy_intp read_once(const cnp.npy_intp* place)

cdef Py_ssize_t LARGEST = (<size_t>-1) >> 1


cpdef object check_softmax(object X, str function="softmax"):
    """X."""
    cdef ndarray x = array(function, "X", X, 2, "(m, n)")
    return plain(x, common(kind_of(x)))


cpdef tuple check_softmax_backward(
    object dprobs, object cache, str function="softmax_backward", str gradient="dprobs"
):
    """(dprobs, X)."""
    dprobs, cache = given(function, gradient, dprobs), given(function, "cache", cache)
    cdef ndarray dp = array(function, gradient, dprobs, 2, "(m, n)")
    cdef ndarray x = array(function, "cache", cache, 2, "(m, n)")
    cdef int typenum = common(kind_of(dp) | kind_of(x))
    same_shape(function, gradient, dp, "cache", x)
    return plain(dp, typenum), plain(x, typenum)


cdef ndarray _integers(str function, str name, object value, str expected, tuple of=()):
    """`value`, an ndarray, which holds integers; not one of them is looked at. Labels are `of` rows and classes."""
    cdef ndarray x = value
    if not cnp.NPY_BYTE <= cnp.PyArray_TYPE(x) <= cnp.NPY_ULONGLONG:
        raise TypeError(
            f"{function}: {name} must hold {expected}, got dtype {(<object>x).dtype}"
            + (labels_meant((<object>x).shape, (<object>x).dtype.kind, of) if of else "")
        )
    return x


cdef ndarray _indices(str function, str name, ndarray x):
    """Integers as indices."""
    if cnp.PyArray_TYPE(x) != cnp.NPY_INTP:
        if cnp.PyArray_SIZE(x) > 0 and (<object>x).max() > LARGEST:
            raise ValueError(f"{function}: {name} is out of range, got {(<object>x).max()}")
        x = (<object>x).astype("intp")
    return plain(x, cnp.NPY_INTP)


cdef int _one_label_a_row(str function, str name, ndarray labels, ndarray al) except -1:
    if not (
        cnp.PyArray_NDIM(labels) == 1 or (cnp.PyArray_NDIM(labels) == 2 and labels.shape[1] == 1)
    ) or labels.shape[0] != al.shape[0]:
        raise ValueError(
            f"{function}: Y must have shape {(al.shape[0],)} or {(al.shape[0], 1)} for {name} of shape"
            f" {(<object>al).shape}, got {(<object>labels).shape}"
            + labels_meant((<object>labels).shape, "i", (<object>al).shape)
        )
    return 0


cdef tuple _options(str function, object label_smoothing, object ignore_index):
    """(label_smoothing, whether labels are ignored, which one)."""
    cdef double smoothing = real_number(function, "label_smoothing", label_smoothing)
    cdef Py_ssize_t ignored = 0
    if not 0 <= smoothing <= 1:
        raise ValueError(f"{function}: label_smoothing must be from 0 to 1, got {smoothing}")
    if ignore_index is not None:
        ignore_index = index(function, "ignore_index", ignore_index, "an integer or None")
        try:
            ignored = ignore_index
        except OverflowError:
            raise ValueError(f"{function}: ignore_index is out of range, got {shown(ignore_index)}") from None
    return smoothing, ignore_index is not None, ignored


cpdef tuple check_cross_entropy(
    str function, str name, object AL, object Y, object batch_size, object label_smoothing, object ignore_index
):
    """(AL, called `name`, its columns, Y as (m, 2) intp array of rows and labels, smoothing, whether labels are ignored, which).

    The labels are places in AL, and theirs is memory that others may write to: each is read once, into an array of
    the call's own, and checked there.
    """
    AL, Y = given(function, name, AL), given(function, "Y", Y)
    smoothing, ignoring, ignored = _options(function, label_smoothing, ignore_index)
    if batch_size is not None:
        batch_size = index(function, "batch_size", batch_size)
    cdef ndarray al = array(function, name, AL, 2, "(m, n)")
    cdef str labels_of = f"class labels: integers from 0, one for each row of {name}, in shape (m,) or (m, 1)"
    cdef ndarray labels = _integers(function, "Y", Y, labels_of, (<object>al).shape)
    cdef Py_ssize_t m = al.shape[0], classes = al.shape[1]
    _one_label_a_row(function, name, labels, al)
    if batch_size is not None and integer(function, "batch_size", batch_size, 0) != m:
        raise ValueError(f"{function}: batch_size must be the number of rows of {name}, {m}, got {batch_size}")
    return (
        plain(al, common(kind_of(al))), classes,
        _rows_and_labels(function, _indices(function, "Y", labels), m, classes, ignoring, ignored),
        smoothing, ignoring, ignored,
    )


cdef ndarray _rows_and_labels(
    str function, ndarray labels, Py_ssize_t m, Py_ssize_t classes, bint ignoring, Py_ssize_t ignored
):
    cdef cnp.npy_intp[2] shape
    shape[0], shape[1] = m, 2
    cdef ndarray made = cnp.PyArray_EMPTY(2, shape, cnp.NPY_INTP, 0)
    cdef cnp.npy_intp* pairs = <cnp.npy_intp*>cnp.PyArray_DATA(made)
    cdef const cnp.npy_intp* columns = <const cnp.npy_intp*>memory(labels, cnp.NPY_INTP, m)
    cdef cnp.npy_intp label
    cdef Py_ssize_t row
    for row in range(m):
        label = read_once(columns + row)
        if not 0 <= label < classes and not (ignoring and label == ignored):
            raise ValueError(
                f"{function}: Y must hold class indices from 0 to {classes - 1}"
                + (f" or {ignored}," if ignoring else ",") + f" got {label} in row {row}"
            )
        pairs[2 * row] = row
        pairs[2 * row + 1] = label
    return made


cpdef tuple check_ranks(str function, str name, object AL, object Y, object ignore_index):
    """(AL, called `name`, the rank of each label among those present, ignored ones as they are, which those are or None)."""
    AL, Y = given(function, name, AL), given(function, "Y", Y)
    cdef bint ignoring
    cdef Py_ssize_t ignored
    _, ignoring, ignored = _options(function, 0, ignore_index)
    cdef ndarray al = array(function, name, AL, 2, "(m, n)")
    cdef str labels_of = f"integers, one for each row of {name}, in shape (m,) or (m, 1)"
    cdef ndarray labels = _integers(function, "Y", Y, labels_of, (<object>al).shape)
    cdef Py_ssize_t classes = al.shape[1]
    _one_label_a_row(function, name, labels, al)
    if ignoring and 0 <= ignored < classes:
        raise ValueError(
            f"{function}: ignore_index must be no rank of a label, 0 to {classes - 1}, got {ignored}"
        )
    own = np.array(_indices(function, "Y", labels)).reshape(-1)  # whatever is written to Y meanwhile
    kept = own != ignored if ignoring else np.ones(own.shape, bool)
    distinct, ranks = np.unique(own[kept], return_inverse=True)
    if distinct.size > classes:
        raise ValueError(f"{function}: Y has {distinct.size} distinct labels, {name} has {classes} columns")
    columns = np.full(kept.shape, ignored, np.intp)
    columns[kept] = ranks.reshape(-1)
    return plain(al, common(kind_of(al))), columns, ignored if ignoring else None


cpdef tuple check_cross_entropy_cache(str function, object cache, object label_smoothing, object ignore_index):
    """(AL, its columns, an (m,) intp array of the labels, label_smoothing, whether labels are ignored, which one)."""
    cdef tuple values = fields(function, cache, ("AL", "Y_index"))
    cdef object given_al = given(function, "cache.AL", values[0])
    cdef object given_index = given(function, "cache.Y_index", values[1])
    smoothing, ignoring, ignored = _options(function, label_smoothing, ignore_index)
    cdef ndarray al = array(function, "cache.AL", given_al, 2, "(m, n)")
    cdef ndarray pairs = _integers(function, "cache.Y_index", given_index, "integers in shape (m, 2), a row and its label")
    cdef Py_ssize_t m = al.shape[0], classes = al.shape[1]
    if cnp.PyArray_NDIM(pairs) != 2 or pairs.shape[0] != m or pairs.shape[1] != 2:
        raise ValueError(
            f"{function}: cache.Y_index must have shape {(m, 2)} for cache.AL of shape {(m, classes)},"
            f" got {(<object>pairs).shape}"
        )
    pairs = _indices(function, "cache.Y_index", pairs)
    return (
        plain(al, common(kind_of(al))), classes, _labels(function, pairs, m, classes, ignoring, ignored), smoothing,
        ignoring, ignored,
    )


cdef ndarray _labels(
    str function, ndarray checked, Py_ssize_t m, Py_ssize_t classes, bint ignoring, Py_ssize_t ignored
):
    """The labels of checked (row, label) pairs, each read once."""
    cdef cnp.npy_intp[1] shape
    shape[0] = m
    cdef ndarray own = cnp.PyArray_EMPTY(1, shape, cnp.NPY_INTP, 0)
    cdef cnp.npy_intp* labels = <cnp.npy_intp*>cnp.PyArray_DATA(own)
    cdef const cnp.npy_intp* pairs = <const cnp.npy_intp*>memory(checked, cnp.NPY_INTP, 2 * m)
    cdef cnp.npy_intp label, first
    cdef Py_ssize_t row
    for row in range(m):
        first, label = read_once(pairs + 2 * row), read_once(pairs + 2 * row + 1)
        if first != row or (not 0 <= label < classes and not (ignoring and label == ignored)):
            raise ValueError(
                f"{function}: cache.Y_index must hold ({row}, a column from 0 to {classes - 1}"
                + (f" or {ignored})" if ignoring else ")") + f" in row {row}, got {(first, label)}"
            )
        labels[row] = label
    return own


cpdef tuple check_element_loss(str function, object X, object T, int ndim=-1, str of=""):
    """(X, T), of one shape."""
    cdef str axes = "(m, n)" if ndim == 2 else ""
    X, T = given(function, of + "X", X), given(function, of + "T", T)
    cdef ndarray x = array(function, of + "X", X, ndim, axes)
    cdef ndarray t = array(function, of + "T", T, ndim, axes)
    cdef int typenum = common(kind_of(x) | kind_of(t))
    same_shape(function, of + "T", t, of + "X", x)
    return plain(x, typenum), plain(t, typenum)


cpdef tuple check_element_loss_cache(str function, object cache, int ndim=-1):
    """(X, T)."""
    cdef tuple values = fields(function, cache, ("X", "T"))
    return check_element_loss(function, values[0], values[1], ndim, "cache.")
