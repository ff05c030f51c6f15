"""Linear units, element by element, on arrays of any shape: leaky ReLU, SiLU and GELU in both forms.

    leaky_relu(z) = z for z > 0, else slope * z
    silu(z) = z sigmoid(z)
    gelu(z) = z Phi(z), Phi the distribution function of the normal distribution
    gelu(z, "tanh") = z sigmoid(2 y), y = sqrt(2/pi) (z + 0.044715 z^3), which is 0.5 z (1 + tanh y)

All keep their relative accuracy as far as they reach below zero: nothing is subtracted from 1 there, gelu is
``max(z, 0) - |z| Phi(-|z|)``, and the rounding error of an exponent (``z^2/2``, ``2 y``) is made good. What a
derivative cancels near its zero (z = -1.28, -0.75) it loses relative to 1, not to itself. NaN gives NaN; at -inf,
silu and gelu have their limit, -0.0, and their derivative 0, where PyTorch has NaN.

Sources: Maas, Hannun & Ng 2013 (leaky ReLU); Hendrycks & Gimpel 2016, "Gaussian Error Linear Units" (both forms, and
SiLU); Elfwing, Uchibe & Doya 2017 (SiLU).
"""

cimport numpy as cnp

from cnnref.checks.arrays cimport real_number, word
from cnnref.kernels.vmath.activations cimport (
    GELU,
    GELU_GRADIENT,
    GELU_TANH,
    GELU_TANH_GRADIENT,
    LEAKY,
    LEAKY_GRADIENT,
    SILU,
    SILU_GRADIENT,
    Function,
    apply,
)
from cnnref.kernels.vmath.elementwise cimport activated, activation_gradient

from cnnref.checks.mistakes import word_meant

cnp.import_array()

# Operations for each element, as `team_size` counts them.
cdef double EXP_WORK = 10
cdef double TAIL_WORK = 20


cdef tuple forward(Function function, str name, object Z, double option, double work):
    return activated(apply[float], apply[double], function, name, Z, option, work)


cdef object backward(Function function, str name, object dA, object cache, double option, double work):
    return activation_gradient(apply[float], apply[double], function, name, dA, cache, option, work)


cdef bint by_tanh(str function, object approximate) except -1:
    if not isinstance(approximate, str):
        raise TypeError(f"{function}: approximate must be 'none' or 'tanh', got {type(approximate).__name__}")
    cdef str form = word(approximate)
    if form != "none" and form != "tanh":
        raise ValueError(f"{function}: approximate must be 'none' or 'tanh', got {form!r}" + word_meant(form, ("none", "tanh")))
    return form == "tanh"


def leaky_relu(Z, negative_slope=0.01):
    """Leaky rectified linear unit: ``Z`` where it is above 0, else ``negative_slope * Z``.

    Parameters
    ----------
    Z : array_like
        Any shape; half and float32 keep their dtype, everything else computes in float64.
    negative_slope : float, optional
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
        If `Z` does not hold floats of 16 to 64 bits, integers or booleans, or `negative_slope` is no number.
    ValueError
        If `negative_slope` is not finite.

    References
    ----------
    A. Maas, A. Hannun and A. Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", 2013.

    Examples
    --------
    >>> A, cache = cnnref.leaky_relu([-1.0, 0.0, 2.0])
    >>> A
    array([-0.01,  0.  ,  2.  ])
    """
    cdef double slope = real_number("leaky_relu", "negative_slope", negative_slope)
    return forward(LEAKY, "leaky_relu", Z, slope, 1)


def leaky_relu_backward(dA, cache, negative_slope=0.01):
    """Gradient of `leaky_relu`: `dA` where ``Z > 0``, else ``negative_slope * dA``, for NaN too, as in PyTorch.

    Parameters
    ----------
    dA : array_like
        Gradient with respect to the activation, any shape.
    cache : array_like
        ``Z`` as `leaky_relu` returned it, the shape of `dA`.
    negative_slope : float, optional
        As `leaky_relu` was given it.

    Returns
    -------
    ndarray
        ``dZ``, the shape of `dA`.

    Raises
    ------
    TypeError
        If an array does not hold floats of 16 to 64 bits, integers or booleans, or `negative_slope` is no number.
    ValueError
        If the shapes differ, or `negative_slope` is not finite.

    Examples
    --------
    >>> A, cache = cnnref.leaky_relu([-1.0, 0.0, 2.0])
    >>> cnnref.leaky_relu_backward([1, 1, 1], cache)
    array([0.01, 0.01, 1.  ])
    """
    cdef double slope = real_number("leaky_relu_backward", "negative_slope", negative_slope)
    return backward(LEAKY_GRADIENT, "leaky_relu_backward", dA, cache, slope, 1)


def silu(Z):
    """Sigmoid linear unit, or swish: ``Z sigmoid(Z)``.

    Parameters
    ----------
    Z : array_like
        Any shape; half and float32 keep their dtype, everything else computes in float64.

    Returns
    -------
    A : ndarray
        Shape and dtype of `Z`; within 3 ULP everywhere, the subnormal results too. -0.0 at -inf, the limit
        (PyTorch: NaN); NaN stays NaN.
    cache : ndarray
        `Z` itself (converted where it had to be).

    Raises
    ------
    TypeError
        If `Z` does not hold floats of 16 to 64 bits, integers or booleans.

    References
    ----------
    S. Elfwing, E. Uchibe and K. Doya, "Sigmoid-Weighted Linear Units for Neural Network Function Approximation in
    Reinforcement Learning", 2017.

    Examples
    --------
    >>> A, cache = cnnref.silu([-1.0, 0.0, 2.0])
    >>> A
    array([-0.2689,  0.    ,  1.7616])
    """
    return forward(SILU, "silu", Z, 0, EXP_WORK)


def silu_backward(dA, cache):
    """Gradient of `silu`.

    Parameters
    ----------
    dA : array_like
        Gradient with respect to the activation, any shape.
    cache : array_like
        ``Z`` as `silu` returned it, the shape of `dA`.

    Returns
    -------
    ndarray
        ``dZ = dA * (s + Z * s * (1 - s))`` with ``s = sigmoid(Z)``: within 5 ULP of the larger of the two terms,
        which cancel at -1.278.

    Raises
    ------
    TypeError
        If an argument does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> A, cache = cnnref.silu([-1.0, 0.0, 2.0])
    >>> cnnref.silu_backward([1, 1, 1], cache)
    array([0.0723, 0.5   , 1.0908])
    """
    return backward(SILU_GRADIENT, "silu_backward", dA, cache, 0, EXP_WORK)


def gelu(Z, approximate="none"):
    """Gaussian error linear unit: ``Z Phi(Z)``, Phi the distribution function of the normal distribution.

    Parameters
    ----------
    Z : array_like
        Any shape; half and float32 keep their dtype, everything else computes in float64.
    approximate : {"none", "tanh"}, optional
        "tanh" for ``0.5 Z (1 + tanh(sqrt(2/pi) (Z + 0.044715 Z^3)))``.

    Returns
    -------
    A : ndarray
        Shape and dtype of `Z`; within 6 ULP everywhere, the subnormal results too. -0.0 at -inf, the limit
        (PyTorch: NaN); NaN stays NaN.
    cache : ndarray
        `Z` itself (converted where it had to be).

    Raises
    ------
    TypeError
        If `Z` does not hold floats of 16 to 64 bits, integers or booleans, or `approximate` is no string.
    ValueError
        If `approximate` is unknown.

    References
    ----------
    D. Hendrycks and K. Gimpel, "Gaussian Error Linear Units (GELUs)", 2016.

    Examples
    --------
    >>> A, cache = cnnref.gelu([-1.0, 0.0, 2.0])
    >>> A
    array([-0.1587,  0.    ,  1.9545])
    """
    cdef bint tanh = by_tanh("gelu", approximate)
    return forward(GELU_TANH if tanh else GELU, "gelu", Z, 0, EXP_WORK if tanh else TAIL_WORK)


def gelu_backward(dA, cache, approximate="none"):
    """Gradient of `gelu`.

    Parameters
    ----------
    dA : array_like
        Gradient with respect to the activation, any shape.
    cache : array_like
        ``Z`` as `gelu` returned it, the shape of `dA`.
    approximate : {"none", "tanh"}, optional
        As `gelu` was given it.

    Returns
    -------
    ndarray
        ``dZ``: `dA` times ``Phi(Z) + Z phi(Z)`` (phi the density), or times the derivative of the tanh form. Within
        5 ULP of the larger of the two terms, which cancel at -0.752.

    Raises
    ------
    TypeError
        If an array does not hold floats of 16 to 64 bits, integers or booleans, or `approximate` is no string.
    ValueError
        If the shapes differ, or `approximate` is unknown.

    Examples
    --------
    >>> A, cache = cnnref.gelu([-1.0, 0.0, 2.0])
    >>> cnnref.gelu_backward([1, 1, 1], cache)
    array([-0.0833,  0.5   ,  1.0852])
    """
    cdef bint tanh = by_tanh("gelu_backward", approximate)
    return backward(
        GELU_TANH_GRADIENT if tanh else GELU_GRADIENT, "gelu_backward", dA, cache, 0, EXP_WORK if tanh else TAIL_WORK
    )
