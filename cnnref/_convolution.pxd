"""The kernels of ``conv``: what a convolution and its gradients are as correlations and sums over the batch."""

from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from cnnref._correlate cimport correlate
from cnnref._memory cimport allocate
from cnnref._narrow cimport is_narrow
from cnnref._outer cimport outer_product
from cnnref._panels cimport pack_columns, pack_rows, padded_columns
from cnnref._plan cimport Correlation, multiplications
from cnnref._types cimport multiply_add, real
from cnnref.threads cimport team_size


cdef struct Shape:
    # A convolution's extents, under the post's names.
    Py_ssize_t m
    Py_ssize_t n_H_prev
    Py_ssize_t n_W_prev
    Py_ssize_t n_C_prev
    Py_ssize_t f
    Py_ssize_t n_C
    Py_ssize_t stride
    Py_ssize_t pad
    Py_ssize_t n_H
    Py_ssize_t n_W


cdef inline Correlation forward_plan(const Shape* s) noexcept nogil:
    cdef Correlation plan
    plan.samples = s.m
    plan.height = s.n_H_prev
    plan.width = s.n_W_prev
    plan.channels = s.n_C_prev
    plan.top = s.pad
    plan.left = s.pad
    plan.stride = s.stride
    plan.window_h = s.f
    plan.window_w = s.f
    plan.n_H = s.n_H
    plan.n_W = s.n_W
    plan.columns = s.n_C
    plan.pixel_step = s.n_C
    plan.row_step = s.n_W * s.n_C
    plan.sample_step = s.n_H * s.n_W * s.n_C
    join_samples(&plan)
    return plan


cdef inline void join_samples(Correlation* plan) noexcept nogil:
    """Take 1x1 windows over whole images as one tall image: tiles then run across samples."""
    if (
        plan.window_h == 1 and plan.window_w == 1 and plan.stride == 1 and plan.top == 0 and plan.left == 0
        and plan.n_H == plan.height and plan.n_W == plan.width
        and plan.row_step == plan.n_W * plan.columns and plan.sample_step == plan.n_H * plan.row_step
    ):
        plan.height *= plan.samples
        plan.n_H *= plan.samples
        plan.samples = 1


cdef inline bint all_finite(const real* values, Py_ssize_t count) noexcept nogil:
    """Whether no value is infinite or NaN, by a count that vectorises.

    The narrow kernel multiplies filters with the zeros around an image, which is harmless only then (0 * inf is NaN).
    """
    cdef Py_ssize_t j, others = 0
    for j in range(count):
        others += values[j] - values[j] != 0
    return others == 0


cdef inline int forward(const Shape* s, const real* A_prev, const real* W, const real* b, real* Z) noexcept nogil:
    cdef Correlation plan = forward_plan(s)
    cdef Py_ssize_t depth = s.f * s.f * s.n_C_prev
    cdef Py_ssize_t padded = padded_columns(s.n_C, <real>0)
    cdef real* start = <real*>allocate(padded * (depth + 1), sizeof(real))
    cdef Py_ssize_t j, k
    cdef bint narrow = is_narrow(&plan) and all_finite(W, depth * s.n_C)
    cdef int status
    if start == NULL:
        return -1
    memset(start, 0, padded * sizeof(real))
    memcpy(start, b, s.n_C * sizeof(real))
    if narrow:
        for j in range(s.n_C):
            for k in range(depth):
                start[padded + j * depth + k] = W[k * s.n_C + j]
    else:
        pack_columns(W, depth, s.n_C, start + padded, team_size(<double>depth * s.n_C))
    status = correlate(&plan, A_prev, start + padded, start, Z, narrow, team_size(multiplications(&plan)))
    free(start)
    return status


cdef inline int backward_input(const Shape* s, const real* dZ, const real* W, real* dA_prev) noexcept nogil:
    """`dA_prev`, phase by phase.

    The pixels whose row and column have the same remainders modulo the stride are touched by the same filter taps: for
    them the gradient is a dense correlation of dZ with those taps, in reverse.
    """
    cdef Py_ssize_t size = s.m * s.n_H_prev * s.n_W_prev * s.n_C_prev
    cdef Py_ssize_t padded = padded_columns(s.n_C_prev, <real>0)
    cdef Py_ssize_t row_phase, column_phase, phases = min(s.stride, s.f)
    cdef Py_ssize_t first_h, first_w, r, q, depth
    cdef Correlation plan
    cdef bint finite = all_finite(W, s.f * s.f * s.n_C_prev * s.n_C)
    cdef bint narrow
    cdef int status = 0
    cdef real* panels
    cdef real* start
    start = <real*>allocate(padded * (s.f * s.f * s.n_C + 1), sizeof(real))
    if start == NULL:
        return -1
    memset(start, 0, padded * sizeof(real))
    panels = start + padded
    if s.stride > 1:
        memset(dA_prev, 0, size * sizeof(real))
    plan.samples = s.m
    plan.height = s.n_H
    plan.width = s.n_W
    plan.channels = s.n_C
    plan.stride = 1
    plan.columns = s.n_C_prev
    plan.pixel_step = s.stride * s.n_C_prev
    plan.row_step = s.stride * s.n_W_prev * s.n_C_prev
    plan.sample_step = s.n_H_prev * s.n_W_prev * s.n_C_prev
    for row_phase in range(phases):
        first_h = (row_phase - s.pad) % s.stride
        if first_h < 0:
            first_h += s.stride
        plan.window_h = (s.f - row_phase + s.stride - 1) // s.stride
        plan.n_H = max((s.n_H_prev - first_h + s.stride - 1) // s.stride, <Py_ssize_t>0)
        plan.top = plan.window_h - 1 - (first_h + s.pad - row_phase) // s.stride
        for column_phase in range(phases):
            first_w = (column_phase - s.pad) % s.stride
            if first_w < 0:
                first_w += s.stride
            plan.window_w = (s.f - column_phase + s.stride - 1) // s.stride
            plan.n_W = max((s.n_W_prev - first_w + s.stride - 1) // s.stride, <Py_ssize_t>0)
            plan.left = plan.window_w - 1 - (first_w + s.pad - column_phase) // s.stride
            depth = plan.window_h * plan.window_w * s.n_C
            narrow = finite and is_narrow(&plan)
            for r in range(plan.window_h):
                for q in range(plan.window_w):
                    pack_tap(
                        &plan,
                        W + (
                            (row_phase + s.stride * (plan.window_h - 1 - r)) * s.f
                            + column_phase + s.stride * (plan.window_w - 1 - q)
                        ) * s.n_C_prev * s.n_C,
                        narrow, depth, (r * plan.window_w + q) * s.n_C, panels,
                    )
            status = run_phase(plan, dZ, panels, start, narrow, dA_prev + (first_h * s.n_W_prev + first_w) * s.n_C_prev)
            if status < 0:
                break
        if status < 0:
            break
    free(start)
    return status


cdef inline void pack_tap(
    const Correlation* plan, const real* tap, bint narrow, Py_ssize_t depth, Py_ssize_t at, real* panels
) noexcept nogil:
    """Pack one tap's ``(n_C_prev, n_C)`` matrix, transposed, from row `at` of the panels on."""
    cdef Py_ssize_t c
    if narrow:
        for c in range(plan.columns):
            memcpy(panels + c * depth + at, tap + c * plan.channels, plan.channels * sizeof(real))
    else:
        pack_rows(
            tap, plan.channels, plan.columns, plan.channels, depth, at, panels,
            team_size(<double>plan.channels * plan.columns),
        )


cdef inline int run_phase(
    Correlation plan, const real* dZ, const real* panels, const real* start, bint narrow, real* dA_prev
) noexcept nogil:
    join_samples(&plan)
    return correlate(&plan, dZ, panels, start, dA_prev, narrow, team_size(multiplications(&plan)))


cdef inline int backward_filters(
    const Shape* s, const real* dZ, const real* A_prev, real* dW, real* db
) noexcept nogil:
    cdef Correlation plan = forward_plan(s)
    return outer_product(&plan, A_prev, dZ, dW, db, team_size(multiplications(&plan)))


cdef inline double single_step(const real* a, const real* w, real total, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        total = multiply_add(a[j], w[j], total)
    return total
