"""A row of a softmax: its exponentials and their sum in 16 double accumulators.

A row whose values are all between -40 and 40 is not shifted by its maximum, where `IF_FAR` says so: that saves a pass, and
the rounding of the difference.

Column j is added to accumulator ``j % 16``; these are then added pairwise, 8 apart, 4, 2, 1 apart. Of the columns of
float32, four that go to one accumulator, of each 64 from the first on, are summed in float32 before: values as
``(a + b) + (c + d)``, products as a chain of fused multiply-adds in order.
"""

from libc.math cimport INFINITY
from libc.string cimport memset

from cnnref.kernels.base.isa cimport always_inline, noinline, unlikely
from cnnref.kernels.base.types cimport magnitude, multiply_add, real
from cnnref.kernels.vmath.exp cimport (
    MOST_LANES,
    any_above,
    any_far,
    ask_ahead,
    exp_lanes,
    exp_minus,
    exp_times_lanes,
    lanes,
)

cdef enum:
    LANES = 16
    WIDE = 64

cdef enum Shift:
    # What is subtracted from a row before exp is taken: nothing; its maximum; that, unless it is `NEAR` 0 throughout.
    NEVER
    ALWAYS
    IF_FAR

cdef enum:
    NEAR = 40  # exp and the inverse of a sum are then far from overflow and underflow in float32

cdef enum Beside:
    NOTHING
    VALUES
    PRODUCTS

cdef struct Sums:
    # Of a row: what is subtracted, the sum of the exponentials, that of what is beside them.
    double top, exps, beside
    # Whether a value beside them is so large that a difference may overflow; whether one of the row is not near 0.
    bint huge, far


cdef inline double total(double* sums) noexcept nogil:
    cdef Py_ssize_t lane
    for lane in range(8):
        sums[lane] += sums[lane + 8]
    for lane in range(4):
        sums[lane] += sums[lane + 4]
    return (sums[0] + sums[2]) + (sums[1] + sums[3])


cdef inline real largest(const real* x, Py_ssize_t n) noexcept nogil:
    """The largest of `n` values; NaN is passed over."""
    cdef real[WIDE] tops
    cdef real most = -INFINITY
    cdef Py_ssize_t i, lane, at
    if n < WIDE:
        for i in range(n):
            most = x[i] if x[i] > most else most
        return most
    for lane in range(WIDE):
        tops[lane] = -INFINITY
    for i in range((n + WIDE - 1) // WIDE):
        at = min(i * WIDE, n - WIDE)  # the last ones twice
        for lane in range(WIDE):
            tops[lane] = x[at + lane] if x[at + lane] > tops[lane] else tops[lane]
    for lane in range(WIDE // 2):
        tops[lane] = tops[lane + WIDE // 2] if tops[lane + WIDE // 2] > tops[lane] else tops[lane]
    for lane in range(WIDE // 4):
        tops[lane] = tops[lane + WIDE // 4] if tops[lane + WIDE // 4] > tops[lane] else tops[lane]
    for lane in range(WIDE // 4):
        most = tops[lane] if tops[lane] > most else most
    return most


cdef inline always_inline add_block(const real* p, double* sums) noexcept nogil:
    """Add WIDE values to the accumulators, those of float32 by fours."""
    cdef real[LANES] part
    cdef int k, lane
    if real is float:
        for lane in range(LANES):
            part[lane] = (p[lane] + p[LANES + lane]) + (p[2 * LANES + lane] + p[3 * LANES + lane])
        for lane in range(LANES):
            sums[lane] += part[lane]
    else:
        for k in range(WIDE // LANES):
            for lane in range(LANES):
                sums[lane] += p[k * LANES + lane]


cdef inline always_inline add_products(const real* p, const real* y, double* sums) noexcept nogil:
    """As `add_block`, of products, by fused multiply-adds."""
    cdef real[LANES] part
    cdef int k, lane
    if real is float:
        for lane in range(LANES):
            part[lane] = p[lane] * y[lane]
        for k in range(1, WIDE // LANES):
            for lane in range(LANES):
                part[lane] = multiply_add(p[k * LANES + lane], y[k * LANES + lane], part[lane])
        for lane in range(LANES):
            sums[lane] += part[lane]
    else:
        for k in range(WIDE // LANES):
            for lane in range(LANES):
                sums[lane] = multiply_add(p[k * LANES + lane], y[k * LANES + lane], sums[lane])


cdef inline always_inline below_top(const real* x, real top, real* p, const bint far) noexcept nogil:
    """``exp(x - top)`` of `lanes` values; `far` as for `exp_minus`, False to find out."""
    cdef real[MOST_LANES] size
    cdef int i
    for i in range(lanes(<real>0)):
        size[i] = top - x[i]
    if not far and unlikely(any_far(size)):
        far_below_top(x, top, p)
    else:
        exp_minus(size, p, far)


cdef inline noinline far_below_top(const real* x, real top, real* p) noexcept nogil:
    below_top(x, top, p, True)


cdef inline always_inline exp_block(const real* x, real top, real* p, const Shift shift) noexcept nogil:
    """``exp(x - top)`` of WIDE values; with ALWAYS none is above `top`, with IF_FAR they are near 0."""
    cdef int i, step = lanes(<real>0)
    for i in range(WIDE // step):
        if shift == ALWAYS:
            below_top(x + i * step, top, p + i * step, False)
        elif shift == IF_FAR:
            exp_times_lanes(x + i * step, p + i * step, 0)
        else:
            exp_lanes(x + i * step, p + i * step)


cdef inline bint block_above(const real* x, const real limit) noexcept nogil:
    """Whether one of WIDE values is that large."""
    cdef real[WIDE] size
    cdef int i
    for i in range(WIDE):
        size[i] = magnitude(x[i])
    return any_above(size, limit, WIDE)


cdef inline always_inline add_all(
    const real* p, const real* y, const Beside beside, double* sums, double* others, bint* huge
) noexcept nogil:
    """Add a block and what is beside it."""
    add_block(p, sums)
    if beside == PRODUCTS:
        add_products(p, y, others)
        if real is float:
            huge[0] |= block_above(y, <real>1e38)
    elif beside == VALUES:
        add_block(y, others)


cdef inline always_inline all_blocks(
    const real* x, const real* y, real* p, Py_ssize_t n, real top, const Shift shift, const Beside beside, Sums* found
) noexcept nogil:
    """See `exp_row`; nothing is found but that a value is `far` where `shift` is IF_FAR."""
    cdef real[WIDE] last_x
    cdef real[WIDE] last_y
    cdef real[WIDE] last
    cdef double[LANES] sums
    cdef double[LANES] others
    cdef Py_ssize_t i, at
    cdef int lane, rest = <int>(n % WIDE), step = lanes(<real>0)
    cdef bint huge = False
    found.far = False
    for lane in range(LANES):
        sums[lane] = others[lane] = 0
    for i in range(n // WIDE):
        at = i * WIDE
        for lane in range(WIDE // step):
            ask_ahead(x + at + lane * step)
            if beside != NOTHING:
                ask_ahead(y + at + lane * step)
        if shift == IF_FAR and unlikely(block_above(x + at, <real>NEAR)):
            found.far = True
            return
        exp_block(x + at, top, p + at, shift)
        add_all(p + at, y + at if beside != NOTHING else y, beside, sums, others, &huge)
    if rest > 0:
        at = n - rest
        for lane in range(WIDE):
            last_x[lane] = x[at + lane] if lane < rest else top
        for lane in range(WIDE):
            last_y[lane] = y[at + lane] if beside != NOTHING and lane < rest else <real>0
        if shift == IF_FAR and block_above(<const real*>last_x, <real>NEAR):
            found.far = True
            return
        exp_block(<const real*>last_x, top, <real*>last, shift)
        for lane in range(WIDE):
            if lane < rest:
                p[at + lane] = last[lane]
        for lane in range(WIDE):
            last[lane] = last[lane] if lane < rest else <real>0
        add_all(<const real*>last, <const real*>last_y, beside, sums, others, &huge)
    found.top, found.exps, found.beside, found.huge = top, total(sums), total(others), huge


cdef inline always_inline exp_row(
    const real* x, const real* y, real* p, Py_ssize_t n, Shift shift, const Beside beside, Sums* found
) noexcept nogil:
    """``p = exp(x - max x)`` or exp(x), as `shift` says, and the row's sums: of p, and of y or the products with it."""
    if shift == IF_FAR:
        all_blocks(x, y, p, n, <real>0, IF_FAR, beside, found)
        if not found.far:
            return
    if shift == NEVER:
        all_blocks(x, y, p, n, <real>0, NEVER, beside, found)
    else:
        all_blocks(x, y, p, n, largest(x, n), ALWAYS, beside, found)


cdef inline double in_double(const real* x, const real* y, Py_ssize_t n) noexcept nogil:
    """The sum of x, or of its products with y where given, each column added in double."""
    cdef double[LANES] sums
    cdef Py_ssize_t j
    memset(sums, 0, sizeof(sums))
    for j in range(n):
        sums[j % LANES] = multiply_add(<double>x[j], <double>y[j] if y != NULL else <double>1, sums[j % LANES])
    return total(sums)
