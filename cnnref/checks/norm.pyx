"""Argument checks of normalizations, PReLU and global pooling, as those of `cnnref.checks.pool_affine`."""

import numpy as np

from cnnref.checks.mistakes import channels_of, described

cimport numpy as cnp
from numpy cimport ndarray

from cnnref.checks.arrays cimport DOUBLE, array, common, given, kind_of, plain, real_number, same_shape
from cnnref.checks.fields cimport entries, fields

cnp.import_array()

cdef str IMAGE_PREV = "(m, n_H_prev, n_W_prev, n_C_prev)"
cdef tuple CACHE = ("A_prev", "gamma", "mean", "variance", "running_mean", "running_var", "hparameters")
cdef tuple ROW_CACHE = ("A_prev", "gamma", "hparameters")


# -------------------------------------------------------------------------------------- global pooling


cdef ndarray _pixels(str function, str name, object A_prev):
    cdef ndarray x = array(function, name, A_prev, 4, IMAGE_PREV)
    if x.shape[1] < 1 or x.shape[2] < 1:
        raise ValueError(f"{function}: {name} must have at least one pixel, got shape {(<object>x).shape}")
    return x


cpdef object check_global_average_pool_forward(object A_prev):
    """A_prev."""
    cdef ndarray x = _pixels("global_average_pool_forward", "A_prev", A_prev)
    return plain(x, common(kind_of(x)))


cpdef tuple check_global_average_pool_backward(object dA, object cache):
    """(dA, n_H_prev, n_W_prev)."""
    cdef str function = "global_average_pool_backward"
    cdef Py_ssize_t height, width
    dA, cache = given(function, "dA", dA), given(function, "cache", cache)
    cdef ndarray da = array(function, "dA", dA, 4, "(m, 1, 1, n_C_prev)")
    cdef ndarray x = _pixels(function, "cache", cache)
    if da.shape[0] != x.shape[0] or da.shape[1] != 1 or da.shape[2] != 1 or da.shape[3] != x.shape[3]:
        raise ValueError(
            f"{function}: dA must have the shape of the output, {(x.shape[0], 1, 1, x.shape[3])},"
            f" got {(<object>da).shape}"
        )
    height, width = x.shape[1], x.shape[2]
    return plain(da, common(kind_of(da) | kind_of(x))), height, width


# --------------------------------------------------------------------------------- batch normalization


cdef ndarray _channels(str function, str name, object value, ndarray a):
    """`value` as one number for each channel of `a`."""
    cdef ndarray x = array(function, name, value, 4, "(1, 1, 1, n_C_prev)")
    if x.shape[0] != 1 or x.shape[1] != 1 or x.shape[2] != 1 or x.shape[3] != a.shape[3]:
        raise ValueError(
            f"{function}: {name} must have shape {(1, 1, 1, a.shape[3])}, got {(<object>x).shape}"
            + channels_of(name, (<object>x).shape, (<object>a).shape)
        )
    return x


cdef double _epsilon(str function, object value) except? -1:
    """What is added to a variance."""
    cdef double epsilon = real_number(function, "hparameters['epsilon']", value)
    if epsilon < 0:
        raise ValueError(f"{function}: hparameters['epsilon'] must not be negative, got {epsilon}")
    return epsilon


cdef int _like_output(str function, ndarray da, ndarray a) except -1:
    """Refuse an upstream gradient that has not the shape of the images."""
    cdef int axis
    for axis in range(4):
        if da.shape[axis] != a.shape[axis]:
            raise ValueError(
                f"{function}: dA must have the shape of the output, {(<object>a).shape}, got {(<object>da).shape}"
            )
    return 0


cdef tuple _norm_hparameters(str function, object hparameters):
    """(epsilon, momentum, training)."""
    cdef tuple values = entries(function, hparameters, ("training",), ("epsilon", "momentum"), (1e-5, 0.1))
    cdef double momentum
    if type(values[0]) is not bool and type(values[0]) is not np.bool_:
        raise TypeError(
            f"{function}: hparameters['training'] must be True or False, got {described(values[0])}"
        )
    cdef double epsilon = _epsilon(function, values[1])
    momentum = real_number(function, "hparameters['momentum']", values[2])
    if not 0 <= momentum <= 1:
        raise ValueError(f"{function}: hparameters['momentum'] must be from 0 to 1, got {momentum}")
    return epsilon, momentum, bool(values[0])


cdef int _several(str function, str name, ndarray a) except -1:
    """Refuse the variance of a single value, as PyTorch does; that of none goes with an empty batch."""
    if a.shape[3] > 0 and cnp.PyArray_SIZE(a) == a.shape[3]:
        raise ValueError(
            f"{function}: {name} must have more than one value for each channel in training,"
            f" got shape {(<object>a).shape}"
        )
    return 0


cdef int _statistics(int typenum) noexcept:
    """The type of the running statistics: that of the images, but float32 for half ones."""
    return typenum if typenum == cnp.NPY_DOUBLE else cnp.NPY_FLOAT


cpdef tuple check_batch_norm_forward(
    object A_prev, object gamma, object beta, object running_mean, object running_var, object hparameters
):
    """(A_prev, gamma, beta, running_mean or None, running_var or None, epsilon, momentum, training)."""
    cdef str function = "batch_norm_forward"
    epsilon, momentum, training = _norm_hparameters(function, hparameters)
    A_prev, gamma, beta = given(function, "A_prev", A_prev), given(function, "gamma", gamma), given(function, "beta", beta)
    if running_mean is not None:
        running_mean = given(function, "running_mean", running_mean)
    if running_var is not None:
        running_var = given(function, "running_var", running_var)
    cdef ndarray a = array(function, "A_prev", A_prev, 4, IMAGE_PREV)
    cdef list rest = [_channels(function, "gamma", gamma, a), _channels(function, "beta", beta, a)]
    cdef int kinds, typenum
    cdef ndarray x
    if (running_mean is None) != (running_var is None) or (running_mean is None and not training):
        absent = "running_mean" if running_mean is None else "running_var"
        raise TypeError(
            f"{function}: {absent} is None, expected an array"
            + (": running_mean and running_var go together" if training else " where training is False")
        )
    if training:
        _several(function, "A_prev", a)
    if running_mean is not None:
        rest += [
            _channels(function, "running_mean", running_mean, a), _channels(function, "running_var", running_var, a)
        ]
    kinds = kind_of(a) | kind_of(rest[0]) | kind_of(rest[1])
    for x in rest[2:]:
        kinds |= kind_of(x) & DOUBLE
    typenum = common(kinds)
    rest = [plain(x, typenum) for x in rest[:2]] + [plain(x, _statistics(typenum)) for x in rest[2:]] + [None, None]
    return plain(a, typenum), rest[0], rest[1], rest[2], rest[3], epsilon, momentum, training


cpdef tuple check_batch_norm_backward(object dA, object cache):
    """(dA, A_prev, gamma, mean, variance, epsilon, training)."""
    cdef str function = "batch_norm_backward"
    cdef tuple values = fields(function, cache, CACHE)
    epsilon, _, training = _norm_hparameters(function, values[6])
    dA = given(function, "dA", dA)
    values = tuple([
        values[i] if values[i] is None and i >= 4 else given(function, "cache." + CACHE[i], values[i]) for i in range(6)
    ])
    cdef ndarray a = array(function, "cache.A_prev", values[0], 4, IMAGE_PREV)
    cdef ndarray gamma = _channels(function, "cache.gamma", values[1], a)
    cdef ndarray mean = _channels(function, "cache.mean", values[2], a)
    cdef ndarray variance = _channels(function, "cache.variance", values[3], a)
    cdef ndarray da = array(function, "dA", dA, 4, IMAGE_PREV)
    cdef int axis, typenum
    for axis in range(4, 6):
        if values[axis] is not None:
            _channels(function, "cache." + CACHE[axis], values[axis], a)
    _like_output(function, da, a)
    if training:
        _several(function, "cache.A_prev", a)
    typenum = common(kind_of(da) | kind_of(a) | kind_of(gamma))
    return (
        plain(da, typenum), plain(a, typenum), plain(gamma, typenum), plain(mean, cnp.NPY_DOUBLE),
        plain(variance, cnp.NPY_DOUBLE), epsilon, training,
    )


# ----------------------------------------------------------------------------------------------- PReLU


cdef ndarray _slopes(str function, str name, object value, ndarray z):
    """`value` as one number for each channel of `z`, or one for all."""
    cdef ndarray x = array(function, name, value, 4, "(1, 1, 1, n_C) or (1, 1, 1, 1)")
    cdef bint row = x.shape[0] == 1 and x.shape[1] == 1 and x.shape[2] == 1
    if not row or (x.shape[3] != z.shape[3] and x.shape[3] != 1):
        raise ValueError(
            f"{function}: {name} must have shape {(1, 1, 1, z.shape[3])} or (1, 1, 1, 1), got {(<object>x).shape}"
            + channels_of(name, (<object>x).shape, (<object>z).shape, "Z")
        )
    return x


cpdef tuple check_prelu(object Z, object slopes):
    """(Z, slopes)."""
    Z, slopes = given("prelu", "Z", Z), given("prelu", "slopes", slopes)
    cdef ndarray z = array("prelu", "Z", Z, 4, "(m, n_H, n_W, n_C)")
    cdef ndarray a = _slopes("prelu", "slopes", slopes, z)
    cdef int typenum = common(kind_of(z) | kind_of(a))
    return plain(z, typenum), plain(a, typenum)


cpdef tuple check_prelu_backward(object dA, object cache):
    """(dA, Z, slopes)."""
    cdef str function = "prelu_backward"
    cdef tuple values = fields(function, cache, ("Z", "slopes"))
    dA, Z, slopes = given(function, "dA", dA), given(function, "cache.Z", values[0]), given(function, "cache.slopes", values[1])
    cdef ndarray g = array(function, "dA", dA, 4, "(m, n_H, n_W, n_C)")
    cdef ndarray z = array(function, "cache.Z", Z, 4, "(m, n_H, n_W, n_C)")
    cdef ndarray a = _slopes(function, "cache.slopes", slopes, z)
    cdef int typenum = common(kind_of(g) | kind_of(z) | kind_of(a))
    same_shape(function, "dA", g, "cache.Z", z)
    return plain(g, typenum), plain(z, typenum), plain(a, typenum)


# ------------------------------------------------------------------------- normalization of each pixel


cpdef tuple check_row_norm_forward(str function, object A_prev, object gamma, object beta, object hparameters):
    """(A_prev, gamma, beta, epsilon); `beta` is None where the function has none."""
    cdef double epsilon = _epsilon(function, entries(function, hparameters, (), ("epsilon",), (1e-5,))[0])
    cdef bint shifted = function == "layer_norm_forward"
    A_prev, gamma = given(function, "A_prev", A_prev), given(function, "gamma", gamma)
    if shifted:
        beta = given(function, "beta", beta)
    cdef ndarray a = array(function, "A_prev", A_prev, 4, IMAGE_PREV)
    cdef ndarray scale = _channels(function, "gamma", gamma, a)
    cdef ndarray offset = _channels(function, "beta", beta, a) if shifted else scale
    cdef int typenum = common(kind_of(a) | kind_of(scale) | kind_of(offset))
    return plain(a, typenum), plain(scale, typenum), plain(offset, typenum) if shifted else None, epsilon


cpdef tuple check_row_norm_backward(str function, object dA, object cache):
    """(dA, A_prev, gamma, epsilon)."""
    cdef tuple values = fields(function, cache, ROW_CACHE)
    cdef double epsilon = _epsilon(function, entries(function, values[2], (), ("epsilon",), (1e-5,))[0])
    dA, A_prev = given(function, "dA", dA), given(function, "cache.A_prev", values[0])
    gamma = given(function, "cache.gamma", values[1])
    cdef ndarray a = array(function, "cache.A_prev", A_prev, 4, IMAGE_PREV)
    cdef ndarray scale = _channels(function, "cache.gamma", gamma, a)
    cdef ndarray da = array(function, "dA", dA, 4, IMAGE_PREV)
    _like_output(function, da, a)
    cdef int typenum = common(kind_of(da) | kind_of(a) | kind_of(scale))
    return plain(da, typenum), plain(a, typenum), plain(scale, typenum), epsilon
