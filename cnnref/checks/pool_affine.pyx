"""Argument checks of pooling and the affine layer, with their error texts; those of convolution are in ``conv.pyx``.

Each returns its arguments made uniform: arrays C-contiguous, aligned, native and of one dtype (the argument
itself where it is so already), extents and hyperparameters as integers. Nothing is computed before all
arguments have been checked. Functions that are made of others pass their own name as `function`, so that the
message names what the caller called.

All of the caller's code runs before the first array is looked at (`cnnref.checks.arrays` has the rule): `given`, then
`settled`, then the checks.
"""

cimport numpy as cnp
from numpy cimport ndarray

from cnnref.checks.arrays cimport addressable, array, common, given, integer, kind_of, plain, word
from cnnref.checks.fields cimport entries, fields
from cnnref.checks.hyper cimport Axis, Pair, Window, outputs, padded_extent, pair, read_window, settled, span
from cnnref.kernels.pool.axis cimport output_extent
from cnnref.kernels.pool.window cimport PoolWindow, inner_tap, outer_tap, pool_outputs, window_start

import numpy as np

from cnnref.checks.mistakes import described, turned, window_too_large, word_meant

cnp.import_array()

cdef str IMAGE = "(m, n_H, n_W, n_C)"
cdef str IMAGE_PREV = "(m, n_H_prev, n_W_prev, n_C_prev)"
cdef tuple POOL_OPTIONS = ("pad", "dilation", "ceil_mode", "count_include_pad")
cdef tuple POOL_DEFAULTS = (0, 1, False, True)

cdef Py_ssize_t LARGEST = (<size_t>-1) >> 1


# --------------------------------------------------------------------------------------------- pooling


cdef bint _is_max(str function, object mode) except -1:
    if not isinstance(mode, str):
        raise TypeError(f"{function}: mode must be 'max' or 'average', got {described(mode)}")
    cdef str exact = word(mode)
    if exact == "max":
        return True
    if exact != "average":
        raise ValueError(f"{function}: mode must be 'max' or 'average', got {exact!r}" + word_meant(exact, ("max", "average")))
    return False


cdef bint _flag(str function, str name, object value) except -1:
    if type(value) is not bool and type(value) is not np.bool_:
        raise TypeError(f"{function}: {name} must be True or False, got {described(value)}")
    return value


cdef int _pool_axis(str function, str prefix, str name, const Axis* axis, bint same, bint ceil, Py_ssize_t* n) except -1:
    """Set `n` to the number of windows along an axis, each of which has a tap in the image."""
    cdef Py_ssize_t window, start
    if not same and max(axis.before, axis.after) > axis.f // 2:
        raise ValueError(
            f"{function}: hparameters['pad'] must be at most half of the window's {axis.f} {name},"
            f" got {max(axis.before, axis.after)}"
        )
    n[0] = pool_outputs(axis, ceil)
    if n[0] < 1:
        raise ValueError(
            f"{function}: hparameters['f'] makes a window of {span(axis)} {name}, larger than {prefix}A_prev"
            f" of {axis.n} {name}" + (f" padded to {padded_extent(axis)}" if padded_extent(axis) > axis.n else "")
        )
    # Only a window that starts in the padding can pass over a small image between two taps.
    for window in range(min(n[0], (axis.before - 1) // axis.stride + 1 if axis.before else 0)):
        start = window_start(axis, window)
        if inner_tap(axis, start) >= outer_tap(axis, start):
            raise ValueError(
                f"{function}: hparameters['dilation'] leaves a window without a tap in {prefix}A_prev of"
                f" {axis.n} {name}, got {axis.dilation}"
            )
    return 0


cdef tuple _pool(str function, str prefix, object A_prev, object hparameters, bint is_max):
    """(A_prev as an ndarray of any dtype, f, stride, n_H, n_W, None).

    What is more than a dense square window without padding comes as a `PoolWindow` in the place of None.
    """
    cdef str name = "cache.A_prev" if prefix else "A_prev"
    A_prev = given(function, name, A_prev)
    cdef tuple values = entries(function, hparameters, ("f", "stride"), POOL_OPTIONS, POOL_DEFAULTS)
    cdef object given_f = settled(function, "hparameters['f']", values[0])
    cdef object given_stride = settled(function, "hparameters['stride']", values[1])
    cdef object pad = settled(function, "hparameters['pad']", values[2])
    cdef object dilation = settled(function, "hparameters['dilation']", values[3])
    cdef ndarray a = array(function, name, A_prev, 4, IMAGE_PREV)
    cdef Py_ssize_t f, stride
    cdef PoolWindow p
    cdef Window window
    cdef bint ceil
    if (
        type(given_f) is int and type(given_stride) is int and type(pad) is int and pad == 0 and type(dilation) is int
        and dilation == 1 and values[4] is False and values[5] is True
    ):
        f = integer(function, "hparameters['f']", given_f, 1)
        stride = integer(function, "hparameters['stride']", given_stride, 1)
        if f > a.shape[1] or f > a.shape[2]:
            raise ValueError(
                f"{function}: hparameters['f'] makes a window of {f}x{f}, larger than {prefix}A_prev"
                f" of {a.shape[1]}x{a.shape[2]}" + window_too_large(name, (<object>a).shape, f)
            )
        stride = min(stride, max(a.shape[1], a.shape[2]))  # beyond that a stride makes no difference
        return a, f, stride, output_extent(a.shape[1], f, stride, 0), output_extent(a.shape[2], f, stride, 0), None
    cdef Pair taps = pair(function, "hparameters['f']", given_f, 1)
    read_window(function, a.shape[1], a.shape[2], taps, given_stride, pad, dilation, True, &window)
    p.h, p.w = window.h, window.w
    # A window may be larger than the input where its extent is rounded up: that takes the stride as it came.
    cdef Pair steps = pair(function, "hparameters['stride']", given_stride, 1)
    p.h.stride = min(steps.h, max(padded_extent(&p.h), span(&p.h)))
    p.w.stride = min(steps.w, max(padded_extent(&p.w), span(&p.w)))
    ceil = _flag(function, "hparameters['ceil_mode']", values[4])
    p.counted = _flag(function, "hparameters['count_include_pad']", values[5])
    if is_max and not p.counted:
        raise ValueError(
            f"{function}: hparameters['count_include_pad'] must be True in mode 'max', which divides by nothing, got False"
        )
    if not is_max and (p.h.dilation > 1 or p.w.dilation > 1):
        raise ValueError(f"{function}: hparameters['dilation'] must be 1 in mode 'average', got {dilation}")
    _pool_axis(function, prefix, "rows", &p.h, type(pad) is str, ceil, &p.n_H)
    _pool_axis(function, prefix, "columns", &p.w, type(pad) is str, ceil, &p.n_W)
    if p.h.f > LARGEST // p.w.f:
        raise ValueError(f"{function}: hparameters['f'] is too large to address, got {given_f}")
    cdef Py_ssize_t[4] shape = [a.shape[0], p.n_H, p.n_W, a.shape[3]]
    addressable(function, 4, shape, 8)
    if (
        taps.h == taps.w and p.h.dilation == p.w.dilation == 1
        and p.h.before == p.h.after == p.w.before == p.w.after == 0
        and p.h.stride == p.w.stride and p.n_H == outputs(&p.h) and p.n_W == outputs(&p.w)
    ):
        return a, taps.h, p.h.stride, p.n_H, p.n_W, None
    return a, taps.h, p.h.stride, p.n_H, p.n_W, p


cpdef tuple check_pool_forward(object A_prev, object hparameters, object mode):
    """(A_prev, f, stride, n_H, n_W, whether mode is max, None or a PoolWindow): see `_pool`."""
    cdef ndarray a
    cdef bint is_max = _is_max("pool_forward", mode)
    a, f, stride, n_h, n_w, window = _pool("pool_forward", "", A_prev, hparameters, is_max)
    return plain(a, common(kind_of(a))), f, stride, n_h, n_w, is_max, window


cpdef tuple check_pool_backward(object dA, object cache, object mode):
    """(dA, A_prev, f, stride, whether mode is max, None or a PoolWindow): see `_pool`."""
    cdef str function = "pool_backward"
    cdef bint is_max = _is_max(function, mode)
    cdef ndarray a
    dA = given(function, "dA", dA)
    cdef tuple values = fields(function, cache, ("A_prev", "hparameters"))
    cdef ndarray da
    cdef int typenum
    a, f, stride, n_h, n_w, window = _pool(function, "cache.", values[0], values[1], is_max)
    da = array(function, "dA", dA, 4, IMAGE)
    if da.shape[0] != a.shape[0] or da.shape[1] != n_h or da.shape[2] != n_w or da.shape[3] != a.shape[3]:
        raise ValueError(
            f"{function}: dA must have the shape of the output, {(a.shape[0], n_h, n_w, a.shape[3])},"
            f" got {(<object>da).shape}" + turned("dA", (<object>da).shape, (a.shape[0], n_h, n_w, a.shape[3]))
        )
    typenum = common(kind_of(a) | kind_of(da))
    return plain(da, typenum), plain(a, typenum), f, stride, is_max, window


# ---------------------------------------------------------------------------------------------- affine


cdef tuple _affine(str function, str prefix, object A_prev, object W, object b):
    cdef str a_name = "cache.A_prev" if prefix else "A_prev"
    cdef str w_name = "cache.W" if prefix else "W"
    cdef str b_name = "cache.b" if prefix else "b"
    A_prev, W, b = given(function, a_name, A_prev), given(function, w_name, W), given(function, b_name, b)
    cdef ndarray a = array(function, a_name, A_prev, 2, "(m, n_prev)")
    cdef ndarray w = array(function, w_name, W, 2, "(n_prev, n)")
    cdef ndarray bias = array(function, b_name, b, 2, "(1, n)")
    if w.shape[0] != a.shape[1]:
        raise ValueError(
            f"{function}: {prefix}W has {w.shape[0]} input features, {prefix}A_prev has {a.shape[1]}"
        )
    if bias.shape[0] != 1 or bias.shape[1] != w.shape[1]:
        raise ValueError(
            f"{function}: {prefix}b must have shape {(1, w.shape[1])}, got {(<object>bias).shape}"
            + turned(b_name, (<object>bias).shape, (1, w.shape[1]))
        )
    return a, w, bias


cpdef tuple check_affine_forward(object A_prev, object W, object b, str function="affine_forward"):
    """(A_prev, W, b)."""
    cdef ndarray a, w, bias
    cdef int typenum
    a, w, bias = _affine(function, "", A_prev, W, b)
    typenum = common(kind_of(a) | kind_of(w) | kind_of(bias))
    return plain(a, typenum), plain(w, typenum), plain(bias, typenum)


cpdef tuple check_affine_backward(object dZ, object cache, str function="affine_backward", str gradient="dZ"):
    """(dZ, A_prev, W, b)."""
    cdef ndarray a, w, bias, dz
    dZ = given(function, gradient, dZ)
    cdef tuple values = fields(function, cache, ("A_prev", "W", "b"))
    cdef int typenum
    a, w, bias = _affine(function, "cache.", values[0], values[1], values[2])
    dz = array(function, gradient, dZ, 2, "(m, n)")
    if dz.shape[0] != a.shape[0] or dz.shape[1] != w.shape[1]:
        raise ValueError(
            f"{function}: {gradient} must have the shape of the output, {(a.shape[0], w.shape[1])},"
            f" got {(<object>dz).shape}"
        )
    typenum = common(kind_of(a) | kind_of(w) | kind_of(bias) | kind_of(dz))
    return plain(dz, typenum), plain(a, typenum), plain(w, typenum), plain(bias, typenum)


cpdef tuple check_affine_activation_cache(str function, object cache):
    """(affine_cache, activation_cache), each as given."""
    return fields(function, cache, ("affine_cache", "activation_cache"))


cpdef object check_activation_name(str function, object activation):
    """"relu", "sigmoid", or None for no activation."""
    if activation is None:
        return None
    if not isinstance(activation, str):
        raise TypeError(
            f"{function}: activation must be 'relu', 'sigmoid', 'NULL' or None, got {described(activation)}"
        )
    cdef str name = word(activation)
    if name not in ("relu", "sigmoid", "NULL"):
        raise ValueError(
            f"{function}: activation must be 'relu', 'sigmoid', 'NULL' or None, got {name!r}"
            + word_meant(name, ("relu", "sigmoid", "NULL"))
        )
    return None if name == "NULL" else name
