"""Activations of straight, square and rational pieces, element by element, on arrays of any shape.

    hardtanh(z) = min(max(z, min_val), max_val), relu6 that from 0 to 6
    hardsigmoid(z) = min(max(z + 3, 0), 6) / 6
    hardswish(z) = z hardsigmoid(z)
    softsign(z) = z / (1 + |z|)                      softsign'(z) = 1 / (1 + |z|)^2

Nothing is called and nothing cancels: a slope that crosses 0 is ``(z + 3/2) / 3``, one rounded sum. Where a slope
jumps, the gradient is PyTorch's: 0 at both ends of a clip, at -3 that of hardswish to the left, at 3 that to the right.
NaN gives NaN; its gradient is 0 where the slope is one number (relu6, hardtanh, hardsigmoid) and NaN elsewhere.
softsign has its limits at infinity, 1, -1 and derivative 0, and hardswish -0.0 at -inf, where PyTorch has NaN.

Sources: Collobert 2004 (hardtanh); Krizhevsky 2010, "Convolutional Deep Belief Networks on CIFAR-10" (ReLU6);
Courbariaux, Bengio & David 2015, "BinaryConnect" (hard sigmoid); Howard et al. 2019, "Searching for MobileNetV3" (hard
swish); Turian, Bergstra & Bengio 2009 (softsign).
"""

cimport numpy as cnp

from cnnref.checks.arrays cimport real_number
from cnnref.kernels.base.types cimport magnitude, real
from cnnref.kernels.vmath.elementwise cimport activated, activation_gradient

cnp.import_array()

cdef enum Function:
    CLIP
    CLIP_GRADIENT
    HARDSIGMOID
    HARDSIGMOID_GRADIENT
    HARDSWISH
    HARDSWISH_GRADIENT
    SOFTSIGN
    SOFTSIGN_GRADIENT

cdef double WORK = 1  # operations for each element, as `team_size` counts them


cdef inline real bounded(real z) noexcept nogil:
    """`z`, or of its sign a number that 1 does not change; NaN stays."""
    cdef real most
    if real is float:
        most = 1e30
    else:
        most = 1e300
    z = most if z > most else z
    return -most if z < -most else z


cdef void apply(
    int function, const real* z, const real* da, real* out, Py_ssize_t n, double option, double other
) noexcept nogil:
    """``out = function(z)``, or ``da * function'(z)``; `option` and `other` are the ends of a clip."""
    cdef Py_ssize_t i
    cdef real low = <real>option, high = <real>other, t
    if function == CLIP:
        for i in range(n):
            out[i] = low if z[i] < low else high if z[i] > high else z[i]
    elif function == CLIP_GRADIENT:
        for i in range(n):
            out[i] = da[i] if z[i] > low and z[i] < high else <real>0
    elif function == HARDSIGMOID:
        for i in range(n):
            t = z[i] + 3
            t = <real>0 if t < 0 else <real>6 if t > 6 else t
            out[i] = t / 6
    elif function == HARDSIGMOID_GRADIENT:
        for i in range(n):
            out[i] = da[i] / 6 if z[i] > -3 and z[i] < 3 else <real>0
    elif function == HARDSWISH:
        for i in range(n):
            t = z[i] * ((z[i] + 3) / 6)
            out[i] = <real>-0.0 if z[i] <= -3 else z[i] if z[i] >= 3 else t
    elif function == HARDSWISH_GRADIENT:
        for i in range(n):
            t = (z[i] + <real>1.5) / 3
            out[i] = da[i] * (<real>0 if z[i] <= -3 else <real>1 if z[i] >= 3 else t)
    elif function == SOFTSIGN:
        for i in range(n):
            t = bounded(z[i])
            out[i] = t / (1 + magnitude(t))
    else:
        for i in range(n):
            t = 1 + magnitude(z[i])
            out[i] = da[i] / t / t


cdef tuple forward(Function function, str name, object Z, double low=0, double high=0):
    return activated(apply[float], apply[double], function, name, Z, low, WORK, high)


cdef object backward(Function function, str name, object dA, object cache, double low=0, double high=0):
    return activation_gradient(apply[float], apply[double], function, name, dA, cache, low, WORK, high)


cdef int ends(str function, object min_val, object max_val, double* low, double* high) except -1:
    """The ends of a clip, checked."""
    low[0] = real_number(function, "min_val", min_val)
    high[0] = real_number(function, "max_val", max_val)
    if low[0] > high[0]:
        raise ValueError(f"{function}: min_val must be at most max_val, got {low[0]} and {high[0]}")
    return 0


def relu6(Z):
    """Rectified linear unit with an end: ``min(max(Z, 0), 6)``.

    Parameters
    ----------
    Z : array_like
        Any shape; half and float32 keep their dtype, everything else computes in float64.

    Returns
    -------
    A : ndarray
        Shape and dtype of `Z`; NaN stays NaN.
    cache : ndarray
        `Z` itself (converted where it had to be).

    Raises
    ------
    TypeError
        If `Z` does not hold floats of 16 to 64 bits, integers or booleans.

    References
    ----------
    A. Krizhevsky, "Convolutional Deep Belief Networks on CIFAR-10", 2010.

    Examples
    --------
    >>> A, cache = cnnref.relu6([-1.0, 2.0, 7.0])
    >>> A
    array([0., 2., 6.])
    """
    return forward(CLIP, "relu6", Z, 0, 6)


def relu6_backward(dA, cache):
    """Gradient of `relu6`.

    Parameters
    ----------
    dA : array_like
        Gradient with respect to the activation, any shape.
    cache : array_like
        ``Z`` as `relu6` returned it, the shape of `dA`.

    Returns
    -------
    ndarray
        ``dZ``: `dA` where ``0 < Z < 6``, else 0, for NaN too.

    Raises
    ------
    TypeError
        If an argument does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> A, cache = cnnref.relu6([-1.0, 2.0, 7.0])
    >>> cnnref.relu6_backward([1, 1, 1], cache)
    array([0., 1., 0.])
    """
    return backward(CLIP_GRADIENT, "relu6_backward", dA, cache, 0, 6)


def hardtanh(Z, min_val=-1.0, max_val=1.0):
    """Clip: ``min(max(Z, min_val), max_val)``.

    Parameters
    ----------
    Z : array_like
        Any shape; half and float32 keep their dtype, everything else computes in float64.
    min_val, max_val : float, optional
        Finite; rounded to the dtype of `Z`, to float32 for half.

    Returns
    -------
    A : ndarray
        Shape and dtype of `Z`; NaN stays NaN.
    cache : ndarray
        `Z` itself (converted where it had to be).

    Raises
    ------
    TypeError
        If `Z` does not hold floats of 16 to 64 bits, integers or booleans,
        or an end is no number.
    ValueError
        If an end is not finite, or `min_val` above `max_val`.

    References
    ----------
    R. Collobert, "Large Scale Machine Learning", 2004.

    Examples
    --------
    >>> A, cache = cnnref.hardtanh([-2.0, 0.5, 2.0])
    >>> A
    array([-1. ,  0.5,  1. ])
    """
    cdef double low, high
    ends("hardtanh", min_val, max_val, &low, &high)
    return forward(CLIP, "hardtanh", Z, low, high)


def hardtanh_backward(dA, cache, min_val=-1.0, max_val=1.0):
    """Gradient of `hardtanh`.

    Parameters
    ----------
    dA : array_like
        Gradient with respect to the activation, any shape.
    cache : array_like
        ``Z`` as `hardtanh` returned it, the shape of `dA`.
    min_val, max_val : float, optional
        As `hardtanh` was given them.

    Returns
    -------
    ndarray
        ``dZ``: `dA` where ``min_val < Z < max_val``, else 0, at the ends and for NaN too, as in PyTorch.

    Raises
    ------
    TypeError
        If an argument does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If the shapes differ, an end is not finite, or `min_val` is above `max_val`.

    Examples
    --------
    >>> A, cache = cnnref.hardtanh([-2.0, 0.5, 2.0])
    >>> cnnref.hardtanh_backward([1, 1, 1], cache)
    array([0., 1., 0.])
    """
    cdef double low, high
    ends("hardtanh_backward", min_val, max_val, &low, &high)
    return backward(CLIP_GRADIENT, "hardtanh_backward", dA, cache, low, high)


def hardsigmoid(Z):
    """A sigmoid of three straight lines: ``min(max(Z + 3, 0), 6) / 6``.

    Parameters
    ----------
    Z : array_like
        Any shape; half and float32 keep their dtype, everything else computes in float64.

    Returns
    -------
    A : ndarray
        Shape and dtype of `Z`; within 1 ULP: a sum and a quotient. NaN stays NaN.
    cache : ndarray
        `Z` itself (converted where it had to be).

    Raises
    ------
    TypeError
        If `Z` does not hold floats of 16 to 64 bits, integers or booleans.

    References
    ----------
    M. Courbariaux, Y. Bengio and J.-P. David, "BinaryConnect", 2015.

    Examples
    --------
    >>> A, cache = cnnref.hardsigmoid([-4.0, 0.0, 1.5])
    >>> A
    array([0.  , 0.5 , 0.75])
    """
    return forward(HARDSIGMOID, "hardsigmoid", Z)


def hardsigmoid_backward(dA, cache):
    """Gradient of `hardsigmoid`.

    Parameters
    ----------
    dA : array_like
        Gradient with respect to the activation, any shape.
    cache : array_like
        ``Z`` as `hardsigmoid` returned it, the shape of `dA`.

    Returns
    -------
    ndarray
        ``dZ``: ``dA / 6`` where ``-3 < Z < 3``, else 0, for NaN too, as in PyTorch.

    Raises
    ------
    TypeError
        If an argument does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> A, cache = cnnref.hardsigmoid([-4.0, 0.0, 1.5])
    >>> cnnref.hardsigmoid_backward([1, 1, 1], cache)
    array([0.    , 0.1667, 0.1667])
    """
    return backward(HARDSIGMOID_GRADIENT, "hardsigmoid_backward", dA, cache)


def hardswish(Z):
    """Swish of straight lines: ``Z * hardsigmoid(Z)``.

    Parameters
    ----------
    Z : array_like
        Any shape; half and float32 keep their dtype, everything else computes in float64.

    Returns
    -------
    A : ndarray
        Shape and dtype of `Z`; within 2 ULP. -0.0 at -inf, the limit (PyTorch: NaN); NaN stays NaN.
    cache : ndarray
        `Z` itself (converted where it had to be).

    Raises
    ------
    TypeError
        If `Z` does not hold floats of 16 to 64 bits, integers or booleans.

    References
    ----------
    A. Howard et al., "Searching for MobileNetV3", 2019.

    Examples
    --------
    >>> A, cache = cnnref.hardswish([-4.0, -1.5, 1.5])
    >>> A
    array([-0.   , -0.375,  1.125])
    """
    return forward(HARDSWISH, "hardswish", Z)


def hardswish_backward(dA, cache):
    """Gradient of `hardswish`.

    Parameters
    ----------
    dA : array_like
        Gradient with respect to the activation, any shape.
    cache : array_like
        ``Z`` as `hardswish` returned it, the shape of `dA`.

    Returns
    -------
    ndarray
        ``dZ = dA * (Z + 3/2) / 3`` between -3 and 3, where nothing cancels: within 2 ULP; 0 to the left, -3 too, and
        `dA` to the right, 3 too, as in PyTorch.

    Raises
    ------
    TypeError
        If an argument does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> A, cache = cnnref.hardswish([-4.0, -1.5, 1.5])
    >>> cnnref.hardswish_backward([1, 1, 1], cache)
    array([0., 0., 1.])
    """
    return backward(HARDSWISH_GRADIENT, "hardswish_backward", dA, cache)


def softsign(Z):
    """A sigmoid with long tails: ``Z / (1 + |Z|)``.

    Parameters
    ----------
    Z : array_like
        Any shape; half and float32 keep their dtype, everything else computes in float64.

    Returns
    -------
    A : ndarray
        Shape and dtype of `Z`; within 1 ULP. 1 and -1 at infinity, the limits (PyTorch: NaN); NaN stays NaN.
    cache : ndarray
        `Z` itself (converted where it had to be).

    Raises
    ------
    TypeError
        If `Z` does not hold floats of 16 to 64 bits, integers or booleans.

    References
    ----------
    J. Turian, J. Bergstra and Y. Bengio, "Quadratic Features and Deep Architectures for Chunking", 2009.

    Examples
    --------
    >>> A, cache = cnnref.softsign([-1.0, 0.0, 3.0])
    >>> A
    array([-0.5 ,  0.  ,  0.75])
    """
    return forward(SOFTSIGN, "softsign", Z)


def softsign_backward(dA, cache):
    """Gradient of `softsign`.

    Parameters
    ----------
    dA : array_like
        Gradient with respect to the activation, any shape.
    cache : array_like
        ``Z`` as `softsign` returned it, the shape of `dA`.

    Returns
    -------
    ndarray
        ``dZ = dA / (1 + |Z|) / (1 + |Z|)``: within 3 ULP, as far as the tails reach.

    Raises
    ------
    TypeError
        If an argument does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> A, cache = cnnref.softsign([-1.0, 0.0, 3.0])
    >>> cnnref.softsign_backward([1, 1, 1], cache)
    array([0.25  , 1.    , 0.0625])
    """
    return backward(SOFTSIGN_GRADIENT, "softsign_backward", dA, cache)
