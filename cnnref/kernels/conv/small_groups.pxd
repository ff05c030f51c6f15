"""Many small groups of a convolution as one correlation, vectorised over the channels of all of them."""

from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.register_block cimport panel_width
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport ConvPart, Correlation, Matrix, multiplications, taps_of
from cnnref.kernels.depthwise.driver cimport correlate_depthwise
from cnnref.kernels.gemm.pack cimport padded_columns
from cnnref.threads cimport team_size

cdef inline void pack_depthwise(
    const Correlation* plan, const Matrix* place, Py_ssize_t group_step, const real* matrix, real* panels
) noexcept nogil:
    """Pack the filters into panels: row (window row, column, term) holds each column's value in its own group."""
    cdef Py_ssize_t depth = taps_of(plan)
    cdef Py_ssize_t first = 0, width, valid, row, i, j, tap
    cdef bint neighbours = (
        (place.column_step == 1 and group_step == plan.sharing) or (plan.sharing == 1 and group_step == 1)
    )
    cdef const real* source
    cdef real* target
    while first < plan.columns:
        width = panel_width(plan.columns - first, <real>0)
        valid = min(width, plan.columns - first)
        for row in range(depth):
            tap = row // plan.channels
            i = row % plan.channels
            source = (
                matrix + tap // plan.window_w * place.row_step + tap % plan.window_w * place.pixel_step
                + i * place.channel_step
            )
            target = panels + first * depth + row * width
            memset(target, 0, width * sizeof(real))
            if neighbours:
                memcpy(target, source + first, valid * sizeof(real))
                continue
            for j in range(first, first + valid):
                target[j - first] = source[j % plan.sharing * place.column_step + j // plan.sharing * group_step]
        first += width


cdef inline int correlate_groups(
    ConvPart* parts, Py_ssize_t count, const real* images, Py_ssize_t group_step, const real* matrix, const real* bias,
    real* out,
) noexcept nogil:
    """As ``implicit_gemm`` for all groups, whose filters start `group_step` values apart; -1 where it failed."""
    cdef Py_ssize_t padded = padded_columns(parts[0].plan.columns, <real>0)
    cdef Py_ssize_t i, size = 0
    cdef double work = 0
    cdef real* panels
    cdef real* last = NULL
    cdef int status
    for i in range(count):
        parts[i].panels = size
        size += padded * taps_of(&parts[i].plan)
        work += multiplications(&parts[i].plan)
    panels = <real*>allocate(size + padded, sizeof(real))
    if panels == NULL:
        return -1
    if bias != NULL:
        last = panels + size
        memset(last, 0, padded * sizeof(real))
        memcpy(last, bias, parts[0].plan.columns * sizeof(real))
    for i in range(count):
        pack_depthwise(&parts[i].plan, &parts[i].place, group_step, matrix + parts[i].matrix, panels + parts[i].panels)
    status = correlate_depthwise(parts, count, images, panels, last, out, team_size(work))
    free(panels)
    return status
