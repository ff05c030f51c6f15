"""One chunk of a sum over a batch: register blocks of taps by columns, summed over the chunk's pixels."""

from libc.string cimport memcpy

from cnnref.kernels.base.isa cimport CNNREF_VECTOR_BYTES
from cnnref.kernels.base.register_block cimport MOST_COLUMNS, MOST_ROWS, block_rows
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport Correlation
from cnnref.kernels.conv.select cimport (
    PREFETCHED,
    UNPACKED,
    Kernel,
    prefetches,
    sum_width,
    tap_by_tap,
    unpacked,
    wgrad_kernel,
)
from cnnref.kernels.gemm.micro_kernel cimport SIDE, micro_kernel, prefetching_6_by_4_vectors, unpacked_8_by_3_vectors
from cnnref.kernels.gemm.pack cimport copy_panel
from cnnref.threads cimport stopped


cdef enum:
    # Cache lines of a step of the widest panel.
    LINES = 4


cdef inline void reach(
    Py_ssize_t tap, Py_ssize_t before, Py_ssize_t extent, Py_ssize_t stride, Py_ssize_t outputs,
    Py_ssize_t* first, Py_ssize_t* end,
) noexcept nogil:
    """The outputs on one axis whose windows have the element `tap` after their first inside the image."""
    first[0] = max((before - tap + stride - 1) // stride, <Py_ssize_t>0) if before > tap else 0
    end[0] = min((extent - 1 + before - tap) // stride + 1, outputs) if extent + before > tap else 0


cdef inline void store_sums(
    const real* sums, Py_ssize_t count, bint fresh, Py_ssize_t step, real* target
) noexcept nogil:
    """Add sums to values `step` apart, or set these where `fresh`."""
    cdef Py_ssize_t j
    if step == 1 and fresh:
        memcpy(target, sums, count * sizeof(real))
    elif step == 1:
        for j in range(count):
            target[j] += sums[j]
    elif fresh:
        for j in range(count):
            target[j * step] = sums[j]
    else:
        for j in range(count):
            target[j * step] += sums[j]


cdef inline void put_sums(
    Py_ssize_t count, const real* sums, Py_ssize_t step, Py_ssize_t columns, bint fresh, real* dW, Py_ssize_t dW_step
) noexcept nogil:
    """Add `count` rows of `columns` sums, `step` apart, to `dW`, or set them where `fresh`."""
    cdef Py_ssize_t _row
    for _row in range(count):
        store_sums(sums, columns, fresh, 1, dW)
        sums += step
        dW += dW_step


cdef inline void wgrad_macro_kernel(
    const Correlation* plan, const real** bases, const Py_ssize_t* places, Py_ssize_t pieces, Py_ssize_t image_step,
    Py_ssize_t line, Py_ssize_t chunk_top, Py_ssize_t n_rows, const real* dZ, real* memory, bint fresh,
    Py_ssize_t from_tap, Py_ssize_t to_tap, real* dW, Py_ssize_t tap_step, Py_ssize_t column_step, real* scratch,
    const int* watched,
) noexcept nogil:
    """Add one chunk's sums for taps `from_tap` to `to_tap` to `dW`, or set them where `fresh`, unless `stopped`.

    `bases` are the first windows of the chunk's samples, their pixels `image_step` and their rows `line` values apart;
    `memory` is for a panel of its `dZ`; NULL where that is one as it stands. The taps and columns of `dW` are `tap_step` and
    `column_step` values apart.
    """
    cdef Py_ssize_t own[MOST_ROWS]
    cdef Py_ssize_t same[MOST_ROWS]
    cdef const real* start
    cdef const Py_ssize_t* starts
    cdef real* sums = scratch + MOST_COLUMNS
    cdef bint by_taps = tap_by_tap(plan)
    cdef Py_ssize_t depth = pieces * n_rows * plan.n_W
    cdef Py_ssize_t step = plan.stride_w * image_step
    cdef Py_ssize_t first = 0, width, valid, tap, row, column, piece
    cdef Py_ssize_t top = chunk_top, bottom = chunk_top + n_rows, left = 0, right = plan.n_W
    cdef Py_ssize_t base, runs, length, skip, panel_step
    cdef bint lying = unpacked(plan, to_tap - from_tap, <real>0), ahead = prefetches(plan)
    cdef Kernel kernel
    cdef Py_ssize_t line_ahead
    cdef const real* following
    cdef const real* here
    cdef const real* values
    cdef const real* panel = dZ
    cdef int rows, r, count, taken
    if from_tap == to_tap:
        return
    for r in range(MOST_ROWS):
        own[r] = r * MOST_COLUMNS
        same[r] = 0
    while first < plan.columns:
        if stopped(watched):
            return
        width = sum_width(plan, to_tap - from_tap, plan.columns - first, <real>0)
        valid = min(width, plan.columns - first)
        rows = block_rows(<int>width, <real>0)
        panel_step = width
        following = dZ + (first + width if first + width < plan.columns else depth * plan.pixel_step)
        if lying:
            panel = dZ + first
            panel_step = plan.pixel_step
        elif memory != NULL:
            copy_panel(dZ + first, depth, plan.pixel_step, valid, width, memory)
            panel = memory
        tap = from_tap
        while tap < to_tap:
            count = <int>min(<Py_ssize_t>rows, to_tap - tap)
            base = 0
            if by_taps:
                count = <int>min(<Py_ssize_t>count, plan.channels - tap % plan.channels)
                row = tap // plan.channels // plan.window_w
                column = tap // plan.channels % plan.window_w
                reach(row * plan.dilation_h, plan.top, plan.height, plan.stride_h, plan.n_H, &top, &bottom)
                top = max(top, chunk_top)
                bottom = min(bottom, chunk_top + n_rows)
                reach(column * plan.dilation_w, plan.left, plan.width, plan.stride_w, plan.n_W, &left, &right)
                base = row * plan.dilation_h * line + column * plan.dilation_w * image_step
            kernel = wgrad_kernel(lying, ahead, width, count, <real>0)
            taken = 0
            for piece in range(pieces if top < bottom and left < right else 0):
                # The first row of `scratch` holds zeros.
                start = scratch
                starts = same
                if taken:
                    start = sums
                    starts = own
                runs = bottom - top
                length = right - left
                if plan.stride_h * line == length * step and length == plan.n_W:
                    # Rows that follow one another without a gap are one run.
                    length *= runs
                    runs = 1
                here = bases[piece] + (base + (top - chunk_top) * plan.stride_h * line + left * step)
                skip = plan.stride_h * line - (right - left) * step
                values = panel + ((piece * n_rows + top - chunk_top) * plan.n_W + left) * panel_step
                if CNNREF_VECTOR_BYTES == 64 and kernel == UNPACKED:
                    unpacked_8_by_3_vectors(
                        here, places + tap, step, skip, values, panel_step,
                        (plan.n_W - right + left) * panel_step, runs, length, start, starts, sums, own,
                    )
                elif kernel == PREFETCHED:
                    line_ahead = (tap - from_tap) // SIDE
                    # Each of the first register blocks asks for one line of every pixel's part of the next panel.
                    prefetching_6_by_4_vectors(
                        here, places + (tap % plan.channels if by_taps else tap), step, skip, values,
                        (plan.n_W - right + left) * width, runs, length, start, starts, sums, own,
                        following + line_ahead * (64 // <Py_ssize_t>sizeof(real)) if line_ahead < LINES else values,
                        plan.pixel_step if line_ahead < LINES else 0,
                    )
                else:
                    micro_kernel(
                        <int>width, count, here, places + (tap % plan.channels if by_taps else tap), step, skip, values,
                        (plan.n_W - right + left) * width, runs, length, start, starts, NULL, sums, own,
                    )
                taken += 1
            for r in range(count if fresh or taken else 0):
                store_sums(
                    sums + own[r] if taken else scratch, valid, fresh, column_step,
                    dW + (tap + r) * tap_step + first * column_step,
                )
            tap += count
        first += width
