"""Rows of a softmax: their maximum, the exponentials of what is left, their sum in 16 double accumulators.

Column j is added to accumulator ``j % 16``; these are then added pairwise, 8 apart, 4, 2, 1 apart. Short rows are
computed GROUP at a time, each in a lane of its own, by the same operations.
"""

from libc.math cimport INFINITY
from libc.string cimport memset

from cnnref._elementary cimport exp, exp_nonpositive
from cnnref._types cimport multiply_add, real

cdef enum:
    LANES = 16
    WIDE = 64
    NARROW = 64  # rows up to this length are computed GROUP at a time, a lane for each
    GROUP = 16


cdef inline double total(double* lanes) noexcept nogil:
    cdef Py_ssize_t lane
    for lane in range(8):
        lanes[lane] += lanes[lane + 8]
    for lane in range(4):
        lanes[lane] += lanes[lane + 4]
    return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3])


cdef inline real largest(const real* x, Py_ssize_t n) noexcept nogil:
    """The largest of `n` values; NaN is passed over."""
    cdef real[WIDE] lanes
    cdef real most = -INFINITY
    cdef Py_ssize_t i, lane, at
    if n < WIDE:
        for i in range(n):
            most = x[i] if x[i] > most else most
        return most
    for lane in range(WIDE):
        lanes[lane] = -INFINITY
    for i in range((n + WIDE - 1) // WIDE):
        at = min(i * WIDE, n - WIDE)  # the last ones twice
        for lane in range(WIDE):
            lanes[lane] = x[at + lane] if x[at + lane] > lanes[lane] else lanes[lane]
    for lane in range(WIDE // 2):
        lanes[lane] = lanes[lane + WIDE // 2] if lanes[lane + WIDE // 2] > lanes[lane] else lanes[lane]
    for lane in range(WIDE // 4):
        lanes[lane] = lanes[lane + WIDE // 4] if lanes[lane + WIDE // 4] > lanes[lane] else lanes[lane]
    for lane in range(WIDE // 4):
        most = lanes[lane] if lanes[lane] > most else most
    return most


cdef inline double row_sum(const real* x, Py_ssize_t n) noexcept nogil:
    """The sum of `n` values."""
    cdef double[LANES] lanes  # in registers: only constants index them
    cdef double[LANES] sums
    cdef Py_ssize_t i, lane
    for lane in range(LANES):
        lanes[lane] = 0
    for i in range(n // LANES):
        for lane in range(LANES):
            lanes[lane] += x[i * LANES + lane]
    for lane in range(LANES):
        sums[lane] = lanes[lane]
    for lane in range(n % LANES):
        sums[lane] += x[n - n % LANES + lane]
    return total(sums)


cdef inline double row_sum_and_dot(const real* x, const real* y, Py_ssize_t n, double* dot) noexcept nogil:
    """The sum of x, as `row_sum`, and that of the products with y, by fused multiply-adds: each x is read once."""
    cdef double[LANES] lanes
    cdef double[LANES] products
    cdef double[LANES] sums
    cdef Py_ssize_t i, lane, at
    for lane in range(LANES):
        lanes[lane] = products[lane] = 0
    for i in range(n // LANES):
        at = i * LANES
        for lane in range(LANES):
            products[lane] = multiply_add(<double>x[at + lane], <double>y[at + lane], products[lane])
        for lane in range(LANES):
            lanes[lane] += x[at + lane]
    at = n - n % LANES
    for lane in range(LANES):
        sums[lane] = products[lane]
    for lane in range(n % LANES):
        sums[lane] = multiply_add(<double>x[at + lane], <double>y[at + lane], sums[lane])
    dot[0] = total(sums)
    for lane in range(LANES):
        sums[lane] = lanes[lane]
    for lane in range(n % LANES):
        sums[lane] += x[at + lane]
    return total(sums)


cdef inline void exps(const real* x, real* p, Py_ssize_t n, bint shift) noexcept nogil:
    """``p = exp(x - max x)``, or exp(x) without `shift`."""
    cdef real top
    cdef Py_ssize_t i
    if shift:
        top = largest(x, n)
        for i in range(n):
            p[i] = exp_nonpositive(x[i] - top)
    else:
        for i in range(n):
            p[i] = exp(x[i])


cdef inline double exp_row(const real* x, real* p, Py_ssize_t n, bint shift) noexcept nogil:
    """As `exps`; returns the sum."""
    exps(x, p, n, shift)
    return row_sum(p, n)


cdef inline void add_pairwise(double* sums) noexcept nogil:
    """The tree of `total`, for GROUP sums at once: accumulator j of row r is ``sums[j * GROUP + r]``."""
    cdef Py_ssize_t i
    for i in range(8 * GROUP):
        sums[i] += sums[i + 8 * GROUP]
    for i in range(4 * GROUP):
        sums[i] += sums[i + 4 * GROUP]
    for i in range(2 * GROUP):
        sums[i] += sums[i + 2 * GROUP]
    for i in range(GROUP):
        sums[i] += sums[i + GROUP]


cdef inline void transpose(const real* rows, real* columns, Py_ssize_t count, Py_ssize_t n) noexcept nogil:
    """`count` rows of n to n columns of GROUP; what is missing is 0."""
    cdef Py_ssize_t row, j
    for row in range(count):
        for j in range(n):
            columns[j * GROUP + row] = rows[row * n + j]
    for row in range(count, GROUP):
        for j in range(n):
            columns[j * GROUP + row] = 0


cdef inline void exp_group(real* p, real* top, double* sums, Py_ssize_t n, bint shift) noexcept nogil:
    """As `exp_row` for GROUP rows at once, in place: their maxima in `top`, their sums in the first of `sums`."""
    cdef Py_ssize_t i, j, row
    memset(sums, 0, LANES * GROUP * sizeof(double))
    if shift:
        for row in range(GROUP):
            top[row] = -INFINITY
        for j in range(n):
            for row in range(GROUP):
                top[row] = p[j * GROUP + row] if p[j * GROUP + row] > top[row] else top[row]
        for j in range(n):
            for row in range(GROUP):
                p[j * GROUP + row] = p[j * GROUP + row] - top[row]
        for i in range(n * GROUP):
            p[i] = exp_nonpositive(p[i])
    else:
        for i in range(n * GROUP):
            p[i] = exp(p[i])
    for j in range(n):
        for row in range(GROUP):
            sums[j % LANES * GROUP + row] += p[j * GROUP + row]
    add_pairwise(sums)
