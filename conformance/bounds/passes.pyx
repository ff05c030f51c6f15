"""What the bounds of sums take one pass over the elements for; the derivations stand in `conformance.bounds.sums`.

Everything is float64, each operation rounded on its own, in the order in which the formulas are written.
"""

cimport numpy as cnp
from libc.math cimport INFINITY, fabs, isnan, ldexp, sqrt
from libc.stdint cimport uint64_t
from libc.string cimport memcpy
from numpy cimport ndarray

from conformance.bounds.elements cimport Numbers, data, greatest, like, limits, number, numbers, plain, readable

cnp.import_array()

cdef extern from *:
    """
    #define LEADING 0x10000000000000ULL  /* the bit of a significand that is not stored */
    #define trailing_zeros __builtin_ctzll
    """
    const uint64_t LEADING
    int trailing_zeros(uint64_t) noexcept nogil

cdef double U64 = ldexp(1, -53)

#: How many roundings a term takes part in, in a sum of n: of products; of terms added alone; of a mean.
PRODUCTS, ADDITIONS, MEAN = range(3)


cdef inline double roundings(double n, int kind) noexcept nogil:
    """n; ``max(n - 1, 0)``; n + 1, but 0 for none."""
    if kind == 1:
        return 0 if n - 1 < 0 else n - 1
    if kind == 2:
        return n + 1 if n > 0 else 0
    return n


cdef void fill_parts(Numbers x, Py_ssize_t size, double* mask, double* absolute, double* square) noexcept nogil:
    cdef Py_ssize_t i
    cdef double value
    for i in range(size):
        value = number(x, i)
        mask[i] = value != 0
        absolute[i] = fabs(value)
        if square:
            square[i] = value * value


def parts(object x, bint squares):
    """1 where an element is not zero, 0 elsewhere; the absolute values; the squares, if wanted, else None."""
    cdef ndarray values = readable(x), mask = like(values), absolute = like(values)
    cdef ndarray square = like(values) if squares else None
    fill_parts(
        numbers(values), cnp.PyArray_SIZE(values), data(mask), data(absolute), data(square) if squares else NULL
    )
    return mask, absolute, square


cdef double unit_of(Numbers x, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    cdef int exponent, least = 2000
    cdef uint64_t digits
    cdef double value
    for i in range(size):
        value = number(x, i)
        memcpy(&digits, &value, sizeof(double))
        exponent = digits >> 52 & 0x7FF
        digits &= LEADING - 1
        if exponent == 0x7FF:
            return 0.0
        if exponent:
            digits |= LEADING
        elif not digits:
            continue
        else:
            exponent = 1
        exponent += trailing_zeros(digits) - 1075
        if exponent < least:
            least = exponent
    return INFINITY if least == 2000 else ldexp(1, least)


def unit(object x):
    """The largest power of two that divides every element: inf for zeros only, 0 for NaN and inf."""
    cdef ndarray values = readable(x)
    return unit_of(numbers(values), cnp.PyArray_SIZE(values))


def largest(object x):
    """The largest element: NaN if there is one, 0 if there is none above."""
    return greatest(plain(x))


def fits(object x, bint single):
    """Whether every element is a number of float32, or of float64; NaN is none."""
    cdef ndarray values = plain(x)
    cdef double* of = data(values)
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_SIZE(values)):
        if (<double> <float> of[i] if single else of[i]) != of[i]:
            return False
    return True


cdef void fill_limit(
    double* n, double* S, double* added, bint one, Py_ssize_t size, int kind, double u, double w, double largest,
    double v, double growth, double* out,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double made, most = 0, each = u + U64, more = 3 * v * (1 + v)
    for i in range(size):
        made = roundings(n[i], kind) * each
        if v:
            made = made + more
        # Last factor: S and n are float64 sums themselves.
        made = made * S[i] * (1 + (n[i] + 4) * 2 * U64) + n[i] * w
        out[i] = made
        if made > most or isnan(made):
            most = made
    if growth:
        for i in range(size):
            out[i] = most * growth
    for i in range(size):
        # A partial sum may overflow where the sum of absolute values does: nothing can be asked there.
        if S[i] * (1 + roundings(n[i], kind) * u) > largest / 2:
            out[i] = INFINITY
        out[i] += added[0 if one else i]


def limit(
    object n, object S, object added, int kind, double u, double w, double largest, double v, double growth
):
    """The limit of each element of a sum and `added`; see `sums.limit`.

    Parameters
    ----------
    n, S, added : ndarray of float64
        Number of terms, sum of their absolute values, what is added (broadcasts).
    kind : {PRODUCTS, ADDITIONS, MEAN}
        How many roundings a term takes part in.
    u, w, largest : float
        Unit roundoff, smallest subnormal and largest number of the dtype.
    v, growth : float
        Unit roundoff and growth factor of a declared arithmetic, 0 for none.
    """
    cdef ndarray count = plain(n), size = plain(S), more = limits(added, size), out = like(size)
    if not cnp.PyArray_SAMESHAPE(count, size):
        raise ValueError(f"limit: n is {(<object> count).shape}, S {(<object> size).shape}")
    fill_limit(
        data(count), data(size), data(more), not cnp.PyArray_NDIM(more), cnp.PyArray_SIZE(size), kind, u, w, largest,
        v, growth, data(out),
    )
    return out


cdef void fill_statistical(
    double* n, double* Q, double* added, bint one, Py_ssize_t size, double factor, double w, double* out
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        out[i] = factor * sqrt(n[i] + 1) * sqrt(Q[i]) + n[i] * w + added[0 if one else i]


def statistical(object n, object Q, object added, double factor, double w):
    """``factor sqrt(n + 1) sqrt(Q) + n w`` and `added`; see `sums.statistical`."""
    cdef ndarray count = plain(n), squares = plain(Q), more = limits(added, squares), out = like(squares)
    if not cnp.PyArray_SAMESHAPE(count, squares):
        raise ValueError(f"statistical: n is {(<object> count).shape}, Q {(<object> squares).shape}")
    fill_statistical(
        data(count), data(squares), data(more), not cnp.PyArray_NDIM(more), cnp.PyArray_SIZE(squares), factor, w,
        data(out),
    )
    return out
