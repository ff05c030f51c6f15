"""The linear units of ``linear_units.pyx`` and their derivatives, over the elements of an array."""

from libc.math cimport fabs, fabsf

from cnnref.kernels.base.isa cimport always_inline
from cnnref.kernels.base.types cimport multiply_add, real
from cnnref.kernels.vmath.exp cimport MOST_LANES, ask_ahead, lanes, last_lanes
from cnnref.kernels.vmath.gates cimport (
    densities,
    exp_scaled,
    farthest,
    gate_slope,
    gated,
    ratios,
    silus,
    tail_end,
    unscale,
)

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


cdef inline real cubic_exponent(real a, real* lost) noexcept nogil:
    """-2 y for y of the tanh form at `a`; `lost` is what rounding leaves out of it."""
    cdef real square = a * a
    cdef real left = multiply_add(a, a, -square)
    cdef real cubic, constant, product, sum, added, exponent
    if real is float:
        cubic, constant = 0.07135481387376785, 1.5957691669464111
        left = multiply_add(cubic, left, <real>2.398832e-09 * square) - <real>4.534068e-08
    else:
        cubic, constant = 0.07135481627260025, 1.5957691216057308
        left = multiply_add(cubic, left, <real>-6.17515e-19 * square) - <real>9.96931e-17
    product = cubic * square
    left = left + multiply_add(cubic, square, -product)
    sum = product + constant
    added = sum - product
    left = left + ((product - (sum - added)) + (constant - added))
    exponent = a * sum
    lost[0] = multiply_add(a, left, multiply_add(a, sum, -exponent))
    return -exponent


cdef inline always_inline cubic_powers(const real* a, real* power) noexcept nogil:
    """`exp_scaled` of `cubic_exponent`; what rounding leaves out of the exponent is made good."""
    cdef real[MOST_LANES] exponent
    cdef real[MOST_LANES] lost
    cdef int i
    for i in range(lanes(<real>0)):
        exponent[i] = cubic_exponent(a[i], &lost[i])
    exp_scaled(exponent, power)
    for i in range(lanes(<real>0)):
        power[i] = multiply_add(-power[i], lost[i], power[i])


cdef inline always_inline of_lanes(const int function, const real* z, const real* da, real* out) noexcept nogil:
    """`apply` to `lanes` elements of a function that takes exp."""
    cdef real[MOST_LANES] a
    cdef real[MOST_LANES] power
    cdef real[MOST_LANES] result
    cdef real scale = unscale(<real>0), most
    cdef int i
    ask_ahead(z)
    if function == SILU:
        silus(z, result)
    else:
        if function == SILU_GRADIENT:
            most = farthest(<real>0)
        elif function == GELU or function == GELU_GRADIENT:
            most = tail_end(<real>0)
        else:
            most = cubic_end(<real>0)
        for i in range(lanes(<real>0)):
            a[i] = size_of(z[i], most)
    if function == SILU_GRADIENT:
        for i in range(lanes(<real>0)):
            result[i] = -a[i]
        exp_scaled(result, power)
        for i in range(lanes(<real>0)):
            result[i] = gate_slope(z[i], a[i], power[i], scale)
    elif function == GELU:
        densities(a, power)
        ratios(a, result)
        for i in range(lanes(<real>0)):
            result[i] = (a[i] * (power[i] * result[i])) * scale
        for i in range(lanes(<real>0)):
            result[i] = -result[i] if z[i] < 0 else z[i] - result[i]
    elif function == GELU_GRADIENT:
        densities(a, power)
        ratios(a, result)
        for i in range(lanes(<real>0)):
            result[i] = (power[i] * multiply_add(-a[i], <real>0.3989422804014327, result[i])) * scale
        for i in range(lanes(<real>0)):
            result[i] = result[i] if z[i] < 0 else <real>1 - result[i]
    elif function == GELU_TANH:
        cubic_powers(a, power)
        for i in range(lanes(<real>0)):
            result[i] = gated(z[i], a[i], power[i], scale)
    elif function == GELU_TANH_GRADIENT:
        cubic_powers(a, power)
        for i in range(lanes(<real>0)):
            # a dw/dz with w = 2 y
            a[i] = a[i] * multiply_add(a[i] * a[i], <real>0.21406444881780073, <real>1.5957691216057308)
        for i in range(lanes(<real>0)):
            result[i] = gate_slope(z[i], a[i], power[i], scale)
    if function == SILU_GRADIENT or function == GELU_GRADIENT or function == GELU_TANH_GRADIENT:
        ask_ahead(da)
        for i in range(lanes(<real>0)):
            result[i] = da[i] * result[i]
    for i in range(lanes(<real>0)):
        out[i] = result[i]


cdef inline void apply(
    int function, const real* z, const real* da, real* out, Py_ssize_t n, double option, double other
) noexcept nogil:
    """``out = function(z)``, or ``da * function'(z)``; `option` is the slope of the leaky ReLU."""
    cdef Py_ssize_t i, step = lanes(<real>0), rest = n % step, whole = n - rest
    cdef real slope = <real>option
    if function == LEAKY:
        for i in range(n):
            out[i] = z[i] if z[i] > 0 else slope * z[i]
        return
    if function == LEAKY_GRADIENT:
        for i in range(n):
            out[i] = da[i] if z[i] > 0 else slope * da[i]
        return
    if function == SILU:
        for i in range(n // step):
            of_lanes(SILU, z + i * step, <const real*>NULL, out + i * step)
    elif function == SILU_GRADIENT:
        for i in range(n // step):
            of_lanes(SILU_GRADIENT, z + i * step, da + i * step, out + i * step)
    elif function == GELU:
        for i in range(n // step):
            of_lanes(GELU, z + i * step, <const real*>NULL, out + i * step)
    elif function == GELU_GRADIENT:
        for i in range(n // step):
            of_lanes(GELU_GRADIENT, z + i * step, da + i * step, out + i * step)
    elif function == GELU_TANH:
        for i in range(n // step):
            of_lanes(GELU_TANH, z + i * step, <const real*>NULL, out + i * step)
    else:
        for i in range(n // step):
            of_lanes(GELU_TANH_GRADIENT, z + i * step, da + i * step, out + i * step)
    if rest > 0:
        last_lanes(
            apply[real], function, z + whole, da + whole if da != NULL else NULL, out + whole, rest, option,
            other,
        )
