"""Argument checks of convolution and its transpose, with their error texts.

As in ``pool_affine.pyx``: arrays are returned C-contiguous, aligned, native and of one dtype, and nothing is computed before
all arguments have been checked.
"""

cimport numpy as cnp
from numpy cimport ndarray

from cnnref.checks.arrays cimport addressable, array, common, given, index, integer, kind_of, plain, same_shape
from cnnref.checks.fields cimport entries, fields
from cnnref.checks.hyper cimport Axis, Pair, Window, outputs, padded_extent, pair, read_window, settled, span

from cnnref.checks.mistakes import biases, channels, turned

cnp.import_array()

cdef str IMAGE = "(m, n_H, n_W, n_C)"
cdef str IMAGE_PREV = "(m, n_H_prev, n_W_prev, n_C_prev)"
cdef str FILTERS = "(f_h, f_w, n_C_prev / groups, n_C)"
cdef str TRANSPOSED_FILTERS = "(f_h, f_w, n_C / groups, n_C_prev)"
cdef Py_ssize_t LARGEST = (<size_t>-1) >> 1


cpdef tuple check_conv_single_step(object a_slice_prev, object W, object b):
    """(a_slice_prev, W, b as a Python float).

    A Python number for `b` has no dtype of its own; a NumPy scalar or array takes part in the promotion.
    """
    cdef str function = "conv_single_step"
    cdef bint plain_b = type(b) is float or type(b) is int
    a_slice_prev, W = given(function, "a_slice_prev", a_slice_prev), given(function, "W", W)
    b = b if type(b) is float else given(function, "b", b)
    cdef ndarray a = array(function, "a_slice_prev", a_slice_prev, 3, "(f_h, f_w, n_C_prev)")
    cdef ndarray w = array(function, "W", W, 3, "(f_h, f_w, n_C_prev)")
    cdef ndarray bias = None if type(b) is float else array(function, "b", b, -1, "")
    cdef int typenum = common(kind_of(a) | kind_of(w) | (0 if plain_b else kind_of(bias)))
    same_shape(function, "W", w, "a_slice_prev", a)
    if bias is not None and cnp.PyArray_SIZE(bias) != 1:
        raise ValueError(f"{function}: b must be a scalar or have one element, got shape {(<object>bias).shape}")
    return plain(a, typenum), plain(w, typenum), b if bias is None else float((<object>bias).item())


cdef Pair filter_extents(str function, str prefix, ndarray w, str axes) except *:
    """The rows and columns of the filters."""
    cdef Pair f
    f.h, f.w = w.shape[0], w.shape[1]
    if f.h < 1 or f.w < 1:
        raise ValueError(
            f"{function}: {prefix}W must hold filters of at least 1x1 {axes}, got shape {(<object>w).shape}"
        )
    return f


cdef str _in_groups(Py_ssize_t groups):
    return f" in {groups} groups" if groups > 1 else ""


cdef tuple _conv(
    str function, str prefix, object A_prev, object W, object b, object hparameters, Window* window, Py_ssize_t* groups
):
    """(A_prev, W, b as ndarrays of any dtype)."""
    cdef str a_name = "cache.A_prev" if prefix else "A_prev"
    cdef str w_name = "cache.W" if prefix else "W"
    cdef str b_name = "cache.b" if prefix else "b"
    A_prev, W, b = given(function, a_name, A_prev), given(function, w_name, W), given(function, b_name, b)
    cdef tuple values = entries(function, hparameters, ("stride", "pad"), ("dilation", "groups"), (1, 1))
    cdef object stride = settled(function, "hparameters['stride']", values[0])
    cdef object pad = settled(function, "hparameters['pad']", values[1])
    cdef object dilation = settled(function, "hparameters['dilation']", values[2])
    cdef object given_groups = index(function, "hparameters['groups']", values[3])
    cdef ndarray a = array(function, a_name, A_prev, 4, IMAGE_PREV)
    cdef ndarray w = array(function, w_name, W, 4, FILTERS)
    cdef ndarray bias = array(function, b_name, b, 4, "(1, 1, 1, n_C)")
    cdef Py_ssize_t[4] shape
    read_window(
        function, a.shape[1], a.shape[2], filter_extents(function, prefix, w, FILTERS), stride, pad, dilation, True, window
    )
    groups[0] = integer(function, "hparameters['groups']", given_groups, 1)
    if w.shape[2] > a.shape[3] // groups[0] or w.shape[2] * groups[0] != a.shape[3]:
        raise ValueError(
            f"{function}: {prefix}W has {w.shape[2]} input channels, {prefix}A_prev has {a.shape[3]}"
            + _in_groups(groups[0])
            + channels(prefix, (<object>a).shape, (<object>w).shape, groups[0], False)
        )
    if w.shape[3] % groups[0]:
        raise ValueError(
            f"{function}: {prefix}W has {w.shape[3]} filters, which do not divide into {groups[0]} groups"
        )
    if w.shape[3] == 0:
        groups[0] = 1  # without filters there is nothing to group
    if bias.shape[0] != 1 or bias.shape[1] != 1 or bias.shape[2] != 1 or bias.shape[3] != w.shape[3]:
        raise ValueError(
            f"{function}: {prefix}b must have shape {(1, 1, 1, w.shape[3])}, got {(<object>bias).shape}"
            + biases(prefix, (<object>bias).shape, (<object>w).shape, groups[0], False)
        )
    if span(&window.h) > padded_extent(&window.h) or span(&window.w) > padded_extent(&window.w):
        raise ValueError(
            f"{function}: {prefix}W has a window of {window.h.f}x{window.w.f}{_dilated(window)}, larger than the padded"
            f" {prefix}A_prev of {padded_extent(&window.h)}x{padded_extent(&window.w)}"
        )
    shape[0], shape[1], shape[2], shape[3] = a.shape[0], outputs(&window.h), outputs(&window.w), w.shape[3]
    addressable(function, 4, shape, 8)
    return a, w, bias


cdef str _dilated(const Window* window):
    if window.h.dilation == 1 and window.w.dilation == 1:
        return ""
    return f", dilated to {span(&window.h)}x{span(&window.w)}"


cdef int same_output(
    str function, ndarray dz, Py_ssize_t m, Py_ssize_t n_h, Py_ssize_t n_w, Py_ssize_t n_c
) except -1:
    """Refuse a gradient that does not have the output's shape."""
    if dz.shape[0] != m or dz.shape[1] != n_h or dz.shape[2] != n_w or dz.shape[3] != n_c:
        raise ValueError(
            f"{function}: dZ must have the shape of the output, {(m, n_h, n_w, n_c)}, got {(<object>dz).shape}"
            + turned("dZ", (<object>dz).shape, (m, n_h, n_w, n_c))
        )
    return 0


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
    """`_conv` of a transposed convolution: `window` is that of the convolution, whose input is the output here."""
    cdef str a_name = "cache.A_prev" if prefix else "A_prev"
    cdef str w_name = "cache.W" if prefix else "W"
    cdef str b_name = "cache.b" if prefix else "b"
    A_prev, W, b = given(function, a_name, A_prev), given(function, w_name, W), given(function, b_name, b)
    cdef tuple values = entries(
        function, hparameters, ("stride", "pad"), ("output_padding", "dilation", "groups"), (0, 1, 1)
    )
    cdef object given_stride = settled(function, "hparameters['stride']", values[0])
    cdef object pad = settled(function, "hparameters['pad']", values[1])
    cdef object padding = settled(function, "hparameters['output_padding']", values[2])
    cdef object given_dilation = settled(function, "hparameters['dilation']", values[3])
    cdef object given_groups = index(function, "hparameters['groups']", values[4])
    cdef ndarray a = array(function, a_name, A_prev, 4, IMAGE_PREV)
    cdef ndarray w = array(function, w_name, W, 4, TRANSPOSED_FILTERS)
    cdef ndarray bias = array(function, b_name, b, 4, "(1, 1, 1, n_C)")
    cdef Pair f = filter_extents(function, prefix, w, TRANSPOSED_FILTERS)
    cdef Pair stride = pair(function, "hparameters['stride']", given_stride, 1)
    cdef Pair dilation = pair(function, "hparameters['dilation']", given_dilation, 1)
    cdef Pair more
    cdef Py_ssize_t n_C
    cdef Py_ssize_t[4] shape
    read_window(function, 0, 0, f, given_stride, pad, given_dilation, False, window)
    more = pair(function, "hparameters['output_padding']", padding, 0)
    groups[0] = integer(function, "hparameters['groups']", given_groups, 1)
    if w.shape[3] != a.shape[3]:
        raise ValueError(
            f"{function}: {prefix}W has {w.shape[3]} input channels, {prefix}A_prev has {a.shape[3]}"
            + channels(prefix, (<object>a).shape, (<object>w).shape, groups[0], True)
        )
    if a.shape[3] % groups[0]:
        raise ValueError(
            f"{function}: {prefix}A_prev has {a.shape[3]} channels, which do not divide into {groups[0]} groups"
        )
    if a.shape[3] == 0:
        groups[0] = 1  # without channels there is nothing to group
    n_C = w.shape[2] * groups[0]
    if bias.shape[0] != 1 or bias.shape[1] != 1 or bias.shape[2] != 1 or bias.shape[3] != n_C:
        raise ValueError(
            f"{function}: {prefix}b must have shape {(1, 1, 1, n_C)}, got {(<object>bias).shape}"
            + biases(prefix, (<object>bias).shape, (<object>w).shape, groups[0], True)
        )
    _extent(function, "rows", &window.h, a.shape[1], stride.h, dilation.h, more.h)
    _extent(function, "columns", &window.w, a.shape[2], stride.w, dilation.w, more.w)
    shape[0], shape[1], shape[2], shape[3] = a.shape[0], window.h.n, window.w.n, n_C
    addressable(function, 4, shape, 8)
    return a, w, bias


cdef tuple check_conv_forward(
    str function, bint transpose, object A_prev, object W, object b, object hparameters, Window* window,
    Py_ssize_t* groups,
):
    """(A_prev, W, b), and `window` and `groups` filled; of a transposed convolution as `_transpose` says."""
    cdef ndarray a, w, bias
    cdef int typenum
    a, w, bias = (_transpose if transpose else _conv)(function, "", A_prev, W, b, hparameters, window, groups)
    typenum = common(kind_of(a) | kind_of(w) | kind_of(bias))
    return plain(a, typenum), plain(w, typenum), plain(bias, typenum)


cdef tuple check_conv_backward(
    str function, bint transpose, object dZ, object cache, Window* window, Py_ssize_t* groups
):
    """(dZ, A_prev, W), and `window` and `groups` filled."""
    cdef ndarray a, w, bias, dz
    dZ = given(function, "dZ", dZ)
    cdef tuple values = fields(function, cache, ("A_prev", "W", "b", "hparameters"))
    cdef int typenum
    a, w, bias = (_transpose if transpose else _conv)(
        function, "cache.", values[0], values[1], values[2], values[3], window, groups
    )
    dz = array(function, "dZ", dZ, 4, IMAGE)
    if transpose:
        same_output(function, dz, a.shape[0], window.h.n, window.w.n, w.shape[2] * groups[0])
    else:
        same_output(function, dz, a.shape[0], outputs(&window.h), outputs(&window.w), w.shape[3])
    typenum = common(kind_of(a) | kind_of(w) | kind_of(bias) | kind_of(dz))
    return plain(dz, typenum), plain(a, typenum), plain(w, typenum)
