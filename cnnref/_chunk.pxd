"""One chunk of a sum over a batch: tiles of taps by columns, summed over the chunk's pixels."""

from libc.string cimport memcpy

from cnnref._panels cimport copy_panel
from cnnref._plan cimport Correlation, in_place
from cnnref._tile cimport MOST_COLUMNS, MOST_ROWS, panel_width, tile, tile_rows
from cnnref._types cimport real
from cnnref.threads cimport stopped


cdef inline bint tap_by_tap(const Correlation* plan) noexcept nogil:
    """Whether tiles keep to one (row, column) of the window, so that pixels where it is padding can be left out.

    With few channels tiles run across taps instead, over padded copies.
    """
    return plan.channels >= 32 and not in_place(plan)


cdef inline void reach(
    Py_ssize_t tap, Py_ssize_t before, Py_ssize_t extent, Py_ssize_t stride, Py_ssize_t outputs,
    Py_ssize_t* first, Py_ssize_t* end,
) noexcept nogil:
    """The outputs on one axis whose windows have the element `tap` after their first inside the image."""
    first[0] = max((before - tap + stride - 1) // stride, <Py_ssize_t>0) if before > tap else 0
    end[0] = min((extent - 1 + before - tap) // stride + 1, outputs) if extent + before > tap else 0


cdef inline void multiply_chunk(
    const Correlation* plan, const real** bases, const Py_ssize_t* places, Py_ssize_t pieces, Py_ssize_t image_step,
    Py_ssize_t line, Py_ssize_t chunk_top, Py_ssize_t n_rows, const real* dZ, real* memory, bint fresh,
    Py_ssize_t from_tap, Py_ssize_t to_tap, real* dW, Py_ssize_t dW_step, real* scratch, const int* watched,
) noexcept nogil:
    """Add one chunk's sums for taps `from_tap` to `to_tap` to `dW`, or set them where `fresh`, unless `stopped`.

    `bases` are the first windows of the chunk's samples, their pixels `image_step` and their rows `line` values apart;
    `memory` is for a panel of its `dZ`; NULL where that is one as it stands. The taps of `dW` are `dW_step` values apart.
    """
    cdef Py_ssize_t own[MOST_ROWS]
    cdef Py_ssize_t same[MOST_ROWS]
    cdef const real* start
    cdef const Py_ssize_t* starts
    cdef real* sums = scratch + MOST_COLUMNS
    cdef bint apart = tap_by_tap(plan)
    cdef Py_ssize_t depth = pieces * n_rows * plan.n_W
    cdef Py_ssize_t step = plan.stride_w * image_step
    cdef Py_ssize_t first = 0, width, valid, tap, row, column, piece, j
    cdef Py_ssize_t top = chunk_top, bottom = chunk_top + n_rows, left = 0, right = plan.n_W
    cdef Py_ssize_t base
    cdef const real* panel = dZ
    cdef int rows, r, count, taken
    cdef real* target
    if from_tap == to_tap:
        return
    for r in range(MOST_ROWS):
        own[r] = r * MOST_COLUMNS
        same[r] = 0
    while first < plan.columns:
        if stopped(watched):
            return
        width = panel_width(plan.columns - first, <real>0)
        valid = min(width, plan.columns - first)
        rows = tile_rows(<int>width, <real>0)
        if memory != NULL:
            copy_panel(dZ + first, depth, plan.pixel_step, valid, width, memory)
            panel = memory
        tap = from_tap
        while tap < to_tap:
            count = <int>min(<Py_ssize_t>rows, to_tap - tap)
            base = 0
            if apart:
                count = <int>min(<Py_ssize_t>count, plan.channels - tap % plan.channels)
                row = tap // plan.channels // plan.window_w
                column = tap // plan.channels % plan.window_w
                reach(row * plan.dilation_h, plan.top, plan.height, plan.stride_h, plan.n_H, &top, &bottom)
                top = max(top, chunk_top)
                bottom = min(bottom, chunk_top + n_rows)
                reach(column * plan.dilation_w, plan.left, plan.width, plan.stride_w, plan.n_W, &left, &right)
                base = row * plan.dilation_h * line + column * plan.dilation_w * image_step
            taken = 0
            for piece in range(pieces if top < bottom and left < right else 0):
                # The first row of `scratch` holds zeros.
                start = scratch
                starts = same
                if taken:
                    start = sums
                    starts = own
                tile(
                    <int>width, count, bases[piece] + (base + (top - chunk_top) * plan.stride_h * line + left * step),
                    places + (tap % plan.channels if apart else tap), step,
                    plan.stride_h * line - (right - left) * step,
                    panel + ((piece * n_rows + top - chunk_top) * plan.n_W + left) * width,
                    (plan.n_W - right + left) * width, bottom - top, right - left,
                    start, starts, NULL, sums, own,
                )
                taken += 1
            for r in range(count):
                target = dW + (tap + r) * dW_step + first
                if fresh:
                    memcpy(target, sums + own[r] if taken else scratch, valid * sizeof(real))
                elif taken:
                    for j in range(valid):
                        target[j] += sums[own[r] + j]
            tap += count
        first += width
