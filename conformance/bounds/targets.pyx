"""The bounds of the losses of a row and its label; `losses` derives them.

Everything is float64, each operation rounded on its own, in the order in which the formulas are written.
"""

cimport cython
cimport numpy as cnp
from libc.math cimport INFINITY, fabs
from numpy cimport ndarray

import numpy as np

from conformance.bounds.rows cimport Form, Softmax, constants, empty
from conformance.bounds.elements cimport Numbers, data, number, numbers, readable

cnp.import_array()


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


def softmax_cross_entropy_backward(object form, Targets t, object X, bint summed):
    """See `losses.softmax_cross_entropy_backward`."""
    cdef Softmax s = Softmax(form, matched(X, t), summed)
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
