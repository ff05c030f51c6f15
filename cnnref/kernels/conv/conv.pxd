"""The kernels of ``conv``: what a convolution and its gradients are as correlations and sums over the batch.

Each group of a grouped convolution is a convolution of its own, whose images and outputs are parts of each pixel:
``n_C_prev / groups`` input channels and ``n_C / groups`` filters, one group after the other. Many small groups, down
to depthwise, are taken at once (``small_groups.pxd``), larger ones each by itself (``groups.pxd``).
"""

from libc.string cimport memset

from cnnref.kernels.base.types cimport multiply_add, real
from cnnref.kernels.conv.correlations cimport (
    Shape,
    adjoining,
    filter_rows,
    forward_part,
    forward_plan,
    joined,
    phase_part,
)
from cnnref.kernels.conv.groups cimport correlate_each, sum_each
from cnnref.kernels.conv.problem cimport ConvPart, Correlation, multiplications
from cnnref.kernels.conv.select cimport in_patches, phases_together, small_groups
from cnnref.kernels.conv.small_groups cimport correlate_groups
from cnnref.kernels.conv.stride_phase cimport covers, phase, phases
from cnnref.kernels.gemm.patch_scatter cimport correlate_patches
from cnnref.kernels.planar.driver cimport all_finite
from cnnref.kernels.wgrad.driver cimport wgrad
from cnnref.threads cimport team_size


cdef enum:
    # Phases that are taken together.
    MOST_PARTS = 16


cdef inline bint finite(const Shape* s, const real* W) noexcept nogil:
    """Whether no filter is infinite or NaN: such a one may not be multiplied with the zeros around an image."""
    return all_finite(W, filter_rows(s) * s.n_C)


cdef inline int forward(const Shape* s, const real* A_prev, const real* W, const real* b, real* Z) noexcept nogil:
    """`Z`; `b` may be NULL for no biases."""
    cdef bint whole = small_groups(s.groups, s.n_C // s.groups, s.n_C_prev // s.groups, <real>0) and finite(s, W)
    cdef ConvPart part = forward_part(s, whole)
    if whole:
        return correlate_groups(&part, 1, A_prev, part.plan.sharing, W, b, Z)
    return correlate_each(&part, 1, s.groups, filter_rows(s), part.plan.columns, A_prev, W, b, Z)


cdef inline int backward_input(
    const Shape* s, const real* dZ, const real* W, const real* b, real* dA_prev
) noexcept nogil:
    """`dA_prev`, its phases one by one or together (see ``stride_phase.pxd``); `b`, unless NULL, is added to its sums."""
    cdef int status
    cdef Py_ssize_t pixel, j, number, count = 0, pixels = s.m * s.h.n * s.w.n
    cdef Py_ssize_t rows = phases(&s.h), columns = 1 if joined(s, b != NULL) else phases(&s.w)
    cdef ConvPart parts[MOST_PARTS]
    cdef bint whole = small_groups(s.groups, s.n_C_prev // s.groups, s.n_C // s.groups, <real>0) and finite(s, W)
    cdef bint together = whole or phases_together(s.n_C_prev // s.groups)
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


cdef inline int backward_filters(
    const Shape* s, const real* dZ, const real* A_prev, real* dW, real* db
) noexcept nogil:
    cdef bint whole = small_groups(s.groups, s.n_C // s.groups, s.n_C_prev // s.groups, <real>0)
    cdef Correlation plan = forward_plan(s, whole)
    if whole:
        return wgrad(&plan, A_prev, dZ, dW, db, team_size(multiplications(&plan)))
    return sum_each(&plan, s.groups, A_prev, dZ, dW, db)


cdef inline double single_step(const real* a, const real* w, real bias, Py_ssize_t count) noexcept nogil:
    cdef real total = 0
    cdef Py_ssize_t j
    for j in range(count):
        total = multiply_add(a[j], w[j], total)
    return total + bias
