"""The kernels of ``conv``: what a convolution and its gradients are as correlations and sums over the batch.

Each group of a grouped convolution is a convolution of its own, whose images and outputs are parts of each pixel:
``n_C_prev / groups`` input channels and ``n_C / groups`` filters, one group after the other. Many small groups, down
to depthwise, are taken at once (``small_groups.pxd``), larger ones each by itself (``groups.pxd``).
"""

from libc.string cimport memset

from cnnref.checks.hyper cimport Axis
from cnnref.kernels.base.types cimport multiply_add, real
from cnnref.kernels.conv.groups cimport correlate_each, sum_each
from cnnref.kernels.conv.problem cimport Correlation, multiplications
from cnnref.kernels.conv.small_groups cimport at_once, correlate_groups
from cnnref.kernels.conv.stride_phase cimport Phase, covers, phase, phases
from cnnref.kernels.depthwise.driver cimport Part
from cnnref.kernels.gemm.pack cimport Matrix
from cnnref.kernels.gemm.patch_scatter cimport correlate_patches, in_patches
from cnnref.kernels.planar.driver cimport MOST_NARROW, all_finite
from cnnref.kernels.wgrad.driver cimport batch_sums
from cnnref.threads cimport team_size


cdef enum:
    # Phases that are taken together.
    MOST_PARTS = 16


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


cdef inline Correlation forward_plan(const Shape* s, bint whole) noexcept nogil:
    """The correlation of the input with the filters: of one group, or of the `whole`."""
    cdef Correlation plan
    plan.samples = s.m
    plan.height = s.h.n
    plan.width = s.w.n
    plan.channels = s.n_C_prev // s.groups
    plan.image_step = s.n_C_prev
    plan.top = s.h.before
    plan.left = s.w.before
    plan.stride_h = s.h.stride if s.n_H > 1 else 1
    plan.stride_w = s.w.stride if s.n_W > 1 else 1
    plan.dilation_h = s.h.dilation
    plan.dilation_w = s.w.dilation
    plan.window_h = s.h.f
    plan.window_w = s.w.f
    plan.n_H = s.n_H
    plan.n_W = s.n_W
    plan.sharing = s.n_C // s.groups
    plan.columns = s.n_C if whole else plan.sharing
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


cdef inline Py_ssize_t input_size(const Shape* s) noexcept nogil:
    """Elements of the input; as of all extents of an array, the product fits."""
    return s.m * s.h.n * s.w.n * s.n_C_prev


cdef inline Py_ssize_t output_size(const Shape* s) noexcept nogil:
    return s.m * s.n_H * s.n_W * s.n_C


cdef inline Py_ssize_t filter_size(const Shape* s) noexcept nogil:
    return filter_rows(s) * s.n_C


cdef inline double work(const Shape* s) noexcept nogil:
    """Operations, at the most: what a call without channels still goes through is counted too."""
    return (
        (<double>s.m * s.n_H * s.n_W + <double>s.m * s.h.n * s.w.n + 1) * (<double>filter_rows(s) + 1)
        * (<double>s.n_C // s.groups + 1) * s.groups
    )


cdef inline Py_ssize_t filter_rows(const Shape* s) noexcept nogil:
    """Rows of the filters, each with the values of all groups."""
    return s.h.f * s.w.f * (s.n_C_prev // s.groups)


cdef inline bint finite(const Shape* s, const real* W) noexcept nogil:
    """Whether no filter is infinite or NaN: such a one may not be multiplied with the zeros around an image."""
    return all_finite(W, filter_rows(s) * s.n_C)


cdef inline int forward(const Shape* s, const real* A_prev, const real* W, const real* b, real* Z) noexcept nogil:
    """`Z`; `b` may be NULL for no biases."""
    cdef bint whole = at_once(s.groups, s.n_C // s.groups, s.n_C_prev // s.groups, <real>0) and finite(s, W)
    cdef Part part
    part.plan = forward_plan(s, whole)
    part.place.pixel_step = part.plan.channels * s.n_C
    part.place.row_step = part.plan.window_w * part.place.pixel_step
    part.place.channel_step = s.n_C
    part.place.column_step = 1
    part.matrix = part.out = 0
    if whole:
        return correlate_groups(&part, 1, A_prev, part.plan.sharing, W, b, Z)
    return correlate_each(&part, 1, s.groups, filter_rows(s), part.plan.columns, A_prev, W, b, Z)


cdef inline bint adjoining(const Axis* axis, Py_ssize_t outputs) noexcept nogil:
    """Whether windows lie side by side on one axis, and leave no pixel out."""
    return axis.f == axis.stride and axis.dilation == 1 and axis.before == 0 and axis.n == outputs * axis.stride


cdef inline bint joined(const Shape* s, bint biased) noexcept nogil:
    """Whether windows lie side by side: the pixels of one are then columns of one correlation, not phases.

    The filters' pixels and channels are neighbours in one order with those of an image. A bias is one of channels alone.
    """
    return s.groups == 1 and adjoining(&s.w, s.n_W) and not biased


cdef inline int backward_input(
    const Shape* s, const real* dZ, const real* W, const real* b, real* dA_prev
) noexcept nogil:
    """`dA_prev`, its phases one by one or together (see ``stride_phase.pxd``); `b`, unless NULL, is added to its sums."""
    cdef int status
    cdef Py_ssize_t pixel, j, number, count = 0, pixels = s.m * s.h.n * s.w.n
    cdef Py_ssize_t rows = phases(&s.h), columns = 1 if joined(s, b != NULL) else phases(&s.w)
    cdef Part parts[MOST_PARTS]
    cdef bint whole = at_once(s.groups, s.n_C_prev // s.groups, s.n_C // s.groups, <real>0) and finite(s, W)
    cdef bint together = whole or s.n_C_prev // s.groups <= MOST_NARROW
    if joined(s, b != NULL) and adjoining(&s.h, s.n_H):
        parts[0] = phase_part(s, whole, phase(&s.h, 0), phase(&s.w, 0), False, True)
        if in_patches(parts, s.h.f, <real>0):
            return correlate_patches(parts, s.h.f, dZ, W, dA_prev)
    if not covers(&s.h) or not covers(&s.w):
        # The pixels that no tap touches.
        if b == NULL:
            memset(dA_prev, 0, pixels * s.n_C_prev * sizeof(real))
        else:
            for pixel in range(pixels):
                for j in range(s.n_C_prev):
                    dA_prev[pixel * s.n_C_prev + j] = <real>0 + b[j]
    for number in range(rows * columns):
        parts[count] = phase_part(
            s, whole, phase(&s.h, number // columns), phase(&s.w, number % columns), b != NULL,
            together and rows * columns > 1,
        )
        count += 1
        if together and count < MOST_PARTS and number + 1 < rows * columns:
            continue
        if whole:
            status = correlate_groups(parts, count, dZ, parts[0].plan.channels, W, b, dA_prev)
        else:
            status = correlate_each(
                parts, count, s.groups, filter_rows(s), parts[0].plan.channels, dZ, W, b, dA_prev
            )
        if status < 0:
            return -1
        count = 0
    return 0


cdef inline Correlation phase_plan(const Shape* s, bint whole, const Phase* h, const Phase* w) noexcept nogil:
    """The correlation of `dZ` with the taps that touch the pixels of a phase: of one group, or of the `whole`."""
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
    plan.sharing = s.n_C_prev // s.groups
    plan.columns = s.n_C_prev if whole else plan.sharing
    plan.pixel_step = s.w.stride * s.n_C_prev
    plan.row_step = s.h.stride * s.w.n * s.n_C_prev
    plan.sample_step = s.h.n * s.w.n * s.n_C_prev
    return plan


cdef inline Part phase_part(
    const Shape* s, bint whole, Phase h, Phase w, bint biased, bint together
) noexcept nogil:
    """The pixels of one phase, taken `together` with others or not; the taps are taken in reverse."""
    cdef Part part
    cdef Py_ssize_t tap_size
    part.plan = phase_plan(s, whole, &h, &w)
    tap_size = part.plan.sharing * s.n_C
    part.place.row_step = -h.tap_step * s.w.f * tap_size
    part.place.pixel_step = -w.tap_step * tap_size
    part.place.channel_step = 1
    part.place.column_step = s.n_C
    part.matrix = ((h.tap + h.tap_step * (h.taps - 1)) * s.w.f + w.tap + w.tap_step * (w.taps - 1)) * tap_size
    part.out = (h.first * s.w.n + w.first) * s.n_C_prev
    if joined(s, biased):
        part.plan.columns *= s.w.f
        part.plan.sharing = part.plan.columns
    if not together:  # those that are have the same images
        join_samples(&part.plan)
    return part


cdef inline int backward_filters(
    const Shape* s, const real* dZ, const real* A_prev, real* dW, real* db
) noexcept nogil:
    cdef bint whole = at_once(s.groups, s.n_C // s.groups, s.n_C_prev // s.groups, <real>0)
    cdef Correlation plan = forward_plan(s, whole)
    if whole:
        return batch_sums(&plan, A_prev, dZ, dW, db, team_size(multiplications(&plan)))
    return sum_each(&plan, s.groups, A_prev, dZ, dW, db)


cdef inline double single_step(const real* a, const real* w, real bias, Py_ssize_t count) noexcept nogil:
    cdef real total = 0
    cdef Py_ssize_t j
    for j in range(count):
        total = multiply_add(a[j], w[j], total)
    return total + bias
