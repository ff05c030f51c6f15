"""The bounds of functions of a row, softmax and its logarithm; `functions` and `units` derive them.

Everything is float64, each operation rounded on its own, in the order in which the formulas are written, but for
the sums over a row, which are pairwise. exp and log are NumPy's.
"""

cimport numpy as cnp
from libc.math cimport INFINITY, fabs, isfinite, isnan
from numpy cimport ndarray

import numpy as np

from conformance.bounds.elements cimport Numbers, data, greatest_number, number, numbers, readable

cnp.import_array()


cdef Form constants(object form):
    return Form(form.u, form.w, form.largest, form.exp)


cdef ndarray empty(Py_ssize_t m, Py_ssize_t n):
    cdef cnp.npy_intp[2] shape = [m, n]
    return cnp.PyArray_EMPTY(2, shape, cnp.NPY_DOUBLE, 0)


cdef double total(double* x, Py_ssize_t n) noexcept nogil:
    """The sum of a row: eight at a time up to 128 of them, in halves beyond, as NumPy adds."""
    cdef double[8] part
    cdef double found = 0
    cdef Py_ssize_t i, k, half
    if n < 8:
        for i in range(n):
            found += x[i]
        return found
    if n > 128:
        half = n // 2
        half -= half % 8
        return total(x, half) + total(x + half, n - half)
    for k in range(8):
        part[k] = x[k]
    i = 8
    while i < n - n % 8:
        for k in range(8):
            part[k] += x[i + k]
        i += 8
    found = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]))
    while i < n:
        found += x[i]
        i += 1
    return found


cdef class Softmax:
    """Of rows x: ``below``, ``x - max x``; ``y``, the probabilities; ``e``, the relative error of each.

    Of each row ``sums``, that of ``exp(below)``, with its logarithm, ``shift``, that of ``y u |below|``, and what is
    ``added`` to each error; see `functions.softmax`.
    """

    def __cinit__(self, object form, object X, bint summed=False):
        """`summed`: the logarithm of the sum is added to the largest element before it is subtracted."""
        cdef ndarray of = readable(X)
        cdef Numbers x = numbers(of)
        cdef Form f = constants(form)
        cdef Py_ssize_t i, j, m = cnp.PyArray_DIM(of, 0), n = cnp.PyArray_DIM(of, 1)
        cdef double most, value, common, relative
        cdef double* d
        cdef double* y
        cdef double* e
        self.m, self.n = m, n
        self.below, self.e, self.sums, self.shift = empty(m, n), empty(m, n), empty(m, 1), empty(m, 1)
        self.added = empty(m, 1)
        d, e = data(self.below), data(self.e)
        for i in range(m):
            most = -INFINITY
            for j in range(n):
                value = number(x, i * n + j)
                if value > most or isnan(value):
                    most = value
                    if isnan(value):
                        break
            data(self.added)[i] = f.u * fabs(most) if summed else 0
            for j in range(n):
                d[i * n + j] = number(x, i * n + j) - most
        self.y = np.exp(self.below)
        y = data(self.y)
        for i in range(m):
            value = total(y, n)
            data(self.sums)[i] = value
            for j in range(n):
                y[j] = y[j] / value
                e[j] = y[j] * (0 if y[j] == 0 else f.u * -d[j])
            data(self.shift)[i] = total(e, n)
            d, y, e = d + n, y + n, e + n
        self.logarithms = np.log(self.sums)
        d, y, e = data(self.below), data(self.y), data(self.e)
        for i in range(m):
            value = data(self.logarithms)[i]
            if summed:
                data(self.added)[i] += f.u * value
            common = data(self.shift)[i] + (n + 1) * f.u + f.E * (2 + value) + data(self.added)[i]
            for j in range(n):
                relative = (0 if y[j] == 0 else f.u * (value - d[j] - d[j])) + common
                e[j] = relative * (1 + 2 * relative)
            d, y, e = d + n, y + n, e + n


cdef ndarray beside(object x, Softmax of):
    """`x` as it is read, of the shape of the rows."""
    cdef ndarray found = readable(x)
    if cnp.PyArray_NDIM(found) != 2 or cnp.PyArray_DIM(found, 0) != of.m or cnp.PyArray_DIM(found, 1) != of.n:
        raise ValueError(f"shape is {(<object> found).shape}, expected ({of.m}, {of.n})")
    return found


def softmax(object form, object X, bint summed):
    """See `functions.softmax`."""
    cdef Softmax s = Softmax(form, X, summed)
    cdef Form f = constants(form)
    cdef double* y = data(s.y)
    cdef double* e = data(s.e)
    cdef Py_ssize_t i
    for i in range(s.m * s.n):
        e[i] = y[i] * e[i] + (s.n + 2) * f.w
    return s.e


def softmax_backward(object form, object X, object dprobs, bint summed):
    """See `functions.softmax_backward`."""
    cdef Softmax s = Softmax(form, X, summed)
    cdef ndarray up = beside(dprobs, s), out = empty(s.m, s.n)
    cdef Numbers G = numbers(up)
    cdef Form f = constants(form)
    cdef Py_ssize_t i, j, n = s.n
    cdef double* y = data(s.y)
    cdef double* e = data(s.e)
    cdef double* made = data(out)
    cdef double g, size, first, T, t, spread, sizes, most = greatest_number(s.e)
    cdef double factor = 1 + 2 * most + (n + 4) * f.u, under = (n + 2) * f.w
    for i in range(s.m):
        for j in range(n):
            made[j] = fabs(number(G, i * n + j)) * y[j]
        T = total(made, n)
        for j in range(n):
            made[j] = made[j] * e[j]
        spread = total(made, n)
        for j in range(n):
            made[j] = number(G, i * n + j) * y[j]
        t = total(made, n)
        for j in range(n):
            made[j] = fabs(number(G, i * n + j))
        sizes = total(made, n)
        for j in range(n):
            g, size = number(G, i * n + j), made[j]
            first = y[j] * (n * f.u * T + 2 * f.u * (size + T) + e[j] * fabs(g - t) + spread)
            made[j] = first * factor + under * (1 + size + sizes)
        y, e, made = y + n, e + n, made + n
    return out


cdef ndarray of_logarithms(Softmax s, Form f):
    """The bound of each logarithm of a probability."""
    cdef ndarray out = empty(s.m, s.n)
    cdef Py_ssize_t i, j, n = s.n
    cdef double* d = data(s.below)
    cdef double* made = data(out)
    cdef double log_s, of_sum, logp, size, finite
    for i in range(s.m):
        log_s = data(s.logarithms)[i]
        of_sum = data(s.shift)[i] + f.E + (n - 1) * f.u
        for j in range(n):
            logp = d[j] - log_s
            size = fabs(logp) if isfinite(logp) else 0
            finite = -d[j] if isfinite(d[j]) else 0
            made[j] = 2 * f.u * size + f.u * finite + f.E * log_s + of_sum * (1 + of_sum) + data(s.added)[i] + f.w
        d, made = d + n, made + n
    return out


def log_softmax(object form, object X, bint summed):
    """See `units.log_softmax`."""
    return of_logarithms(Softmax(form, X, summed), constants(form))


def log_softmax_backward(object form, object X, object dlogp, bint summed):
    """See `units.log_softmax_backward`."""
    cdef Softmax s = Softmax(form, X, summed)
    cdef Form f = constants(form)
    cdef ndarray limits = of_logarithms(s, f), up = beside(dlogp, s), out = empty(s.m, s.n)
    cdef Numbers G = numbers(up)
    cdef Py_ssize_t i, j, n = s.n
    cdef double* y = data(s.y)
    cdef double* e = data(limits)
    cdef double* made = data(out)
    cdef double sum_, size, first, factor
    for i in range(s.m * n):
        e[i] = e[i] + f.E if e[i] + f.E > data(s.e)[i] else data(s.e)[i]
    factor = 1 + 2 * greatest_number(limits)
    for i in range(s.m):
        for j in range(n):
            made[j] = number(G, i * n + j)
        sum_ = fabs(total(made, n))
        for j in range(n):
            made[j] = fabs(made[j])
        size = total(made, n)
        for j in range(n):
            first = y[j] * (n * f.u * size + e[j] * sum_) + 2 * f.u * (made[j] + y[j] * sum_)
            made[j] = first * factor + (n + 2) * f.w * (1 + size)
        y, e, made = y + n, e + n, made + n
    return out
