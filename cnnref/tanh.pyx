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
from libc.stdint cimport uint32_t, uint64_t

from cnnref.kernels.base.isa cimport noinline, always_inline, unlikely
from cnnref.kernels.base.types cimport magnitude, multiply_add, real
from cnnref.kernels.vmath.elementwise cimport activated, activation_gradient
from cnnref.kernels.vmath.exp cimport (
    MOST_LANES,
    any_far,
    ask_ahead,
    exp_minus,
    exp_times_lanes,
    horner,
    lanes,
    last_lanes,
)
from cnnref.kernels.vmath.exp2_table cimport cnnref_bits_d, cnnref_bits_f, cnnref_float_d, cnnref_float_f

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


cdef inline always_inline near_zero(const real* z, real* p) noexcept nogil:
    """tanh(z) for z from 0 to 5/8."""
    cdef real[MOST_LANES] s
    cdef real[MOST_LANES] s2
    cdef real[MOST_LANES] even  # powers of the polynomial: one chain would wait for its own results
    cdef real[MOST_LANES] odd
    cdef int i
    for i in range(lanes(<real>0)):
        s[i] = z[i] * z[i]
    for i in range(lanes(<real>0)):
        s2[i] = s[i] * s[i]
    if real is float:
        for i in range(lanes(<real>0)):
            odd[i], even[i] = <real>0.002292744815349579, <real>-0.008343945257365704
        horner(odd, s2, <real>0.02176891826093197)
        horner(even, s2, <real>-0.053959257900714874)
        horner(odd, s2, <real>0.13333304226398468)
        horner(even, s2, <real>-0.3333333432674408)
    else:
        for i in range(lanes(<real>0)):
            even[i], odd[i] = <real>-2.438831631472088e-06, <real>1.2209921790162781e-05
        horner(even, s2, <real>-3.708106921544234e-05)
        horner(odd, s2, <real>9.604109157026265e-05)
        horner(even, s2, <real>-0.00023888944636751174)
        horner(odd, s2, <real>0.0005899818158388232)
        horner(even, s2, <real>-0.0014558283998303246)
        horner(odd, s2, <real>0.003592127507599252)
        horner(even, s2, <real>-0.008863235499801992)
        horner(odd, s2, <real>0.021869488535133222)
        horner(even, s2, <real>-0.0539682539682359)
        horner(odd, s2, <real>0.13333333333333322)
        horner(even, s2, <real>-0.3333333333333333)
    for i in range(lanes(<real>0)):
        p[i] = multiply_add(odd[i], s[i], even[i])
    for i in range(lanes(<real>0)):
        p[i] = multiply_add(z[i] * s[i], p[i], z[i])


cdef inline real quadruple(real t) noexcept nogil:
    """4 t for a normal number: by its exponent, because multiplications are scarce."""
    if real is float:
        return cnnref_float_f(cnnref_bits_f(t) + (<uint32_t>2 << 23))
    else:
        return cnnref_float_d(cnnref_bits_d(t) + (<uint64_t>2 << 52))


cdef inline always_inline slopes(real* size, real* slope, const bint far) noexcept nogil:
    """The derivative; where it may be subnormal (`far`), t is scaled until the last product."""
    cdef real[MOST_LANES] t
    cdef real most, tiny, four_tiny
    cdef int i
    if real is float:
        most, tiny, four_tiny = 55, 5.421010862427522e-20, 2.168404344971009e-19  # 2^-64
    else:
        most, tiny, four_tiny = 376, 7.458340731200207e-155, 2.983336292480083e-154  # 2^-512
    for i in range(lanes(<real>0)):
        t[i] = -(size[i] + size[i])
    if not far:
        exp_times_lanes(t, t, 0)
        for i in range(lanes(<real>0)):
            slope[i] = quadruple(t[i]) / multiply_add(t[i], t[i] + <real>2, <real>1)
        return
    for i in range(lanes(<real>0)):
        t[i] = <real>-2 * (most if size[i] > most else size[i])
    if real is float:
        exp_times_lanes(t, slope, 64)
    else:
        exp_times_lanes(t, slope, 512)
    for i in range(lanes(<real>0)):
        t[i] = slope[i] * tiny
    for i in range(lanes(<real>0)):
        slope[i] = slope[i] / multiply_add(t[i], t[i] + <real>2, <real>1) * four_tiny


cdef inline always_inline of_lanes(
    const int function, const bint far, const real* z, const real* da, real* out
) noexcept nogil:
    """`apply` to `lanes` elements; `far` as for `exp_minus`, False to find out."""
    cdef real[MOST_LANES] size
    cdef real[MOST_LANES] twice
    cdef real[MOST_LANES] t
    cdef int i
    ask_ahead(z)
    if function == GRADIENT:
        ask_ahead(da)
    for i in range(lanes(<real>0)):
        size[i] = magnitude(z[i])
    for i in range(lanes(<real>0)):
        twice[i] = size[i] + size[i]
    if not far and unlikely(any_far(twice)):
        far_lanes(function, z, da, out)
        return
    if function == GRADIENT:
        slopes(size, t, far)
        for i in range(lanes(<real>0)):
            t[i] = da[i] * t[i]
    else:
        exp_minus(twice, twice, far)
        near_zero(size, t)
        for i in range(lanes(<real>0)):
            # Not of two arrays: clang would choose between the addresses, and not vectorize the loop.
            t[i] = with_sign(t[i] if size[i] < <real>0.625 else <real>1 - <real>2 * twice[i] / (<real>1 + twice[i]), z[i])
    for i in range(lanes(<real>0)):
        out[i] = t[i]


cdef noinline far_lanes(int function, const real* z, const real* da, real* out) noexcept nogil:
    if function == TANH:
        of_lanes(TANH, True, z, da, out)
    else:
        of_lanes(GRADIENT, True, z, da, out)


cdef void apply(
    int function, const real* z, const real* da, real* out, Py_ssize_t n, double option, double other
) noexcept nogil:
    """``out = tanh(z)``, or ``da * tanh'(z)``."""
    cdef Py_ssize_t i, step = lanes(<real>0), rest = n % step, whole = n - rest
    if function == TANH:
        for i in range(n // step):
            of_lanes(TANH, False, z + i * step, <const real*>NULL, out + i * step)
    else:
        for i in range(n // step):
            of_lanes(GRADIENT, False, z + i * step, da + i * step, out + i * step)
    if rest > 0:
        last_lanes(
            apply[real], function, z + whole, da + whole if da != NULL else NULL, out + whole, rest, option,
            other,
        )


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

    Examples
    --------
    >>> A, cache = cnnref.tanh([-1.0, 0.0, 2.0])
    >>> A
    array([-0.7616,  0.    ,  0.964 ])
    """
    return activated(apply[float], apply[double], TANH, "tanh", Z, 0, EXP_WORK)


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

    Examples
    --------
    >>> A, cache = cnnref.tanh([-1.0, 0.0, 2.0])
    >>> cnnref.tanh_backward([1, 1, 1], cache)
    array([0.42  , 1.    , 0.0707])
    """
    return activation_gradient(apply[float], apply[double], GRADIENT, "tanh_backward", dA, cache, 0, EXP_WORK)
