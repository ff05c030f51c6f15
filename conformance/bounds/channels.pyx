"""The bounds of batch normalization, channel by channel; `conformance.bounds.norm` derives them.

Everything is float64, each operation rounded on its own, in the order in which the formulas are written. Sums over
the pixels of a channel are taken one after the other, those of a single channel pairwise, as NumPy takes them.
"""

cimport cython
cimport numpy as cnp
from libc.math cimport fabs, floor, fmax, log2, sqrt
from numpy cimport ndarray

from conformance.bounds.rows cimport total
from conformance.bounds.elements cimport Numbers, data, known, number, numbers, plain, readable

cnp.import_array()

#: The spacing of a sum of values of spread 1 from which on its roundings drift: their mean is then a thousandth of it.
cdef double MOST = 2.2


cdef ndarray room(Py_ssize_t size):
    cdef cnp.npy_intp extent = size
    return cnp.PyArray_ZEROS(1, &extent, cnp.NPY_DOUBLE, 0)


cdef ndarray of_size(object x, Py_ssize_t size):
    cdef ndarray found = readable(x)
    if cnp.PyArray_SIZE(found) != size:
        raise ValueError(f"{cnp.PyArray_SIZE(found)} elements, expected {size}")
    return found


cdef void add_up(double* x, Py_ssize_t n, Py_ssize_t c, double* to) noexcept nogil:
    """The sum of each channel of ``(n, c)``."""
    cdef Py_ssize_t i, k
    for k in range(c):
        to[k] = 0
    if c == 1:
        to[0] = total(x, n)
        return
    for i in range(n):
        for k in range(c):
            to[k] += x[i * c + k]


@cython.final
@cython.internal
cdef class Statistics:
    """Of each channel the mean and variance that normalize, how far they are off, ``r`` and its relative error."""

    cdef ndarray x, mean, variance, of_mean, of_variance, r, of_r, scratch
    cdef Numbers at
    cdef Py_ssize_t n, c
    cdef double u, random
    cdef bint training

    def __cinit__(
        self, double u, double random, bint training, double epsilon, object A_prev, object mean, object variance,
        bint stored,
    ):
        """`random`: so many deviations of random roundings, 0 for the largest error; see `norm`.

        `stored`: the statistics have been rounded to the dtype in a cache.
        """
        cdef Py_ssize_t i, k, n, c
        cdef double low, d
        cdef double* values
        cdef double* means
        cdef double* variances
        self.x = readable(A_prev)
        self.at = numbers(self.x)
        c = self.c = cnp.PyArray_DIM(self.x, 3)
        n = self.n = cnp.PyArray_DIM(self.x, 0) * cnp.PyArray_DIM(self.x, 1) * cnp.PyArray_DIM(self.x, 2)
        self.u, self.random, self.training = u, random, training and n * c > 0
        self.of_mean, self.of_variance, self.r, self.of_r = room(c), room(c), room(c), room(c)
        if not self.training:
            self.mean, self.variance = plain(of_size(mean, c)), plain(of_size(variance, c))
        else:
            self.mean, self.variance, self.scratch = room(c), room(c), room(n * c)
            values, means, variances = data(self.scratch), data(self.mean), data(self.variance)
            for i in range(n * c):
                values[i] = number(self.at, i)
            self.summed(means)
            for i in range(n):
                for k in range(c):
                    d = number(self.at, i * c + k) - means[k] / n
                    values[i * c + k] = d * d
            self.summed(variances)
            for i in range(n * c):
                values[i] = fabs(number(self.at, i))
            self.summed(data(self.of_mean))
            for k in range(c):
                means[k], variances[k] = means[k] / n, variances[k] / n
                self.uncertain(k, data(self.of_mean)[k] / n)
                if stored:
                    data(self.of_mean)[k] += u * fabs(means[k])
                    data(self.of_variance)[k] += u * variances[k]
        for k in range(c):
            d = data(self.variance)[k] + epsilon
            low = d - data(self.of_variance)[k]
            data(self.of_r)[k] = sqrt(d / (0 if low < 0 else low)) - 1 + 3 * u
            data(self.r)[k] = 1 / sqrt(d)

    cdef void summed(self, double* to) noexcept:
        add_up(data(self.scratch), self.n, self.c, to)

    cdef void uncertain(self, Py_ssize_t k, double size) noexcept:
        """How far the mean and the variance of channel k may be off, of values whose mean size is `size`."""
        cdef double mean = data(self.mean)[k], v = data(self.variance)[k], n = self.n, first = number(self.at, k) - mean
        cdef double apart = fmax(sqrt(v * (v + mean * mean)), v + first * first)
        cdef double e_m = (n + 1) * self.u * size, e_v = (n + 4) * self.u * apart
        if self.random and not self.steered(k):
            e_m, e_v = self.random * self.u * sqrt(n / 3 + 1) * size, self.random * self.u * sqrt(n) * apart
        data(self.of_mean)[k], data(self.of_variance)[k] = e_m, e_v + e_m * e_m

    cdef inline bint steered(self, Py_ssize_t k) noexcept:
        """Whether roundings of a sum are no random ones: the spacing of the sum is above the values' spread."""
        cdef double sum_ = self.n * fabs(data(self.mean)[k])
        return 2 * self.u * 2.0 ** floor(log2(sum_)) > MOST * sqrt(data(self.variance)[k]) if sum_ > 0 else False


def forward(
    object form, double random, bint training, double momentum, double epsilon, object A_prev, object gamma, object beta,
    object running_mean, object running_var,
):
    """The limits of the output and of the running statistics; see `norm.batch_norm_forward`."""
    cdef double u = form.u, w = form.w, x, d, y, inner, scale, unbiased, factor, new, more
    cdef Statistics s = Statistics(u, random, training, epsilon, A_prev, running_mean, running_var, False)
    cdef Py_ssize_t i, k, at, n = s.n, c = s.c
    cdef ndarray first = of_size(gamma, c), second = of_size(beta, c)
    cdef Numbers G = numbers(first), B = numbers(second)
    cdef ndarray out = cnp.PyArray_EMPTY(4, cnp.PyArray_DIMS(s.x), cnp.NPY_DOUBLE, 0)
    cdef double* made = data(out)
    cdef double* mean = data(s.mean)
    cdef double* r = data(s.r)
    for i in range(n):
        for k in range(c):
            at = i * c + k
            x = number(s.at, at)
            d = fabs(x - mean[k])
            scale = fabs(number(G, k)) * r[k]
            y = fabs(number(G, k) * r[k] * (x - mean[k]) + number(B, k))
            inner = d * (data(s.of_r)[k] + 2 * u) + data(s.of_mean)[k] + u * (2 * fabs(x) + 3 * fabs(mean[k]))
            # A variance that may be 0 has no r, and a value that is the mean no distance from it.
            made[at] = known((scale * inner + 2 * u * (fabs(number(B, k)) + y)) * (1 + 20 * u) + w)
    limits = {"A": out}
    unbiased = (<double> n) / (n - 1) if n > 1 else 1.0
    for name, old, value, error, times in (
        ("running_mean", running_mean, s.mean, s.of_mean, 1.0),
        ("running_var", running_var, s.variance, s.of_variance, unbiased),
    ):
        first, second, out = of_size(old, c), room(c), value
        B, made, mean, factor = numbers(first), data(second), data(out), times
        out = error
        new = momentum * factor
        for k in range(c if s.training else 0):
            more = (1 - momentum) * fabs(number(B, k)) + new * fabs(mean[k])
            made[k] = (new * data(out)[k] + 5 * u * more + w) * (1 + 20 * u)
        limits[name] = second.reshape(1, 1, 1, c)
    return limits


cdef ndarray summed(Statistics s, ndarray values):
    """The sum of each channel of a value for each pixel."""
    cdef ndarray found = room(s.c)
    add_up(data(values), s.n, s.c, data(found))
    return found


cdef tuple of_sums(Statistics s, ndarray up, ndarray other):
    """Of each channel how far dgamma and dbeta may be off, and the sums themselves; `other` is n."""
    cdef Py_ssize_t i, j, at, c = s.c, count = max(s.n, 1)
    cdef double u = s.u, x, g, n, own
    cdef Numbers G = numbers(up)
    cdef double* normal = data(other)
    cdef double* r = data(s.r)
    # The sizes of g, of g n and of g with the roundings of n; their squares at random.
    cdef ndarray gs = room(s.n * c), gns = room(s.n * c), owns = room(s.n * c)
    cdef ndarray of_dgamma = room(c), of_dbeta = room(c), sum_g, sum_gn
    cdef double* first = data(gs)
    cdef double* second = data(gns)
    cdef double* third = data(owns)
    for at in range(s.n * c):
        first[at], second[at] = number(G, at), number(G, at) * normal[at]
    sum_g, sum_gn = summed(s, gs), summed(s, gns)
    for i in range(s.n):
        for j in range(c):
            at = i * c + j
            x, g, n = number(s.at, at), fabs(number(G, at)), fabs(normal[at])
            own = g * u * (r[j] * (fabs(x) + fabs(data(s.mean)[j])) + 2 * n)
            first[at], second[at], third[at] = g, g * n, own
            if not s.random:
                third[at] += g * (r[j] * data(s.of_mean)[j] + n * data(s.of_r)[j])
            else:
                first[at], second[at], third[at] = g * g, g * n * g * n, own * own
    gs, gns, owns = summed(s, gs), summed(s, gns), summed(s, owns)
    for j in range(c):
        if not s.random:
            data(of_dbeta)[j] = (count + 1) * u * data(gs)[j]
            data(of_dgamma)[j] = data(owns)[j] + (count + 1) * u * data(gns)[j]
            continue
        x = s.random * u * sqrt(count + 1)
        data(of_dbeta)[j] = x * sqrt(data(gs)[j])
        # The errors of mean and r are one for all terms.
        data(of_dgamma)[j] = (
            r[j] * data(s.of_mean)[j] * fabs(data(sum_g)[j]) + data(s.of_r)[j] * fabs(data(sum_gn)[j])
            + s.random * sqrt(data(owns)[j]) + x * sqrt(data(gns)[j])
        )
    return of_dgamma, of_dbeta, sum_g, sum_gn


def backward(
    object form, double random, bint training, double epsilon, object A_prev, object gamma, object running_mean,
    object running_var, object dA,
):
    """The limits of the gradients; see `norm.batch_norm_backward`."""
    cdef double u = form.u, w = form.w, x, g, size, n, of_n, scale, b, k, of_b, of_k, inner, roundings, more
    cdef Statistics s = Statistics(u, random, training, epsilon, A_prev, running_mean, running_var, True)
    cdef Py_ssize_t i, j, at, c = s.c, pixels = s.n, count = max(s.n, 1)
    cdef ndarray first = of_size(gamma, c), up = of_size(dA, pixels * c), other = room(pixels * c)
    cdef ndarray of_dgamma, of_dbeta, gs, gns
    cdef ndarray out = cnp.PyArray_EMPTY(4, cnp.PyArray_DIMS(s.x), cnp.NPY_DOUBLE, 0)
    cdef Numbers F = numbers(first), G = numbers(up)
    cdef double* mean = data(s.mean)
    cdef double* r = data(s.r)
    cdef double* normal = data(other)
    cdef double* errors = data(out)
    cdef double* values
    for i in range(pixels):
        for j in range(c):
            at = i * c + j
            x = number(s.at, at)
            normal[at] = n = (x - mean[j]) * r[j]
            errors[at] = (
                r[j] * (data(s.of_mean)[j] + u * (fabs(x) + fabs(mean[j]))) + fabs(n) * (data(s.of_r)[j] + 2 * u)
            )
    of_dgamma, of_dbeta, gs, gns = of_sums(s, up, other)
    for i in range(pixels):
        for j in range(c):
            at = i * c + j
            g, n, of_n, scale = number(G, at), normal[at], errors[at], fabs(number(F, j)) * r[j]
            size = fabs(g)
            if training:
                b, k = data(gs)[j] / count, data(gns)[j] / count
                of_b, of_k = data(of_dbeta)[j] / count, data(of_dgamma)[j] / count
                roundings = 5 * u * (size + fabs(b) + fabs(n * k))
                more = data(s.of_r)[j] * fabs(g - b - n * k)
                inner = of_b + fabs(n) * of_k + of_n * (fabs(k) + of_k) + roundings + more
                errors[at] = scale * inner
            else:
                errors[at] = scale * size * (data(s.of_r)[j] + 2 * u)
    for array in (out, of_dgamma, of_dbeta):
        values = data(<ndarray> array)
        for at in range(cnp.PyArray_SIZE(<ndarray> array)):
            values[at] = known(values[at] * (1 + 20 * u) + 2 * count * w)
    return {"dA_prev": out, "dgamma": of_dgamma.reshape(1, 1, 1, c), "dbeta": of_dbeta.reshape(1, 1, 1, c)}
