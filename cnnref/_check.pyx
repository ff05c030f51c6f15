"""Argument checks of pooling and the affine layer, with their error texts; those of convolution are in `_check_conv`.

Each returns its arguments made uniform: arrays C-contiguous, aligned, native and of one dtype (the argument
itself where it is so already), extents and hyperparameters as integers. Nothing is computed before all
arguments have been checked. Functions that are made of others pass their own name as `function`, so that the
message names what the caller called.
"""

cimport numpy as cnp
from numpy cimport ndarray

from cnnref._arrays cimport array, common, entries, fields, integer, plain, single
from cnnref._window cimport output_extent

cnp.import_array()

cdef str IMAGE = "(m, n_H, n_W, n_C)"
cdef str IMAGE_PREV = "(m, n_H_prev, n_W_prev, n_C_prev)"


# --------------------------------------------------------------------------------------------- pooling


cdef bint _is_max(str function, object mode) except -1:
    if not isinstance(mode, str):
        raise TypeError(f"{function}: mode must be 'max' or 'average', got {type(mode).__name__}")
    if mode == "max":
        return True
    if mode != "average":
        raise ValueError(f"{function}: mode must be 'max' or 'average', got {mode!r}")
    return False


cdef tuple _pool(str function, str prefix, object A_prev, object hparameters):
    """(A_prev as an ndarray of any dtype, f, stride, n_H, n_W)."""
    cdef ndarray a = array(function, prefix + "A_prev", A_prev, 4, IMAGE_PREV)
    cdef tuple values = entries(function, hparameters, ("f", "stride"))
    cdef Py_ssize_t f = integer(function, "hparameters['f']", values[0], 1)
    cdef Py_ssize_t stride = integer(function, "hparameters['stride']", values[1], 1)
    if f > a.shape[1] or f > a.shape[2]:
        raise ValueError(
            f"{function}: hparameters['f'] makes a window of {f}x{f}, larger than {prefix}A_prev"
            f" of {a.shape[1]}x{a.shape[2]}"
        )
    stride = min(stride, max(a.shape[1], a.shape[2]))  # beyond that a stride makes no difference
    return a, f, stride, output_extent(a.shape[1], f, stride, 0), output_extent(a.shape[2], f, stride, 0)


cpdef tuple check_pool_forward(object A_prev, object hparameters, object mode):
    """(A_prev, f, stride, n_H, n_W, whether mode is max)."""
    cdef ndarray a
    cdef bint is_max = _is_max("pool_forward", mode)
    a, f, stride, n_h, n_w = _pool("pool_forward", "", A_prev, hparameters)
    return plain(a, common(single(a))), f, stride, n_h, n_w, is_max


cpdef tuple check_pool_backward(object dA, object cache, object mode):
    """(dA, A_prev, f, stride, whether mode is max)."""
    cdef str function = "pool_backward"
    cdef bint is_max = _is_max(function, mode)
    cdef ndarray a
    cdef ndarray da = array(function, "dA", dA, 4, IMAGE)
    cdef tuple values = fields(function, cache, ("A_prev", "hparameters"))
    cdef int typenum
    a, f, stride, n_h, n_w = _pool(function, "cache.", values[0], values[1])
    if da.shape[0] != a.shape[0] or da.shape[1] != n_h or da.shape[2] != n_w or da.shape[3] != a.shape[3]:
        raise ValueError(
            f"{function}: dA must have the shape of the output, {(a.shape[0], n_h, n_w, a.shape[3])},"
            f" got {(<object>da).shape}"
        )
    typenum = common(single(a) and single(da))
    return plain(da, typenum), plain(a, typenum), f, stride, is_max


# ---------------------------------------------------------------------------------------------- affine


cdef tuple _affine(str function, str prefix, object A_prev, object W, object b):
    cdef ndarray a = array(function, prefix + "A_prev", A_prev, 2, "(m, n_prev)")
    cdef ndarray w = array(function, prefix + "W", W, 2, "(n_prev, n)")
    cdef ndarray bias = array(function, prefix + "b", b, 2, "(1, n)")
    if w.shape[0] != a.shape[1]:
        raise ValueError(
            f"{function}: {prefix}W has {w.shape[0]} input features, {prefix}A_prev has {a.shape[1]}"
        )
    if bias.shape[0] != 1 or bias.shape[1] != w.shape[1]:
        raise ValueError(f"{function}: {prefix}b must have shape {(1, w.shape[1])}, got {(<object>bias).shape}")
    return a, w, bias


cpdef tuple check_affine_forward(object A_prev, object W, object b, str function="affine_forward"):
    """(A_prev, W, b)."""
    cdef ndarray a, w, bias
    cdef int typenum
    a, w, bias = _affine(function, "", A_prev, W, b)
    typenum = common(single(a) and single(w) and single(bias))
    return plain(a, typenum), plain(w, typenum), plain(bias, typenum)


cpdef tuple check_affine_backward(object dZ, object cache, str function="affine_backward", str gradient="dZ"):
    """(dZ, A_prev, W, b)."""
    cdef ndarray a, w, bias
    cdef ndarray dz = array(function, gradient, dZ, 2, "(m, n)")
    cdef tuple values = fields(function, cache, ("A_prev", "W", "b"))
    cdef int typenum
    a, w, bias = _affine(function, "cache.", values[0], values[1], values[2])
    if dz.shape[0] != a.shape[0] or dz.shape[1] != w.shape[1]:
        raise ValueError(
            f"{function}: {gradient} must have the shape of the output, {(a.shape[0], w.shape[1])},"
            f" got {(<object>dz).shape}"
        )
    typenum = common(single(a) and single(w) and single(bias) and single(dz))
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
            f"{function}: activation must be 'relu', 'sigmoid', 'NULL' or None, got {type(activation).__name__}"
        )
    if activation not in ("relu", "sigmoid", "NULL"):
        raise ValueError(f"{function}: activation must be 'relu', 'sigmoid', 'NULL' or None, got {activation!r}")
    return None if activation == "NULL" else activation
