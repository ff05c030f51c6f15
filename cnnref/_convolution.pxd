"""The kernels of ``conv``: what a convolution and its gradients are as correlations and sums over the batch.

The channels of a group are every group's ``n_C_prev / groups`` input channels and ``n_C / groups`` filters, one group after
the other: each group is a convolution of its own, whose images and outputs are parts of each pixel.
"""

from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from cnnref._correlate cimport correlate
from cnnref._hyper cimport Axis
from cnnref._memory cimport allocate
from cnnref._narrow cimport MOST_NARROW, is_narrow
from cnnref._outer cimport outer_product
from cnnref._panels cimport pack_columns, pack_rows, padded_columns
from cnnref._phase cimport Phase, covers, phase, phases
from cnnref._plan cimport Correlation, multiplications
from cnnref._types cimport multiply_add, real
from cnnref.threads cimport team_size


cdef struct Shape:
    # A convolution's extents: the window on each axis of the input, and the outputs, under the post's names.
    Py_ssize_t m
    Axis h
    Axis w
    Py_ssize_t n_C_prev
    Py_ssize_t n_C
    Py_ssize_t groups
    Py_ssize_t n_H
    Py_ssize_t n_W


cdef inline Correlation forward_plan(const Shape* s) noexcept nogil:
    """One group's correlation of the input with its filters."""
    cdef Correlation plan
    plan.samples = s.m
    plan.height = s.h.n
    plan.width = s.w.n
    plan.channels = s.n_C_prev // s.groups
    plan.image_step = s.n_C_prev
    plan.top = s.h.before
    plan.left = s.w.before
    plan.stride_h = s.h.stride
    plan.stride_w = s.w.stride
    plan.dilation_h = s.h.dilation
    plan.dilation_w = s.w.dilation
    plan.window_h = s.h.f
    plan.window_w = s.w.f
    plan.n_H = s.n_H
    plan.n_W = s.n_W
    plan.columns = s.n_C // s.groups
    plan.pixel_step = s.n_C
    plan.row_step = s.n_W * s.n_C
    plan.sample_step = s.n_H * s.n_W * s.n_C
    join_samples(&plan)
    return plan


cdef inline void join_samples(Correlation* plan) noexcept nogil:
    """Take 1x1 windows over whole images as one tall image: tiles then run across samples."""
    if (
        plan.window_h == 1 and plan.window_w == 1 and plan.stride_h == 1 and plan.stride_w == 1
        and plan.top == 0 and plan.left == 0 and plan.n_H == plan.height and plan.n_W == plan.width
        and plan.row_step == plan.n_W * plan.pixel_step and plan.sample_step == plan.n_H * plan.row_step
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
    """`Z`; `b` may be NULL for no biases."""
    cdef Py_ssize_t group, inputs = s.n_C_prev // s.groups, filters = s.n_C // s.groups
    cdef bint finite = filters <= MOST_NARROW and all_finite(W, s.h.f * s.w.f * inputs * s.n_C)
    for group in range(s.groups):
        if forward_group(
            s, finite, A_prev + group * inputs, W + group * filters,
            NULL if b == NULL else b + group * filters, Z + group * filters,
        ) < 0:
            return -1
    return 0


cdef inline int forward_group(
    const Shape* s, bint finite, const real* A_prev, const real* W, const real* b, real* Z
) noexcept nogil:
    cdef Correlation plan = forward_plan(s)
    cdef Py_ssize_t depth = plan.window_h * plan.window_w * plan.channels
    cdef Py_ssize_t padded = padded_columns(plan.columns, <real>0)
    cdef real* start = <real*>allocate(padded * (depth + 1), sizeof(real))
    cdef Py_ssize_t j, k
    cdef bint narrow = finite and is_narrow(&plan)
    cdef int status
    if start == NULL:
        return -1
    memset(start, 0, padded * sizeof(real))
    if b != NULL:
        memcpy(start, b, plan.columns * sizeof(real))
    if narrow:
        for j in range(plan.columns):
            for k in range(depth):
                start[padded + j * depth + k] = W[k * s.n_C + j]
    else:
        pack_columns(W, depth, plan.columns, s.n_C, start + padded, team_size(<double>depth * plan.columns))
    status = correlate(&plan, A_prev, start + padded, start, Z, narrow, team_size(multiplications(&plan)))
    free(start)
    return status


cdef inline int backward_input(
    const Shape* s, const real* dZ, const real* W, const real* b, real* dA_prev
) noexcept nogil:
    """`dA_prev`, phase by phase (see ``_phase.pxd``); its chains start at `b` where that is not NULL."""
    cdef Py_ssize_t pixel, group, pixels = s.m * s.h.n * s.w.n
    cdef Py_ssize_t inputs = s.n_C_prev // s.groups, filters = s.n_C // s.groups
    cdef bint finite = inputs <= MOST_NARROW and all_finite(W, s.h.f * s.w.f * inputs * s.n_C)
    if not covers(&s.h) or not covers(&s.w):
        # The pixels that no tap touches.
        if b == NULL:
            memset(dA_prev, 0, pixels * s.n_C_prev * sizeof(real))
        else:
            for pixel in range(pixels):
                memcpy(dA_prev + pixel * s.n_C_prev, b, s.n_C_prev * sizeof(real))
    for group in range(s.groups):
        if backward_group(
            s, finite, dZ + group * filters, W + group * filters,
            NULL if b == NULL else b + group * inputs, dA_prev + group * inputs,
        ) < 0:
            return -1
    return 0


cdef inline int backward_group(
    const Shape* s, bint finite, const real* dZ, const real* W, const real* b, real* dA_prev
) noexcept nogil:
    cdef Py_ssize_t inputs = s.n_C_prev // s.groups, filters = s.n_C // s.groups
    cdef Py_ssize_t padded = padded_columns(inputs, <real>0)
    cdef Py_ssize_t row_phase, column_phase
    cdef int status = 0
    cdef real* start
    start = <real*>allocate(padded * (s.h.f * s.w.f * filters + 1), sizeof(real))
    if start == NULL:
        return -1
    memset(start, 0, padded * sizeof(real))
    if b != NULL:
        memcpy(start, b, inputs * sizeof(real))
    for row_phase in range(phases(&s.h)):
        for column_phase in range(phases(&s.w)):
            if status == 0:
                status = backward_phase(
                    s, phase(&s.h, row_phase), phase(&s.w, column_phase), finite, dZ, W, start, start + padded, dA_prev
                )
    free(start)
    return status


cdef inline Correlation phase_plan(const Shape* s, const Phase* h, const Phase* w) noexcept nogil:
    """One group's correlation of `dZ` with the taps that touch the pixels of a phase."""
    cdef Correlation plan
    plan.samples = s.m
    plan.height = s.n_H
    plan.width = s.n_W
    plan.channels = s.n_C // s.groups
    plan.image_step = s.n_C
    plan.top = h.before
    plan.left = w.before
    plan.stride_h = plan.stride_w = 1
    plan.dilation_h = h.dilation
    plan.dilation_w = w.dilation
    plan.window_h = h.taps
    plan.window_w = w.taps
    plan.n_H = h.pixels
    plan.n_W = w.pixels
    plan.columns = s.n_C_prev // s.groups
    plan.pixel_step = s.w.stride * s.n_C_prev
    plan.row_step = s.h.stride * s.w.n * s.n_C_prev
    plan.sample_step = s.h.n * s.w.n * s.n_C_prev
    return plan


cdef inline int backward_phase(
    const Shape* s, Phase h, Phase w, bint finite, const real* dZ, const real* W, const real* start, real* panels,
    real* dA_prev,
) noexcept nogil:
    """The pixels of one phase; `panels` is memory for its taps."""
    cdef Correlation plan = phase_plan(s, &h, &w)
    cdef Py_ssize_t depth = plan.window_h * plan.window_w * plan.channels
    cdef Py_ssize_t tap_size = plan.columns * s.n_C
    cdef Py_ssize_t r, q
    cdef bint narrow = finite and is_narrow(&plan)
    for r in range(plan.window_h):
        for q in range(plan.window_w):
            pack_tap(
                &plan,
                W + (
                    (h.tap + h.tap_step * (h.taps - 1 - r)) * s.w.f + w.tap + w.tap_step * (w.taps - 1 - q)
                ) * tap_size,
                narrow, depth, (r * plan.window_w + q) * plan.channels, panels,
            )
    join_samples(&plan)
    return correlate(
        &plan, dZ, panels, start, dA_prev + (h.first * s.w.n + w.first) * s.n_C_prev, narrow,
        team_size(multiplications(&plan)),
    )


cdef inline void pack_tap(
    const Correlation* plan, const real* tap, bint narrow, Py_ssize_t depth, Py_ssize_t at, real* panels
) noexcept nogil:
    """Pack one tap's ``(n_C_prev, n_C)`` matrix (of one group), transposed, from row `at` of the panels on."""
    cdef Py_ssize_t c
    if narrow:
        for c in range(plan.columns):
            memcpy(panels + c * depth + at, tap + c * plan.image_step, plan.channels * sizeof(real))
    else:
        pack_rows(
            tap, plan.channels, plan.columns, plan.image_step, depth, at, panels,
            team_size(<double>plan.channels * plan.columns),
        )


cdef inline int backward_filters(
    const Shape* s, const real* dZ, const real* A_prev, real* dW, real* db
) noexcept nogil:
    cdef Correlation plan = forward_plan(s)
    cdef Py_ssize_t group
    for group in range(s.groups):
        if outer_product(
            &plan, A_prev + group * plan.channels, dZ + group * plan.columns, dW + group * plan.columns,
            db + group * plan.columns, team_size(multiplications(&plan)),
        ) < 0:
            return -1
    return 0


cdef inline double single_step(const real* a, const real* w, real total, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(count):
        total = multiply_add(a[j], w[j], total)
    return total
