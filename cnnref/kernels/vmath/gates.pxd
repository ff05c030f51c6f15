"""exp, the logistic function and the normal distribution far below zero, without a loss to underflow.

A product such as ``z exp(z)`` is an ordinary number where its factor ``exp(z)`` is subnormal and has lost its digits.
``exp_scaled`` keeps the factor normal; whoever multiplies with it unscales the product, as the last operation.

The tail of the normal distribution is ``exp(-a^2/2) R(a)``, where the rounding error of ``a^2/2`` is kept and
``R(a) (a + K)`` is a polynomial in ``1 - 2K / (a + K)``. Its coefficients interpolate ``exp(a^2/2) erfc(a / sqrt 2) / 2
(a + K)`` at Chebyshev points in 60 digits, rounded to the dtype; they leave a relative error of 2^-31 (float32, K = 4,
a <= 16) and 2^-60 (float64, K = 5, a <= 40). The substitution is that of Shepherd & Laframboise 1981, "Chebyshev
approximation of (1 + 2x) exp(x^2) erfc x".
"""

from cnnref.kernels.base.isa cimport always_inline
from cnnref.kernels.base.types cimport multiply_add, real
from cnnref.kernels.vmath.exp cimport MOST_LANES, exp_times_lanes, horner, lanes


cdef inline always_inline exp_scaled(const real* x, real* out) noexcept nogil:
    """``e^x 2^96`` (float32, x from -150 to 0) or ``e^x 2^512`` (float64, x from -1000 to 0), never subnormal."""
    if real is float:
        exp_times_lanes(x, out, 96)
    else:
        exp_times_lanes(x, out, 512)


cdef inline real unscale(real like) noexcept nogil:
    """What undoes the scale of `exp_scaled`."""
    if real is float:
        return 1.262177448353619e-29  # 2^-96
    else:
        return 7.458340731200207e-155  # 2^-512


cdef inline real farthest(real like) noexcept nogil:
    """Down to minus this, `exp_scaled` is right and beyond it nothing is left of ``z exp(z)``, unscaled."""
    if real is float:
        return 150
    else:
        return 1000


cdef inline real tail_end(real like) noexcept nogil:
    """Beyond this many deviations nothing is left of the tail, times the deviations."""
    if real is float:
        return 16
    else:
        return 40


cdef inline always_inline densities(const real* a, real* p) noexcept nogil:
    """``exp(-a^2/2)``, scaled as by `exp_scaled`, for `a` from 0 to `tail_end`."""
    cdef real[MOST_LANES] exponent
    cdef int i
    for i in range(lanes(<real>0)):
        exponent[i] = -(<real>0.5 * a[i] * a[i])
    exp_scaled(exponent, p)
    for i in range(lanes(<real>0)):
        p[i] = multiply_add(-p[i], multiply_add(<real>0.5 * a[i], a[i], exponent[i]), p[i])


cdef inline always_inline ratios(const real* a, real* p) noexcept nogil:
    """The tail beyond `a` deviations divided by ``exp(-a^2/2)``, for `a` from 0 to `tail_end`."""
    cdef real[MOST_LANES] inverse
    cdef real[MOST_LANES] lost
    cdef real[MOST_LANES] t
    cdef real[MOST_LANES] t2
    cdef real[MOST_LANES] even  # powers of the polynomial: one chain would wait for its own results
    cdef real[MOST_LANES] odd
    cdef real constant, sum
    cdef int i
    if real is float:
        constant = 4
    else:
        constant = 5
    for i in range(lanes(<real>0)):
        inverse[i] = <real>1 / (a[i] + constant)
    # What the sum and the quotient lose, relatively.
    for i in range(lanes(<real>0)):
        sum = a[i] + constant
        lost[i] = multiply_add(-inverse[i], sum, <real>1) - inverse[i] * (a[i] - (sum - constant))
    for i in range(lanes(<real>0)):
        t[i] = multiply_add(<real>-2 * constant, inverse[i], <real>1)
    for i in range(lanes(<real>0)):
        t[i] = multiply_add(<real>-2 * constant * inverse[i], lost[i], t[i])
    for i in range(lanes(<real>0)):
        t2[i] = t[i] * t[i]
    if real is float:
        for i in range(lanes(<real>0)):
            odd[i], even[i] = <real>1.5655059542041272e-05, <real>-1.3792911886412185e-05
        horner(odd, t2, <real>-0.00021723620011471212)
        horner(even, t2, <real>0.00014510292385239154)
        horner(odd, t2, <real>0.0016270691994577646)
        horner(even, t2, <real>-0.0034837762359529734)
        horner(odd, t2, <real>-0.007539769634604454)
        horner(even, t2, <real>0.06039716675877571)
        horner(odd, t2, <real>-0.18652187287807465)
        horner(even, t2, <real>0.38713738322257996)
        horner(odd, t2, <real>-0.607896625995636)
        horner(even, t2, <real>0.7552851438522339)
    else:
        for i in range(lanes(<real>0)):
            even[i], odd[i] = <real>-1.9750205117389054e-11, <real>-4.215048810150002e-10
        horner(even, t2, <real>-1.1003514880321343e-09)
        horner(odd, t2, <real>2.380938735908965e-09)
        horner(even, t2, <real>1.0732670653455705e-08)
        horner(odd, t2, <real>-8.83395147619223e-09)
        horner(even, t2, <real>-7.012796329386927e-08)
        horner(odd, t2, <real>4.0453499469914684e-08)
        horner(even, t2, <real>4.3632213903968043e-07)
        horner(odd, t2, <real>-3.347456433999717e-07)
        horner(even, t2, <real>-2.7707520210893634e-06)
        horner(odd, t2, <real>3.979875146352331e-06)
        horner(even, t2, <real>1.6681654735816092e-05)
        horner(odd, t2, <real>-4.976247516686963e-05)
        horner(even, t2, <real>-5.9375811494585084e-05)
        horner(odd, t2, <real>0.0005448989960971598)
        horner(even, t2, <real>-0.0007978693886321235)
        horner(odd, t2, <real>-0.0029933767622323353)
        horner(even, t2, <real>0.020795066799200485)
        horner(odd, t2, <real>-0.06911863870685579)
        horner(even, t2, <real>0.16502036617040983)
        horner(odd, t2, <real>-0.3135331566712881)
        horner(even, t2, <real>0.495305615969976)
        horner(odd, t2, <real>-0.6653825028900568)
        horner(even, t2, <real>0.769193049750063)
    for i in range(lanes(<real>0)):
        p[i] = multiply_add(odd[i], t[i], even[i])
    for i in range(lanes(<real>0)):
        p[i] = p[i] * inverse[i]
    for i in range(lanes(<real>0)):
        p[i] = multiply_add(p[i], lost[i], p[i])


cdef inline real gated(real z, real size, real power, real scale) noexcept nogil:
    """``z sigmoid(w)`` from ``size = |z|`` (cut off where nothing is left) and ``power = exp_scaled(-|w|)``.

    `w` has the sign of `z`; `scale` is `unscale`.
    """
    cdef real quotient = (-(size * power) if z < 0 else z) / (<real>1 + power * scale)
    return quotient * scale if z < 0 else quotient


cdef inline always_inline silus(const real* z, real* out) noexcept nogil:
    """``z sigmoid(z)`` as ``z 2^-n / (2^-n + e^-z 2^-n)``, whose divisor neither overflows nor loses its digits."""
    cdef real[MOST_LANES] bounded
    cdef real[MOST_LANES] power
    cdef real least, most, tiny
    cdef int i
    if real is float:
        # Above `most` the sigmoid is 1, below `least` nothing is left of the result.
        most, least, tiny = 42, -110, 5.421010862427522e-20  # 2^-64
    else:
        most, least, tiny = 40, -752, 7.458340731200207e-155  # 2^-512
    for i in range(lanes(<real>0)):
        bounded[i] = least if z[i] < least else z[i]
    for i in range(lanes(<real>0)):
        bounded[i] = most if z[i] > most else bounded[i]
    for i in range(lanes(<real>0)):
        power[i] = -bounded[i]
    if real is float:
        exp_times_lanes(power, power, -64)
    else:
        exp_times_lanes(power, power, -512)
    for i in range(lanes(<real>0)):
        power[i] = bounded[i] / (power[i] + tiny) * tiny
    for i in range(lanes(<real>0)):
        out[i] = z[i] if z[i] > most else power[i]


cdef inline real gate_slope(real z, real rise, real power, real scale) noexcept nogil:
    """Derivative of ``z sigmoid(w)``, from ``rise = |z| dw/dz``, and `power` and `scale` as for `gated`."""
    cdef real t = power * scale
    cdef real above = multiply_add(rise, t, <real>1 + t)
    cdef real below = power * ((<real>1 - rise) + t)
    cdef real slope = (below if z < 0 else above) / multiply_add(t, t + <real>2, <real>1)
    return slope * scale if z < 0 else slope
