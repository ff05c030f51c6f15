"""Argument checks of the transposed convolution, with their error texts (see ``conv.pyx``).

`window` is filled as that of the forward convolution whose transpose is meant: its input is the output here.
"""

cimport numpy as cnp
from numpy cimport ndarray

from cnnref.checks.arrays cimport addressable, array, common, given, index, integer, kind_of, plain
from cnnref.checks.conv cimport filter_extents, same_output
from cnnref.checks.fields cimport entries, fields
from cnnref.checks.hyper cimport Axis, Pair, Window, pair, read_window, settled, span

cnp.import_array()

cdef Py_ssize_t LARGEST = (<size_t>-1) >> 1
cdef str FILTERS = "(f_h, f_w, n_C / groups, n_C_prev)"


cdef int _extent(
    str function, str axis_name, Axis* axis, Py_ssize_t n_prev, Py_ssize_t stride, Py_ssize_t dilation, Py_ssize_t more
) except -1:
    """Set the output's extent: ``(n_prev - 1) * stride + span + more`` less the padding."""
    cdef Py_ssize_t reach = span(axis)
    if more >= stride and more >= dilation:  # as given: the axis of a single tap has none
        raise ValueError(
            f"{function}: hparameters['output_padding'] must be below the stride or the dilation, got {more}"
            f" for {axis_name} with stride {stride} and dilation {dilation}"
        )
    if n_prev < 1:
        raise ValueError(f"{function}: A_prev must have at least one pixel a row and column, got {n_prev} {axis_name}")
    if n_prev > 1 and stride > (LARGEST - reach - more) // (n_prev - 1):
        raise ValueError(f"{function}: hparameters['stride'] is too large to address, got {stride}")
    axis.n = (n_prev - 1) * stride + reach + more
    if axis.before >= axis.n or axis.after >= axis.n - axis.before:
        raise ValueError(
            f"{function}: hparameters['pad'] takes all {axis.n} {axis_name} off the output, got"
            f" {axis.before} before and {axis.after} after"
        )
    axis.n -= axis.before + axis.after
    axis.stride = stride
    return 0


cdef tuple _transpose(
    str function, str prefix, object A_prev, object W, object b, object hparameters, Window* window, Py_ssize_t* groups
):
    """(A_prev, W, b as ndarrays of any dtype)."""
    A_prev, W = given(function, prefix + "A_prev", A_prev), given(function, prefix + "W", W)
    b = given(function, prefix + "b", b)
    cdef tuple values = entries(
        function, hparameters, ("stride", "pad"), ("output_padding", "dilation", "groups"), (0, 1, 1)
    )
    cdef object given_stride = settled(function, "hparameters['stride']", values[0])
    cdef object pad = settled(function, "hparameters['pad']", values[1])
    cdef object padding = settled(function, "hparameters['output_padding']", values[2])
    cdef object given_dilation = settled(function, "hparameters['dilation']", values[3])
    cdef object given_groups = index(function, "hparameters['groups']", values[4])
    cdef ndarray a = array(function, prefix + "A_prev", A_prev, 4, "(m, n_H_prev, n_W_prev, n_C_prev)")
    cdef ndarray w = array(function, prefix + "W", W, 4, FILTERS)
    cdef ndarray bias = array(function, prefix + "b", b, 4, "(1, 1, 1, n_C)")
    cdef Pair f = filter_extents(function, prefix, w, FILTERS)
    cdef Pair stride = pair(function, "hparameters['stride']", given_stride, 1)
    cdef Pair dilation = pair(function, "hparameters['dilation']", given_dilation, 1)
    cdef Pair more
    cdef Py_ssize_t n_C
    cdef Py_ssize_t[4] shape
    read_window(function, 0, 0, f, given_stride, pad, given_dilation, False, window)
    more = pair(function, "hparameters['output_padding']", padding, 0)
    groups[0] = integer(function, "hparameters['groups']", given_groups, 1)
    if w.shape[3] != a.shape[3]:
        raise ValueError(f"{function}: {prefix}W has {w.shape[3]} input channels, {prefix}A_prev has {a.shape[3]}")
    if a.shape[3] % groups[0]:
        raise ValueError(
            f"{function}: {prefix}A_prev has {a.shape[3]} channels, which do not divide into {groups[0]} groups"
        )
    if a.shape[3] == 0:
        groups[0] = 1  # without channels there is nothing to group
    n_C = w.shape[2] * groups[0]
    if bias.shape[0] != 1 or bias.shape[1] != 1 or bias.shape[2] != 1 or bias.shape[3] != n_C:
        raise ValueError(f"{function}: {prefix}b must have shape {(1, 1, 1, n_C)}, got {(<object>bias).shape}")
    _extent(function, "rows", &window.h, a.shape[1], stride.h, dilation.h, more.h)
    _extent(function, "columns", &window.w, a.shape[2], stride.w, dilation.w, more.w)
    shape[0], shape[1], shape[2], shape[3] = a.shape[0], window.h.n, window.w.n, n_C
    addressable(function, 4, shape, 8)
    return a, w, bias


cdef tuple check_conv_transpose_forward(
    object A_prev, object W, object b, object hparameters, Window* window, Py_ssize_t* groups
):
    """(A_prev, W, b), and `window` and `groups` filled."""
    cdef ndarray a, w, bias
    cdef int typenum
    a, w, bias = _transpose("conv_transpose_forward", "", A_prev, W, b, hparameters, window, groups)
    typenum = common(kind_of(a) | kind_of(w) | kind_of(bias))
    return plain(a, typenum), plain(w, typenum), plain(bias, typenum)


cdef tuple check_conv_transpose_backward(object dZ, object cache, Window* window, Py_ssize_t* groups):
    """(dZ, A_prev, W), and `window` and `groups` filled."""
    cdef str function = "conv_transpose_backward"
    cdef ndarray a, w, bias, dz
    dZ = given(function, "dZ", dZ)
    cdef tuple values = fields(function, cache, ("A_prev", "W", "b", "hparameters"))
    cdef int typenum
    a, w, bias = _transpose(function, "cache.", values[0], values[1], values[2], values[3], window, groups)
    dz = array(function, "dZ", dZ, 4, "(m, n_H, n_W, n_C)")
    same_output(function, dz, a.shape[0], window.h.n, window.w.n, w.shape[2] * groups[0])
    typenum = common(kind_of(a) | kind_of(w) | kind_of(bias) | kind_of(dz))
    return plain(dz, typenum), plain(a, typenum), plain(w, typenum)
