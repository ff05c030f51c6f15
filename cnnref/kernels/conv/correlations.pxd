"""What layers are as correlations: a convolution is one, its gradient one a stride phase; so is an affine product."""

from cnnref.checks.hyper cimport Axis
from cnnref.kernels.conv.problem cimport ConvPart, Correlation
from cnnref.kernels.conv.stride_phase cimport Phase


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


cdef inline void join_samples(Correlation* plan) noexcept nogil:
    """Take 1x1 windows over whole images as one tall image: register blocks then run across samples."""
    if (
        plan.window_h == 1 and plan.window_w == 1 and plan.stride_h == 1 and plan.stride_w == 1
        and plan.top == 0 and plan.left == 0 and plan.n_H == plan.height and plan.n_W == plan.width
        and plan.row_step == plan.n_W * plan.pixel_step and plan.sample_step == plan.n_H * plan.row_step
    ):
        plan.height *= plan.samples
        plan.n_H *= plan.samples
        plan.samples = 1


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


cdef inline ConvPart forward_part(const Shape* s, bint whole) noexcept nogil:
    """The correlation of the input with the filters, and where these lie."""
    cdef ConvPart part
    part.plan = forward_plan(s, whole)
    part.place.pixel_step = part.plan.channels * s.n_C
    part.place.row_step = part.plan.window_w * part.place.pixel_step
    part.place.channel_step = s.n_C
    part.place.column_step = 1
    part.matrix = part.out = 0
    return part


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


cdef inline bint adjoining(const Axis* axis, Py_ssize_t outputs) noexcept nogil:
    """Whether windows lie side by side on one axis, and leave no pixel out."""
    return axis.f == axis.stride and axis.dilation == 1 and axis.before == 0 and axis.n == outputs * axis.stride


cdef inline bint joined(const Shape* s, bint biased) noexcept nogil:
    """Whether windows lie side by side: the pixels of one are then columns of one correlation, not phases.

    The filters' pixels and channels are neighbours in one order with those of an image. A bias is one of channels alone.
    """
    return s.groups == 1 and adjoining(&s.w, s.n_W) and not biased


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


cdef inline ConvPart phase_part(
    const Shape* s, bint whole, Phase h, Phase w, bint biased, bint together
) noexcept nogil:
    """The pixels of one phase, taken `together` with others or not; the taps are taken in reverse."""
    cdef ConvPart part
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


cdef inline Correlation product_plan(Py_ssize_t m, Py_ssize_t inner, Py_ssize_t columns) noexcept nogil:
    """``m`` rows of `inner` values times a matrix of `columns` columns."""
    cdef Correlation plan
    plan.samples = 1
    plan.height = plan.n_H = m
    plan.width = plan.n_W = 1
    plan.channels = plan.image_step = inner
    plan.top = plan.left = 0
    plan.stride_h = plan.stride_w = plan.dilation_h = plan.dilation_w = plan.window_h = plan.window_w = 1
    plan.columns = plan.sharing = columns
    plan.pixel_step = plan.row_step = columns
    plan.sample_step = m * columns
    return plan
