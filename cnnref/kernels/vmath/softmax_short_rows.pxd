"""Short rows of a softmax, GROUP at a time, each in a lane of its own.

They are shifted by their maximum. Their sums are those of ``softmax_row.pxd``, but every column of float32 is added in
double.
"""

from libc.math cimport INFINITY
from libc.string cimport memset

from cnnref.kernels.base.types cimport real
from cnnref.kernels.vmath.softmax_row cimport ALWAYS, LANES, NEVER, WIDE, exp_block

cdef enum:
    NARROW = 64  # rows up to this length
    GROUP = 16


cdef inline void exps(real* p, Py_ssize_t n, bint nonpositive) noexcept nogil:
    """exp of n values, in place; up to NARROW * GROUP of them, with room for as many."""
    cdef Py_ssize_t i, whole = (n + WIDE - 1) // WIDE * WIDE
    for i in range(n, whole):
        p[i] = 0
    for i in range(whole // WIDE):
        if nonpositive:
            exp_block(p + i * WIDE, <real>0, p + i * WIDE, ALWAYS)
        else:
            exp_block(p + i * WIDE, <real>0, p + i * WIDE, NEVER)


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
    cdef Py_ssize_t j, row
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
        exps(p, n * GROUP, True)
    else:
        exps(p, n * GROUP, False)
    for j in range(n):
        for row in range(GROUP):
            sums[j % LANES * GROUP + row] += p[j * GROUP + row]
    add_pairwise(sums)
