"""The bounds of functions of a row, softmax and the losses; `functions`, `units` and `losses` derive them.

Everything is float64, each operation rounded on its own, in the order in which the formulas are written, but for
the sums over a row, which are pairwise. exp and log are NumPy's.
"""

cimport cython
cimport numpy as cnp
from libc.math cimport INFINITY, fabs, isfinite, isnan
from numpy cimport ndarray

import numpy as np

from conformance.elements cimport Numbers, number, numbers, readable

cnp.import_array()


cdef struct Form:
    # Unit roundoff, smallest subnormal number, the largest one and the accuracy of exp.
    double u, w, largest, E


cdef Form constants(object form):
    return Form(form.u, form.w, form.largest, form.exp)


cdef inline double* data(ndarray x):
    return <double*> cnp.PyArray_DATA(x)


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


@cython.final
cdef class Softmax:
    """Of rows x: ``below``, ``x - max x``; ``y``, the probabilities; ``e``, the relative error of each.

    Of each row ``sums``, that of ``exp(below)``, and ``shift``, that of ``y u |below|``; see `functions.softmax`.
    """

    cdef readonly ndarray below, y, e, sums, shift
    cdef Py_ssize_t m, n

    def __cinit__(self, object form, object X):
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
        d, e = data(self.below), data(self.e)
        for i in range(m):
            most = -INFINITY
            for j in range(n):
                value = number(x, i * n + j)
                if value > most or isnan(value):
                    most = value
                    if isnan(value):
                        break
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
            value = total(e, n)
            data(self.shift)[i] = value
            common = value + (n + 1) * f.u
            for j in range(n):
                relative = (0 if y[j] == 0 else f.u * -d[j]) + 2 * f.E + common
                e[j] = relative * (1 + 2 * relative)
            d, y, e = d + n, y + n, e + n


cdef ndarray beside(object x, Softmax of):
    """`x` as it is read, of the shape of the rows."""
    cdef ndarray found = readable(x)
    if cnp.PyArray_NDIM(found) != 2 or cnp.PyArray_DIM(found, 0) != of.m or cnp.PyArray_DIM(found, 1) != of.n:
        raise ValueError(f"shape is {(<object> found).shape}, expected ({of.m}, {of.n})")
    return found


cdef double greatest(ndarray x):
    """The largest element, at least 0; NaN if there is one."""
    cdef double* of = data(x)
    cdef double found = 0
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_SIZE(x)):
        if of[i] > found or isnan(of[i]):
            found = of[i]
            if isnan(found):
                break
    return found


def softmax(object form, object X):
    """See `functions.softmax`."""
    cdef Softmax s = Softmax(form, X)
    cdef Form f = constants(form)
    cdef double* y = data(s.y)
    cdef double* e = data(s.e)
    cdef Py_ssize_t i
    for i in range(s.m * s.n):
        e[i] = y[i] * e[i] + (s.n + 2) * f.w
    return s.e


def softmax_backward(object form, object X, object dprobs):
    """See `functions.softmax_backward`."""
    cdef Softmax s = Softmax(form, X)
    cdef ndarray up = beside(dprobs, s), out = empty(s.m, s.n)
    cdef Numbers G = numbers(up)
    cdef Form f = constants(form)
    cdef Py_ssize_t i, j, n = s.n
    cdef double* y = data(s.y)
    cdef double* e = data(s.e)
    cdef double* made = data(out)
    cdef double g, size, first, T, t, spread, sizes, most = greatest(s.e)
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
    cdef ndarray logarithms = np.log(s.sums), out = empty(s.m, s.n)
    cdef Py_ssize_t i, j, n = s.n
    cdef double* d = data(s.below)
    cdef double* made = data(out)
    cdef double log_s, of_sum, logp, size, finite
    for i in range(s.m):
        log_s = data(logarithms)[i]
        of_sum = data(s.shift)[i] + f.E + (n - 1) * f.u
        for j in range(n):
            logp = d[j] - log_s
            size = fabs(logp) if isfinite(logp) else 0
            finite = -d[j] if isfinite(d[j]) else 0
            made[j] = 2 * f.u * size + f.u * finite + f.E * log_s + of_sum * (1 + of_sum) + f.w
        d, made = d + n, made + n
    return out


def log_softmax(object form, object X):
    """See `units.log_softmax`."""
    return of_logarithms(Softmax(form, X), constants(form))


def log_softmax_backward(object form, object X, object dlogp):
    """See `units.log_softmax_backward`."""
    cdef Softmax s = Softmax(form, X)
    cdef Form f = constants(form)
    cdef ndarray limits = of_logarithms(s, f), up = beside(dlogp, s), out = empty(s.m, s.n)
    cdef Numbers G = numbers(up)
    cdef Py_ssize_t i, j, n = s.n
    cdef double* y = data(s.y)
    cdef double* e = data(limits)
    cdef double* made = data(out)
    cdef double sum_, size, first, factor
    for i in range(s.m * n):
        e[i] = data(s.e)[i] + e[i] + f.E
    factor = 1 + 2 * greatest(limits)
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


@cython.final
cdef class Targets:
    """The target of each row: of its label `at`, of the other classes `beside`, 0 in a row that does not count.

    `count` rows do; `made` are the roundings in a target. See `losses`.
    """

    cdef ndarray labels
    cdef cnp.int64_t* label
    cdef bint some
    cdef cnp.int64_t ignored
    cdef double at, beside
    cdef readonly Py_ssize_t m, n, count, made

    def __cinit__(self, object Y, Py_ssize_t n, object ignored, double e, Py_ssize_t made):
        """`ignored` is a label, or no number if every row counts."""
        cdef Py_ssize_t i
        self.labels = np.ascontiguousarray(Y, np.int64)
        self.label, self.m, self.n = <cnp.int64_t*> cnp.PyArray_DATA(self.labels), cnp.PyArray_SIZE(self.labels), n
        self.some = isinstance(ignored, int)
        self.ignored = ignored if self.some else 0
        self.at, self.beside, self.made = (1 - e) + (e / n if e else 0), (e / n if e else 0), made
        for i in range(self.m):
            if self.counted(i):
                self.count += 1
                if not 0 <= self.label[i] < n:
                    raise IndexError(f"label {self.label[i]} of {n} classes")

    cdef inline bint counted(self, Py_ssize_t i) noexcept:
        return not (self.some and self.label[i] == self.ignored)

    cdef inline double of(self, Py_ssize_t i, Py_ssize_t j) noexcept:
        if not self.counted(i):
            return 0
        return self.at if self.label[i] == j else self.beside


cdef ndarray matched(object AL, Targets t):
    """`AL` as it is read, a row for each target."""
    cdef ndarray found = readable(AL)
    if cnp.PyArray_NDIM(found) != 2 or cnp.PyArray_DIM(found, 0) != t.m or cnp.PyArray_DIM(found, 1) != t.n:
        raise ValueError(f"shape is {(<object> found).shape}, expected ({t.m}, {t.n})")
    return found


def loss_terms(Targets t, object AL):
    """``t log(AL) / m``, those of a target of 0 left out."""
    cdef ndarray of = matched(AL, t), found
    cdef Numbers x = numbers(of)
    cdef cnp.npy_intp size = t.count * (t.n if t.beside else 1)
    cdef double* out
    cdef Py_ssize_t i, j, at
    found = cnp.PyArray_EMPTY(1, &size, cnp.NPY_DOUBLE, 0)
    for weights in (False, True):
        out, at = data(found), 0
        for i in range(t.m):
            for j in range(t.n):
                if t.of(i, j) == 0:
                    continue
                if weights:
                    out[at] = t.of(i, j) * out[at] / max(t.count, 1)
                else:
                    out[at] = number(x, i * t.n + j)
                at += 1
        if not weights:
            np.log(found, found)
    return found


def cross_entropy_backward(object form, Targets t, object AL):
    """See `losses.cross_entropy_backward`."""
    cdef ndarray of = matched(AL, t), out = empty(t.m, t.n)
    cdef Numbers x = numbers(of)
    cdef Form f = constants(form)
    cdef double* made = data(out)
    cdef double relative = (t.made + 3) * f.u * (1 + (t.made + 3) * f.u), target, reciprocal
    cdef Py_ssize_t i, j, at, m = max(t.count, 1)
    for i in range(t.m):
        for j in range(t.n):
            at, target = i * t.n + j, t.of(i, j)
            reciprocal = 1 / number(x, at)
            if target == 0:
                made[at] = 0
            elif reciprocal > f.largest / 4:
                made[at] = INFINITY
            else:
                made[at] = relative * target * reciprocal / m + f.w
    return out


def softmax_cross_entropy_backward(object form, Targets t, object X):
    """See `losses.softmax_cross_entropy_backward`."""
    cdef Softmax s = Softmax(form, matched(X, t))
    cdef ndarray out = empty(t.m, t.n)
    cdef Form f = constants(form)
    cdef double* y = data(s.y)
    cdef double* e = data(s.e)
    cdef double* made = data(out)
    cdef double target, first
    cdef Py_ssize_t i, j, at, m = max(t.count, 1), n = t.n
    for i in range(t.m):
        for j in range(n):
            at, target = i * n + j, t.of(i, j)
            first = (
                y[at] * e[at] * (1 + 3 * f.u) + t.made * f.u * target + 3 * f.u * fabs(y[at] - target)
            )
            made[at] = first * (1 + (t.made + 6) * f.u) / m + (n + 4) * f.w if t.counted(i) else 0
    return out
