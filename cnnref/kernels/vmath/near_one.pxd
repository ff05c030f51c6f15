"""``e^x - 1`` and ``log(1 + t)`` for several vectors at a time, to all digits of the result.

Down to -0.7, where the difference would cancel, ``e^x - 1`` is ``x + x^2 P(x)``; below it is the difference. ``log(1 + t)``
is ``2 atanh(s)`` with ``s = t / (2 + t)``, and ``atanh(s) = s (1 + s^2 Q(s^2))``. The coefficients of P and Q interpolate
at Chebyshev points in 60 digits, rounded to the dtype; they leave a relative error of 2^-29 (float32) and 2^-58
(float64).
"""

from cnnref.kernels.base.isa cimport always_inline
from cnnref.kernels.base.types cimport multiply_add, real
from cnnref.kernels.vmath.exp cimport MOST_LANES, horner, lanes


cdef inline always_inline expm1_of(const real* x, const real* power, real* out) noexcept nogil:
    """``e^x - 1`` for ``x <= 0`` or NaN, from ``power = e^x``."""
    cdef real[MOST_LANES] x2
    cdef real[MOST_LANES] even  # powers of the polynomial: one chain would wait for its own results
    cdef real[MOST_LANES] odd
    cdef int i
    for i in range(lanes(<real>0)):
        x2[i] = x[i] * x[i]
    if real is float:
        for i in range(lanes(<real>0)):
            even[i], odd[i] = <real>0.0013549320865422487, <real>0.00015318508667405695
        horner(even, x2, <real>0.04166471213102341)
        horner(odd, x2, <real>0.00832128245383501)
        horner(even, x2, <real>0.5)
        horner(odd, x2, <real>0.16666655242443085)
    else:
        for i in range(lanes(<real>0)):
            even[i], odd[i] = <real>2.0156160856028827e-09, <real>1.1923560065494373e-10
        horner(even, x2, <real>2.755243701161858e-07)
        horner(odd, x2, <real>2.497802879925946e-08)
        horner(even, x2, <real>2.4801581042929203e-05)
        horner(odd, x2, <real>2.755710553710179e-06)
        horner(even, x2, <real>0.0013888888887406271)
        horner(odd, x2, <real>0.0001984126972036406)
        horner(even, x2, <real>0.04166666666666626)
        horner(odd, x2, <real>0.008333333333322597)
        horner(even, x2, <real>0.5)
        horner(odd, x2, <real>0.16666666666666666)
    for i in range(lanes(<real>0)):
        even[i] = multiply_add(odd[i], x[i], even[i])
    for i in range(lanes(<real>0)):
        even[i] = multiply_add(x2[i], even[i], x[i])
    for i in range(lanes(<real>0)):
        out[i] = even[i] if x[i] > <real>-0.7 else power[i] - 1


cdef inline always_inline log1p_of(const real* t, real* out) noexcept nogil:
    """``log(1 + t)`` for t from 0 to 1 or NaN; a subnormal t is returned as it is."""
    cdef real[MOST_LANES] inverse
    cdef real[MOST_LANES] s2
    cdef real[MOST_LANES] series
    cdef int i
    for i in range(lanes(<real>0)):
        inverse[i] = <real>2 / (t[i] + 2)
    for i in range(lanes(<real>0)):
        s2[i] = <real>0.5 * t[i] * inverse[i]
    for i in range(lanes(<real>0)):
        s2[i] = s2[i] * s2[i]
    if real is float:
        for i in range(lanes(<real>0)):
            series[i] = <real>0.11612191051244736
        horner(series, s2, <real>0.10853282362222672)
        horner(series, s2, <real>0.1429618000984192)
        horner(series, s2, <real>0.19999852776527405)
        horner(series, s2, <real>0.3333333432674408)
    else:
        for i in range(lanes(<real>0)):
            series[i] = <real>0.07815331959878925
        horner(series, s2, <real>0.03746049204461766)
        horner(series, s2, <real>0.054225942655231285)
        horner(series, s2, <real>0.058671389060699713)
        horner(series, s2, <real>0.06667589362067718)
        horner(series, s2, <real>0.07692271980310991)
        horner(series, s2, <real>0.09090909949040075)
        horner(series, s2, <real>0.11111111099117456)
        horner(series, s2, <real>0.14285714285800058)
        horner(series, s2, <real>0.19999999999999762)
        horner(series, s2, <real>0.3333333333333333)
    horner(series, s2, <real>1)
    for i in range(lanes(<real>0)):
        out[i] = t[i] * (inverse[i] * series[i])
