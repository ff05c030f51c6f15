"""The linear units of ``linear_units.pyx`` and their derivatives, over the elements of an array."""

from libc.math cimport fabs, fabsf

from cnnref._tails cimport density, exp_scaled, farthest, gate_slope, gated, ratio, silu, tail_end, unscale
from cnnref._types cimport multiply_add, real

cdef enum Function:
    LEAKY
    LEAKY_GRADIENT
    SILU
    SILU_GRADIENT
    GELU
    GELU_GRADIENT
    GELU_TANH
    GELU_TANH_GRADIENT


cdef inline real size_of(real z, real most) noexcept nogil:
    """|z|, at most `most`; NaN stays NaN."""
    cdef real a
    if real is float:
        a = fabsf(z)
    else:
        a = fabs(z)
    return most if a > most else a


cdef inline real cubic_end(real like) noexcept nogil:
    """As `tail_end`, for the tanh form of gelu."""
    if real is float:
        return 12
    else:
        return 22


cdef inline real cubic_power(real a) noexcept nogil:
    """``exp_scaled(-2 y)`` for y of the tanh form at `a`; what rounding leaves out of the exponent is made good."""
    cdef real square = a * a
    cdef real lost = multiply_add(a, a, -square)
    cdef real cubic, constant, product, sum, added, exponent, power
    if real is float:
        cubic, constant = 0.07135481387376785, 1.5957691669464111
        lost = multiply_add(cubic, lost, <real>2.398832e-09 * square) - <real>4.534068e-08
    else:
        cubic, constant = 0.07135481627260025, 1.5957691216057308
        lost = multiply_add(cubic, lost, <real>-6.17515e-19 * square) - <real>9.96931e-17
    product = cubic * square
    lost = lost + multiply_add(cubic, square, -product)
    sum = product + constant
    added = sum - product
    lost = lost + ((product - (sum - added)) + (constant - added))
    exponent = a * sum
    lost = multiply_add(a, lost, multiply_add(a, sum, -exponent))
    power = exp_scaled(-exponent)
    return multiply_add(-power, lost, power)


cdef inline void apply(
    int function, const real* z, const real* da, real* out, Py_ssize_t n, double option
) noexcept nogil:
    """``out = function(z)``, or ``da * function'(z)``; `option` is the slope of the leaky ReLU."""
    cdef Py_ssize_t i
    cdef real a, power, slope = <real>option, scale = unscale(<real>0), end = tail_end(<real>0)
    cdef real far = farthest(<real>0), cubic = cubic_end(<real>0)
    if function == LEAKY:
        for i in range(n):
            out[i] = z[i] if z[i] > 0 else slope * z[i]
    elif function == LEAKY_GRADIENT:
        for i in range(n):
            out[i] = da[i] if z[i] > 0 else slope * da[i]
    elif function == SILU:
        for i in range(n):
            out[i] = silu(z[i])
    elif function == SILU_GRADIENT:
        for i in range(n):
            a = size_of(z[i], far)
            out[i] = da[i] * gate_slope(z[i], a, exp_scaled(-a), scale)
    elif function == GELU:
        for i in range(n):
            a = size_of(z[i], end)
            a = (a * (density(a) * ratio(a))) * scale
            out[i] = -a if z[i] < 0 else z[i] - a
    elif function == GELU_GRADIENT:
        for i in range(n):
            a = size_of(z[i], end)
            a = (density(a) * multiply_add(-a, <real>0.3989422804014327, ratio(a))) * scale
            out[i] = da[i] * (a if z[i] < 0 else <real>1 - a)
    elif function == GELU_TANH:
        for i in range(n):
            a = size_of(z[i], cubic)
            out[i] = gated(z[i], a, cubic_power(a), scale)
    else:
        for i in range(n):
            a = size_of(z[i], cubic)
            power = cubic_power(a)
            # a dw/dz with w = 2 y
            a = a * multiply_add(a * a, <real>0.21406444881780073, <real>1.5957691216057308)
            out[i] = da[i] * gate_slope(z[i], a, power, scale)
