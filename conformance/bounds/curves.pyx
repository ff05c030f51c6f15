"""The bounds of functions of one element, each in one pass; `functions` and `units` derive them.

Everything is float64, each operation rounded on its own, in the order in which the formulas are written. exp,
tanh, cosh and erfc are those of NumPy and torch: their values come in as arrays.
"""

cimport cython
cimport numpy as cnp
from libc.math cimport INFINITY, fabs, fmax, sqrt
from numpy cimport ndarray

import numpy as np

from conformance.bounds.rows cimport Form, constants
from conformance.bounds.elements cimport Numbers, data, like, number, numbers, plain, readable

cnp.import_array()

cdef double ROOT = sqrt(2 / np.pi)


cdef ndarray beside(object x, ndarray first):
    """`x` as it is read, of the shape of the first array."""
    cdef ndarray found = readable(x)
    if not cnp.PyArray_SAMESHAPE(found, first):
        raise ValueError(f"shapes are {(<object> first).shape} and {(<object> found).shape}, expected the same")
    return found


cdef inline double farthest(Form f) noexcept:
    """The exponent that `falling` may stop at: what exp is below takes part in no limit, which is w at least.

    Factors beside it are numbers of the dtype, three at most: below 1e116 for float32, whose w is 1e-45. That of
    float64 is exp's own last number, so there it may not stop. Subnormal numbers take exp thirty times as long.
    """
    return 700 if f.w > 1e-100 else INFINITY


cdef ndarray falling(object x, double most=INFINITY):
    """``exp(-min(|x|, most))``."""
    cdef ndarray of = readable(x), e = like(of)
    cdef Numbers Z = numbers(of)
    cdef double* out = data(e)
    cdef double z
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_SIZE(of)):
        z = fabs(number(Z, i))
        out[i] = -(most if z > most else z)
    return np.exp(e, e)


cdef ndarray smaller(object x, double most):
    """``min(|x|, most)``; NaN stays."""
    cdef ndarray of = readable(x), found = like(of)
    cdef Numbers Z = numbers(of)
    cdef double* out = data(found)
    cdef double z
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_SIZE(of)):
        z = fabs(number(Z, i))
        out[i] = most if z > most else z
    return found


cdef inline double rising(double z, double e) noexcept nogil:
    """``1 / (1 + exp(-z))`` from ``exp(-|z|)``."""
    return (e if z < 0 else 1.0) / (e + 1)


def logistic(object Z):
    """``1 / (1 + exp(-Z))`` in float64 without overflow, as an ingredient of the bounds."""
    cdef ndarray of = readable(Z), out = falling(of)
    cdef Numbers z = numbers(of)
    cdef double* e = data(out)
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_SIZE(of)):
        e[i] = rising(number(z, i), e[i])
    return out


def scaled(object expected, double first, double second, double w):
    """``first |y| second + w``."""
    cdef ndarray of = plain(expected), out = like(of)
    cdef double* y = data(of)
    cdef double* made = data(out)
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_SIZE(of)):
        made[i] = first * fabs(y[i]) * second + w
    return out


def sigmoid(object form, object Z):
    """See `functions.sigmoid`."""
    cdef Form f = constants(form)
    cdef ndarray of = readable(Z), out = falling(of, farthest(f))
    cdef Numbers z = numbers(of)
    cdef double* e = data(out)
    cdef double y, relative
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_SIZE(of)):
        y = rising(number(z, i), e[i])
        relative = (1 - y) * f.E + 2 * f.u
        e[i] = y * relative * (1 + 10 * f.u) + f.w
    return out


def sigmoid_backward(object form, object Z, object dA, bint relative):
    """See `functions.sigmoid_backward`."""
    cdef Form f = constants(form)
    cdef ndarray of = readable(Z), out = falling(of, farthest(f)), up = beside(dA, of)
    cdef Numbers z = numbers(of), G = numbers(up)
    cdef double* falls = data(out)
    cdef double y, g, e, first
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_SIZE(of)):
        y, g = rising(number(z, i), falls[i]), fabs(number(G, i))
        e = (1 - y) * f.E + 2 * f.u
        if relative:
            first = y * rising(-number(z, i), falls[i]) * (f.E + 6 * f.u)
        else:
            first = y * (1 - y) * (e + 3 * f.u) + y * y * e
        falls[i] = g * first * (1 + 14 * f.u) + (g + 2) * f.w
    return out


cdef inline double off(double t, Form f) noexcept nogil:
    """The relative error of a tanh that is `t` in size."""
    return (1 + t) * f.E + 2 * f.u


def tanh(object form, object Z):
    """See `units.tanh`."""
    cdef Form f = constants(form)
    cdef ndarray of = plain(Z), out = np.tanh(of)
    cdef double* y = data(out)
    cdef double t
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_SIZE(of)):
        t = fabs(y[i])
        y[i] = t * off(t, f) * (1 + 20 * f.u) + f.w
    return out


def tanh_backward(object form, object Z, object dA, bint relative):
    """See `units.tanh_backward`."""
    cdef ndarray of = plain(Z), out = np.tanh(of), wide = smaller(of, 700), up = beside(dA, of)
    np.cosh(wide, wide)
    cdef Numbers G = numbers(up)
    cdef Form f = constants(form)
    cdef double* made = data(out)
    cdef double* cosh = data(wide)
    cdef double g, y, slope, first
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_SIZE(of)):
        g, y = fabs(number(G, i)), fabs(made[i])
        slope = 1 / (cosh[i] * cosh[i])
        first = (2 * f.E + 6 * f.u) * slope
        if not relative:
            first += y * y * (2 * off(y, f) + f.u)
        made[i] = g * first * (1 + 40 * f.u) + (4 * g + 2) * f.w
    return out


def silu(object form, object Z):
    """See `units.silu`."""
    cdef Form f = constants(form)
    cdef ndarray of = readable(Z), out = falling(of, farthest(f))
    cdef Numbers x = numbers(of)
    cdef double* e = data(out)
    cdef double z, s, y
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_SIZE(of)):
        z, s = fabs(number(x, i)), rising(number(x, i), e[i])
        y = (0 if z == INFINITY else z) * s
        e[i] = y * ((1 - s) * f.E + 3 * f.u) * (1 + 10 * f.u) + ((z if z < INFINITY else 0) + 1) * f.w
    return out


def silu_backward(object form, object Z, object dA):
    """See `units.silu_backward`."""
    cdef Form f = constants(form)
    cdef ndarray of = readable(Z), out = falling(of, farthest(f)), up = beside(dA, of)
    cdef Numbers x = numbers(of), G = numbers(up)
    cdef double* falls = data(out)
    cdef double z, g, s, rest, e, first
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_SIZE(of)):
        z, g = fabs(number(x, i)), fabs(number(G, i))
        s, rest = rising(number(x, i), falls[i]), rising(-number(x, i), falls[i])
        e = rest * f.E + 2 * f.u
        first = g * (s * e * (1 + z * rest) + s * z * (s * e + f.u) + 4 * f.u * (s + z * s * rest))
        falls[i] = first * (1 + 20 * f.u) + (g * (1 + z) + z + 3) * f.w
    return out


cdef inline double inner(double z) noexcept nogil:
    """What the approximate gelu takes tanh of."""
    return ROOT * (z + 0.044715 * (z * z) * z)


@cython.final
@cython.internal
cdef class Curve:
    """Of each element ``erf(z / sqrt 2)`` or ``tanh(y)``, and ``exp(-z^2 / 2)`` or ``1 - tanh(y)^2``.

    `factor` is what z is multiplied by, to all of its digits below 0: half of erfc, or the sigmoid of 2 y.
    """

    cdef ndarray value, slope, factor
    cdef bint approximate

    def __cinit__(self, ndarray Z, object erfc, double most):
        """`erfc` is None for the form with tanh; `most` as for `falling`."""
        cdef double* z = data(Z)
        cdef double* to
        cdef double* also
        cdef double far
        cdef Py_ssize_t i, size = cnp.PyArray_SIZE(Z)
        self.approximate = erfc is None
        self.value, self.slope = like(Z), like(Z)
        to, also = data(self.value), data(self.slope)
        for i in range(size):
            to[i] = inner(z[i]) if self.approximate else -z[i] * sqrt(0.5)
            far = fabs(z[i]) * fabs(z[i]) / 2
            also[i] = -(most if far > most else far)
        if not self.approximate:
            self.factor = plain(erfc(self.value))
            also = data(self.factor)
            for i in range(size):
                to[i] = also[i] - 1
                also[i] = also[i] / 2
            np.exp(self.slope, self.slope)
            return
        self.factor = logistic(2 * (<object> self.value))
        self.slope = smaller(self.value, 350)
        np.tanh(self.value, self.value)
        np.cosh(self.slope, self.slope)
        also = data(self.slope)
        for i in range(size):
            also[i] = 1 / (also[i] * also[i])

    cdef inline double error(self, double x, Py_ssize_t i, Form f) noexcept:
        """How far the value may be off, whichever function it is computed with."""
        cdef double value = data(self.value)[i], slope = data(self.slope)[i], size = fabs(value)
        if self.approximate:
            return fmax(size * off(size, f), f.E * slope / 2) + 6 * f.u * fabs(inner(x)) * slope
        return f.E * fmax(2 * size, 1 + value) + 2 * f.u * fabs(x) * ROOT * slope


cdef inline double below(double x, double s, Form f, bint approximate) noexcept nogil:
    """The relative error of the factor `s` of x below 0, from erfc or from the sigmoid, beside two roundings."""
    if approximate:
        return (1 - s) * (f.E + 14 * f.u * fabs(inner(x))) + 2 * f.u
    return f.E + 2 * f.u * (1 + x * x) + f.u


def gelu(object form, object Z, object erfc, bint relative):
    """See `units.gelu`; `erfc` is 1 less the error function, None for the form with tanh."""
    cdef Form f = constants(form)
    cdef ndarray of = plain(Z), out = like(of)
    cdef Curve curve = Curve(of, erfc, farthest(f))
    cdef double* made = data(out)
    cdef double x, z, value, first, result
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_SIZE(of)):
        x, value = data(of)[i], data(curve.value)[i]
        z = fabs(x)
        if relative and x < 0:
            result = 0 if z == INFINITY else z * data(curve.factor)[i]
            first = result * below(0 if z == INFINITY else x, data(curve.factor)[i], f, curve.approximate)
        else:
            first = z * (curve.error(x, i, f) / 2 + f.u * (1 + value))
            result = 0.5 * z * (1 + value)
        made[i] = (first + 2 * f.u * result) * (1 + 20 * f.u) + (z + 2) * f.w
    return out


def gelu_backward(object form, object Z, object dA, object erfc, bint relative):
    """See `units.gelu_backward`."""
    cdef Form f = constants(form)
    cdef ndarray of = plain(Z), out = like(of), up = beside(dA, of)
    cdef Curve curve = Curve(of, erfc, farthest(f))
    cdef Numbers G = numbers(up)
    cdef double* made = data(out)
    cdef double x, z, g, e, size, second, first, slope = 0
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_SIZE(of)):
        x, g = data(of)[i], fabs(number(G, i))
        z, e = fabs(x), curve.error(x, i, f)
        if curve.approximate:
            slope = ROOT * (1 + 3 * 0.044715 * (x * x))
            size = 0.5 * z * data(curve.slope)[i] * slope
            second = 0.5 * z * slope * (2 * e + 2 * f.u) + 8 * f.u * size
        else:
            size = z * ROOT / 2 * data(curve.slope)[i]
            second = size * (f.E + 3 * f.u * z * z + 5 * f.u)
        first = g * (e / 2 + 2 * f.u * (1 + fabs(data(curve.value)[i])) + second + 2 * f.u * (1 + size))
        if relative and -INFINITY < x < 0:
            first = data(curve.factor)[i]
            if curve.approximate:
                second = size * (f.E + 14 * f.u * fabs(inner(x)) + 16 * f.u)
            else:
                second = size * (f.E + 3 * f.u * z * z + 7 * f.u)
            first = g * (first * (below(x, first, f, curve.approximate) + 2 * f.u) + second)
        made[i] = first * (1 + 20 * f.u) + (g * (1 + z + 2 * z * slope) + 2) * f.w
    return out
