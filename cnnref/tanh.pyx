"""Hyperbolic tangent, element by element, on arrays of any shape.

    tanh(z) = (1 - t) / (1 + t) for z > 0, t = exp(-2 |z|), odd        tanh'(z) = 4 t / (1 + t (2 + t))

Below |z| = 5/8, where ``1 - t`` would cancel, it is ``z + z^3 P(z^2)``: the coefficients of P interpolate
``(tanh(z) / z - 1) / z^2`` at Chebyshev points in 60 digits, rounded to the dtype, and leave a relative error of 2^-30
(float32) and 2^-63 (float64). The derivative keeps its relative accuracy towards 0, which ``1 - tanh^2`` does not. NaN
gives NaN; the limits at infinity are 1, -1 and derivative 0.

Source: Abramowitz & Stegun, section 4.5.
"""

cimport numpy as cnp
from libc.math cimport copysign, copysignf
from numpy cimport ndarray

from cnnref._check_elements cimport check_activation, check_activation_backward
from cnnref._elementary cimport exp_nonpositive
from cnnref._pointwise cimport run
from cnnref._tails cimport exp_times
from cnnref._types cimport magnitude, multiply_add, real

cnp.import_array()

cdef enum Function:
    TANH
    GRADIENT

cdef double EXP_WORK = 10  # operations for each element, as `team_size` counts them


cdef inline real with_sign(real size, real z) noexcept nogil:
    if real is float:
        return copysignf(size, z)
    else:
        return copysign(size, z)


cdef inline real near_zero(real z) noexcept nogil:
    """tanh(z) for z from 0 to 5/8."""
    cdef real s = z * z
    cdef real p
    if real is float:
        p = <real>0.002292744815349579
        p = multiply_add(p, s, <real>-0.008343945257365704)
        p = multiply_add(p, s, <real>0.02176891826093197)
        p = multiply_add(p, s, <real>-0.053959257900714874)
        p = multiply_add(p, s, <real>0.13333304226398468)
        p = multiply_add(p, s, <real>-0.3333333432674408)
    else:
        p = <real>-2.438831631472088e-06
        p = multiply_add(p, s, <real>1.2209921790162781e-05)
        p = multiply_add(p, s, <real>-3.708106921544234e-05)
        p = multiply_add(p, s, <real>9.604109157026265e-05)
        p = multiply_add(p, s, <real>-0.00023888944636751174)
        p = multiply_add(p, s, <real>0.0005899818158388232)
        p = multiply_add(p, s, <real>-0.0014558283998303246)
        p = multiply_add(p, s, <real>0.003592127507599252)
        p = multiply_add(p, s, <real>-0.008863235499801992)
        p = multiply_add(p, s, <real>0.021869488535133222)
        p = multiply_add(p, s, <real>-0.0539682539682359)
        p = multiply_add(p, s, <real>0.13333333333333322)
        p = multiply_add(p, s, <real>-0.3333333333333333)
    return multiply_add(z * s, p, z)


cdef inline real slope(real a) noexcept nogil:
    """The derivative at `a` from 0 on: t is scaled until the last product, so that it is never subnormal."""
    cdef real most, scaled, t, tiny, four_tiny
    cdef int n
    if real is float:
        most, n, tiny, four_tiny = 55, 64, 5.421010862427522e-20, 2.168404344971009e-19
    else:
        most, n, tiny, four_tiny = 376, 512, 7.458340731200207e-155, 2.983336292480083e-154
    a = most if a > most else a
    scaled = exp_times(-(a + a), n)
    t = scaled * tiny
    return scaled / multiply_add(t, t + <real>2, <real>1) * four_tiny


cdef void apply(
    int function, const real* z, const real* da, real* out, Py_ssize_t n, double option
) noexcept nogil:
    """``out = tanh(z)``, or ``da * tanh'(z)``."""
    cdef Py_ssize_t i
    cdef real a, t, s
    if function == TANH:
        for i in range(n):
            a = magnitude(z[i])
            t = exp_nonpositive(<real>-2 * a)
            s = <real>1 - <real>2 * t / (<real>1 + t)
            out[i] = with_sign(near_zero(a) if a < <real>0.625 else s, z[i])
    else:
        for i in range(n):
            out[i] = da[i] * slope(magnitude(z[i]))


def tanh(Z):
    """Hyperbolic tangent.

    Parameters
    ----------
    Z : array_like
        Any shape; half and float32 keep their dtype, everything else computes in float64.

    Returns
    -------
    A : ndarray
        Shape and dtype of `Z`; within 2 ULP. Subnormal arguments and -0.0 are returned as they are.
    cache : ndarray
        `Z` itself (converted where it had to be).

    Raises
    ------
    TypeError
        If `Z` does not hold floats of 16 to 64 bits, integers or booleans.

    References
    ----------
    M. Abramowitz and I. Stegun, "Handbook of Mathematical Functions", section 4.5.
    """
    cdef ndarray z = check_activation("tanh", Z)
    return run(apply[float], apply[double], TANH, z, None, 0, EXP_WORK), z


def tanh_backward(dA, cache):
    """Gradient of `tanh`.

    Parameters
    ----------
    dA : array_like
        Gradient with respect to the activation, any shape.
    cache : array_like
        ``Z`` as `tanh` returned it, the shape of `dA`.

    Returns
    -------
    ndarray
        ``dZ = dA * (1 - tanh(Z)^2)``, without its cancellation: within 4 ULP.

    Raises
    ------
    TypeError
        If an argument does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If the shapes differ.
    """
    cdef ndarray da, z
    da, z = check_activation_backward("tanh_backward", dA, cache)
    return run(apply[float], apply[double], GRADIENT, z, da, 0, EXP_WORK)
