"""Activations of an exponential, element by element, on arrays of any shape: ELU, SELU, CELU, softplus and Mish.

    elu(z) = z for z > 0, else alpha (e^z - 1)
    selu(z) = scale elu(z, 1.67326...), scale = 1.05070...
    celu(z) = z for z > 0, else alpha (e^(z / alpha) - 1)
    softplus(z) = log(1 + e^(beta z)) / beta, z itself where beta z > threshold
    mish(z) = z tanh(softplus(z)) = z q / (q + 2), q = n (n + 2), n = e^z

Nothing is subtracted from 1 where that would cancel (``kernels/vmath/near_one.pxd``), so all keep their digits down to
where the exponential is subnormal, mish further. Mish's derivative is ``(q (q + 2) + 4 z n (n + 1)) / (q + 2)^2``, whose
terms cancel at -1.19; above 0 both are taken times n^-4, so that nothing overflows. At 0 the gradient of the first three
is PyTorch's, that to the left. NaN gives NaN, in the gradients too; mish has its limit at -inf, -0.0, and derivative 0,
where PyTorch has NaN.

Sources: Clevert, Unterthiner & Hochreiter 2015 (ELU); Klambauer et al. 2017 (SELU); Barron 2017 (CELU); Dugas et al.
2000 (softplus); Misra 2019 (Mish).
"""

cimport numpy as cnp

from cnnref.checks.arrays cimport real_number
from cnnref.kernels.base.isa cimport always_inline
from cnnref.kernels.base.types cimport magnitude, multiply_add, real
from cnnref.kernels.vmath.elementwise cimport activated, activation_gradient
from cnnref.kernels.vmath.exp cimport MOST_LANES, ask_ahead, exp_minus, lanes, last_lanes
from cnnref.kernels.vmath.gates cimport exp_scaled, farthest, unscale
from cnnref.kernels.vmath.near_one cimport expm1_of, log1p_of

cnp.import_array()

cdef enum Function:
    ELU
    ELU_GRADIENT
    SELU
    SELU_GRADIENT
    SOFTPLUS
    SOFTPLUS_GRADIENT
    MISH
    MISH_GRADIENT

cdef double WORK = 10  # operations for each element, as `team_size` counts them
cdef double SCALE = 1.0507009873554805
cdef double SCALE_ALPHA = 1.7580993408473766


cdef inline always_inline elus(
    const int function, const real* z, real factor, real divisor, real* out
) noexcept nogil:
    """``z`` above 0, else ``factor (e^(z / divisor) - 1)``; the gradient ``factor e^(z / divisor)``."""
    cdef real[MOST_LANES] x
    cdef real[MOST_LANES] power
    cdef real above = <real>SCALE if function == SELU or function == SELU_GRADIENT else <real>1
    cdef int i
    for i in range(lanes(<real>0)):
        x[i] = <real>0 if z[i] > 0 else z[i] / divisor
    for i in range(lanes(<real>0)):
        power[i] = -x[i]
    exp_minus(power, power, True)
    if function == ELU or function == SELU:
        expm1_of(x, power, power)
        for i in range(lanes(<real>0)):
            out[i] = above * z[i] if z[i] > 0 else factor * power[i]
    else:
        for i in range(lanes(<real>0)):
            out[i] = above if z[i] > 0 else factor * power[i]


cdef inline always_inline softpluses(
    const int function, const real* z, real beta, real threshold, real* out
) noexcept nogil:
    """Softplus or its derivative, the sigmoid of ``beta z``, from ``e^-|beta z|``."""
    cdef real[MOST_LANES] w
    cdef real[MOST_LANES] t
    cdef int i
    for i in range(lanes(<real>0)):
        w[i] = beta * z[i]
    for i in range(lanes(<real>0)):
        t[i] = magnitude(w[i])
    exp_minus(t, t, True)
    if function == SOFTPLUS:
        log1p_of(t, t)
        for i in range(lanes(<real>0)):
            out[i] = z[i] if w[i] > threshold else ((w[i] if w[i] > 0 else <real>0) + t[i]) / beta
    else:
        for i in range(lanes(<real>0)):
            t[i] = (t[i] if w[i] < 0 else <real>1) / (<real>1 + t[i])
        for i in range(lanes(<real>0)):
            out[i] = <real>1 if w[i] > threshold else t[i]


cdef inline always_inline mishes(const int function, const real* z, real* out) noexcept nogil:
    """Mish or its derivative, from ``power = e^-|z|``, scaled so that no factor is subnormal."""
    cdef real[MOST_LANES] a
    cdef real[MOST_LANES] power
    cdef real most = farthest(<real>0), scale = unscale(<real>0), t, d, above, below
    cdef int i
    for i in range(lanes(<real>0)):
        a[i] = magnitude(z[i])
    for i in range(lanes(<real>0)):
        a[i] = most if a[i] > most else a[i]
    for i in range(lanes(<real>0)):
        power[i] = -a[i]
    exp_scaled(power, power)
    if function == MISH:
        for i in range(lanes(<real>0)):
            t = power[i] * scale
            # Below 0 with n = t: a q / (q + 2). Above with n = 1 / t: z (1 + 2 t) / (1 + 2 t + 2 t^2).
            d = multiply_add(t, t + 2, <real>2) if z[i] < 0 else multiply_add(t, t + t + 2, <real>1)
            above = z[i] * (multiply_add(<real>2, t, <real>1) / d)
            below = -(a[i] * (power[i] * (t + 2) / d)) * scale
            out[i] = below if z[i] < 0 else above
    else:
        for i in range(lanes(<real>0)):
            t = power[i] * scale
            d = multiply_add(t, t + 2, <real>2) if z[i] < 0 else multiply_add(t, t + t + 2, <real>1)
            above = multiply_add(<real>2, t, <real>1) * d + 4 * a[i] * (t * t) * (1 + t)
            below = (t + 2) * d - 4 * a[i] * (1 + t)
            above = above / (d * d)
            below = power[i] * (below / (d * d)) * scale
            out[i] = below if z[i] < 0 else above


cdef inline always_inline of_lanes(
    const int function, const real* z, const real* da, real* out, real option, real other
) noexcept nogil:
    """`apply` to `lanes` elements."""
    cdef real[MOST_LANES] result
    cdef int i
    ask_ahead(z)
    if function == MISH or function == MISH_GRADIENT:
        mishes(function, z, result)
    elif function == SOFTPLUS or function == SOFTPLUS_GRADIENT:
        softpluses(function, z, option, other, result)
    else:
        elus(function, z, option, other, result)
    if function % 2 == 1:  # a gradient
        ask_ahead(da)
        for i in range(lanes(<real>0)):
            result[i] = da[i] * result[i]
    for i in range(lanes(<real>0)):
        out[i] = result[i]


cdef inline always_inline whole_lanes(
    const int function, const real* z, const real* da, real* out, Py_ssize_t whole, real option, real other
) noexcept nogil:
    """`of_lanes` to all of `whole` elements; `da` is NULL but for a gradient."""
    cdef Py_ssize_t i, step = lanes(<real>0)
    cdef const real* g = NULL
    for i in range(whole // step):
        if function % 2 == 1:
            g = da + i * step
        of_lanes(function, z + i * step, g, out + i * step, option, other)


cdef void apply(
    int function, const real* z, const real* da, real* out, Py_ssize_t n, double option, double other
) noexcept nogil:
    """``out = function(z)``, or ``da * function'(z)``.

    `option` and `other` are the factor below 0 and the divisor of z, of softplus beta and the threshold.
    """
    cdef Py_ssize_t rest = n % lanes(<real>0), whole = n - rest
    cdef real one = <real>option, two = <real>other
    if function == ELU:
        whole_lanes(ELU, z, da, out, whole, one, two)
    elif function == ELU_GRADIENT:
        whole_lanes(ELU_GRADIENT, z, da, out, whole, one, two)
    elif function == SELU:
        whole_lanes(SELU, z, da, out, whole, one, two)
    elif function == SELU_GRADIENT:
        whole_lanes(SELU_GRADIENT, z, da, out, whole, one, two)
    elif function == SOFTPLUS:
        whole_lanes(SOFTPLUS, z, da, out, whole, one, two)
    elif function == SOFTPLUS_GRADIENT:
        whole_lanes(SOFTPLUS_GRADIENT, z, da, out, whole, one, two)
    elif function == MISH:
        whole_lanes(MISH, z, da, out, whole, one, two)
    else:
        whole_lanes(MISH_GRADIENT, z, da, out, whole, one, two)
    if rest > 0:
        last_lanes(
            apply[real], function, z + whole, da + whole if da != NULL else NULL, out + whole, rest, option,
            other,
        )


cdef tuple forward(Function function, str name, object Z, double option, double other):
    return activated(apply[float], apply[double], function, name, Z, option, WORK, other)


cdef object backward(Function function, str name, object dA, object cache, double option, double other):
    return activation_gradient(apply[float], apply[double], function, name, dA, cache, option, WORK, other)


cdef double positive(str function, str name, object value) except -1:
    """`value` as a finite number above 0."""
    cdef double x = real_number(function, name, value)
    if not x > 0:
        raise ValueError(f"{function}: {name} must be above 0, got {x}")
    return x


def elu(Z, alpha=1.0):
    """Exponential linear unit: ``Z`` above 0, else ``alpha (exp(Z) - 1)``.

    Parameters
    ----------
    Z : array_like
        Any shape; half and float32 keep their dtype, everything else computes in float64.
    alpha : float, optional
        Finite; rounded to the dtype of `Z`, to float32 for half.

    Returns
    -------
    A : ndarray
        Shape and dtype of `Z`; within 3 ULP. NaN stays NaN.
    cache : ndarray
        `Z` itself (converted where it had to be).

    Raises
    ------
    TypeError
        If `Z` does not hold floats of 16 to 64 bits, integers or booleans,
        or an option is no number.
    ValueError
        If an option is not finite.

    References
    ----------
    D.-A. Clevert, T. Unterthiner and S. Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear
    Units (ELUs)", 2015.

    Examples
    --------
    >>> A, cache = cnnref.elu([-1.0, 0.0, 2.0])
    >>> A
    array([-0.6321,  0.    ,  2.    ])
    """
    return forward(ELU, "elu", Z, real_number("elu", "alpha", alpha), 1)


def elu_backward(dA, cache, alpha=1.0):
    """Gradient of `elu`.

    Parameters
    ----------
    dA : array_like
        Gradient with respect to the activation, any shape.
    cache : array_like
        ``Z`` as `elu` returned it, the shape of `dA`.
    alpha : float, optional
        As `elu` was given it.

    Returns
    -------
    ndarray
        ``dZ``: `dA` above 0, else ``dA alpha exp(Z)``, at 0 too, as in PyTorch: within 3 ULP, where that is no
        subnormal number.

    Raises
    ------
    TypeError
        If an array does not hold floats of 16 to 64 bits, integers or booleans, or an option is no number.
    ValueError
        If the shapes differ, or an option is not as for `elu`.

    Examples
    --------
    >>> A, cache = cnnref.elu([-1.0, 0.0, 2.0])
    >>> cnnref.elu_backward([1, 1, 1], cache)
    array([0.3679, 1.    , 1.    ])
    """
    return backward(ELU_GRADIENT, "elu_backward", dA, cache, real_number("elu_backward", "alpha", alpha), 1)


def selu(Z):
    """Scaled ELU: 1.0507 ``Z`` above 0, else 1.7581 ``(exp(Z) - 1)``, by which layers keep mean 0 and variance 1.

    Parameters
    ----------
    Z : array_like
        Any shape; half and float32 keep their dtype, everything else computes in float64.

    Returns
    -------
    A : ndarray
        Shape and dtype of `Z`; within 3 ULP. NaN stays NaN.
    cache : ndarray
        `Z` itself (converted where it had to be).

    Raises
    ------
    TypeError
        If `Z` does not hold floats of 16 to 64 bits, integers or booleans.

    References
    ----------
    G. Klambauer, T. Unterthiner, A. Mayr and S. Hochreiter, "Self-Normalizing Neural Networks", 2017.

    Examples
    --------
    >>> A, cache = cnnref.selu([-1.0, 0.0, 2.0])
    >>> A
    array([-1.1113,  0.    ,  2.1014])
    """
    return forward(SELU, "selu", Z, SCALE_ALPHA, 1)


def selu_backward(dA, cache):
    """Gradient of `selu`.

    Parameters
    ----------
    dA : array_like
        Gradient with respect to the activation, any shape.
    cache : array_like
        ``Z`` as `selu` returned it, the shape of `dA`.

    Returns
    -------
    ndarray
        ``dZ``: 1.0507 `dA` above 0, else 1.7581 ``dA exp(Z)``, at 0 too, as in PyTorch: within 3 ULP, where that is no
        subnormal number.

    Raises
    ------
    TypeError
        If an array does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> A, cache = cnnref.selu([-1.0, 0.0, 2.0])
    >>> cnnref.selu_backward([1, 1, 1], cache)
    array([0.6468, 1.7581, 1.0507])
    """
    return backward(SELU_GRADIENT, "selu_backward", dA, cache, SCALE_ALPHA, 1)


def celu(Z, alpha=1.0):
    """Continuously differentiable ELU: ``Z`` above 0, else ``alpha (exp(Z / alpha) - 1)``.

    Parameters
    ----------
    Z : array_like
        Any shape; half and float32 keep their dtype, everything else computes in float64.
    alpha : float, optional
        Finite, above 0; rounded to the dtype of `Z`, to float32 for half.

    Returns
    -------
    A : ndarray
        Shape and dtype of `Z`; within 3 ULP, and what rounding ``Z / alpha`` makes of it. NaN stays NaN.
    cache : ndarray
        `Z` itself (converted where it had to be).

    Raises
    ------
    TypeError
        If `Z` does not hold floats of 16 to 64 bits, integers or booleans,
        or an option is no number.
    ValueError
        If an option is not finite, or one that must be above 0 is not.

    References
    ----------
    J. T. Barron, "Continuously Differentiable Exponential Linear Units", 2017.

    Examples
    --------
    >>> A, cache = cnnref.celu([-1.0, 0.0, 2.0])
    >>> A
    array([-0.6321,  0.    ,  2.    ])
    """
    cdef double a = positive("celu", "alpha", alpha)
    return forward(ELU, "celu", Z, a, a)


def celu_backward(dA, cache, alpha=1.0):
    """Gradient of `celu`.

    Parameters
    ----------
    dA : array_like
        Gradient with respect to the activation, any shape.
    cache : array_like
        ``Z`` as `celu` returned it, the shape of `dA`.
    alpha : float, optional
        As `celu` was given it.

    Returns
    -------
    ndarray
        ``dZ``: `dA` above 0, else ``dA exp(Z / alpha)``: within 3 ULP, and what rounding ``Z / alpha`` makes of it,
        where that is no subnormal number.

    Raises
    ------
    TypeError
        If an array does not hold floats of 16 to 64 bits, integers or booleans, or an option is no number.
    ValueError
        If the shapes differ, or an option is not as for `celu`.

    Examples
    --------
    >>> A, cache = cnnref.celu([-1.0, 0.0, 2.0])
    >>> cnnref.celu_backward([1, 1, 1], cache)
    array([0.3679, 1.    , 1.    ])
    """
    return backward(ELU_GRADIENT, "celu_backward", dA, cache, 1, positive("celu_backward", "alpha", alpha))


def softplus(Z, beta=1.0, threshold=20.0):
    """A smooth relu: ``log(1 + exp(beta Z)) / beta``, and `Z` itself where ``beta Z`` is above the threshold.

    Parameters
    ----------
    Z : array_like
        Any shape; half and float32 keep their dtype, everything else computes in float64.
    beta : float, optional
        Finite, above 0; rounded to the dtype of `Z`, to float32 for half.
    threshold : float, optional
        Finite; where ``beta Z`` is above it, `A` is `Z`.

    Returns
    -------
    A : ndarray
        Shape and dtype of `Z`; within 4 ULP, and what rounding ``beta Z`` makes of it. NaN stays NaN.
    cache : ndarray
        `Z` itself (converted where it had to be).

    Raises
    ------
    TypeError
        If `Z` does not hold floats of 16 to 64 bits, integers or booleans,
        or an option is no number.
    ValueError
        If an option is not finite, or one that must be above 0 is not.

    References
    ----------
    C. Dugas, Y. Bengio, F. Belisle, C. Nadeau and R. Garcia, "Incorporating Second-Order Functional Knowledge for
    Better Option Pricing", 2000.

    Examples
    --------
    >>> A, cache = cnnref.softplus([-1.0, 0.0, 2.0])
    >>> A
    array([0.3133, 0.6931, 2.1269])
    """
    cdef double b = positive("softplus", "beta", beta)
    return forward(SOFTPLUS, "softplus", Z, b, real_number("softplus", "threshold", threshold))


def softplus_backward(dA, cache, beta=1.0, threshold=20.0):
    """Gradient of `softplus`.

    Parameters
    ----------
    dA : array_like
        Gradient with respect to the activation, any shape.
    cache : array_like
        ``Z`` as `softplus` returned it, the shape of `dA`.
    beta : float, optional
        As `softplus` was given it.
    threshold : float, optional
        As `softplus` was given it.

    Returns
    -------
    ndarray
        ``dZ = dA * sigmoid(beta Z)``, and `dA` where ``beta Z`` is above the threshold: within 3 ULP, and what rounding
        ``beta Z`` makes of it.

    Raises
    ------
    TypeError
        If an array does not hold floats of 16 to 64 bits, integers or booleans, or an option is no number.
    ValueError
        If the shapes differ, or an option is not as for `softplus`.

    Examples
    --------
    >>> A, cache = cnnref.softplus([-1.0, 0.0, 2.0])
    >>> cnnref.softplus_backward([1, 1, 1], cache)
    array([0.2689, 0.5   , 0.8808])
    """
    cdef double b = positive("softplus_backward", "beta", beta)
    cdef double most = real_number("softplus_backward", "threshold", threshold)
    return backward(SOFTPLUS_GRADIENT, "softplus_backward", dA, cache, b, most)


def mish(Z):
    """A smooth gate: ``Z tanh(softplus(Z))``.

    Parameters
    ----------
    Z : array_like
        Any shape; half and float32 keep their dtype, everything else computes in float64.

    Returns
    -------
    A : ndarray
        Shape and dtype of `Z`; within 5 ULP everywhere, the subnormal results too. -0.0 at -inf, the limit
        (PyTorch: NaN); NaN stays NaN.
    cache : ndarray
        `Z` itself (converted where it had to be).

    Raises
    ------
    TypeError
        If `Z` does not hold floats of 16 to 64 bits, integers or booleans.

    References
    ----------
    D. Misra, "Mish: A Self Regularized Non-Monotonic Activation Function", 2019.

    Examples
    --------
    >>> A, cache = cnnref.mish([-1.0, 0.0, 2.0])
    >>> A
    array([-0.3034,  0.    ,  1.944 ])
    """
    return forward(MISH, "mish", Z, 0, 0)


def mish_backward(dA, cache):
    """Gradient of `mish`.

    Parameters
    ----------
    dA : array_like
        Gradient with respect to the activation, any shape.
    cache : array_like
        ``Z`` as `mish` returned it, the shape of `dA`.

    Returns
    -------
    ndarray
        ``dZ``: `dA` times the derivative, within 8 ULP of the larger of its two terms, which cancel at -1.19.

    Raises
    ------
    TypeError
        If an array does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> A, cache = cnnref.mish([-1.0, 0.0, 2.0])
    >>> cnnref.mish_backward([1, 1, 1], cache)
    array([0.0592, 0.6   , 1.0693])
    """
    return backward(MISH_GRADIENT, "mish_backward", dA, cache, 0, 0)
