"""Gradients with respect to an input whose windows lie side by side: each pixel of `dZ` times the filters is a patch of it.

A stem that cuts an image into patches has few channels, so that one row of a window is a part of a vector, but a whole
window is several vectors: its rows are taken as the columns of one product, whose register blocks are stored row by row.
Each value has one window, so its sum is the chain of ``driver.pxd``.
"""

from cython.parallel cimport prange
from libc.stdlib cimport free
from libc.string cimport memset

from cnnref.kernels.base.integers cimport share
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.register_block cimport MOST_COLUMNS, MOST_ROWS, block_rows, panel_width
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport ConvPart, multiplications
from cnnref.kernels.gemm.micro_kernel cimport micro_kernel
from cnnref.kernels.gemm.pack cimport copy_values, pack, padded_columns
from cnnref.threads cimport stopped, team_size, watch

cdef enum:
    # Pixels that all panels are done with before the next ones.
    PATCHES = 256


cdef struct Patches:
    # The values of a pixel; the columns of a row of a patch, and rows; patches side by side in an image, and values of one of
    # its lines.
    Py_ssize_t depth
    Py_ssize_t run
    Py_ssize_t rows
    Py_ssize_t across
    Py_ssize_t line


cdef inline void store_patches(
    const Patches* patches, const real* sums, Py_ssize_t count, Py_ssize_t pixel, Py_ssize_t first, Py_ssize_t valid,
    real* out,
) noexcept nogil:
    """Store the columns [first, first + valid) of the patches of `count` pixels, a row of `sums` each."""
    cdef Py_ssize_t p, row, column, columns, x
    cdef Py_ssize_t left = pixel % patches.across
    cdef real* corner = out + pixel // patches.across * patches.rows * patches.line + left * patches.run
    cdef real* target
    for row in range(first // patches.run, share(first + valid, patches.run)):
        column = max(first, row * patches.run)
        columns = min(first + valid, (row + 1) * patches.run) - column
        target = corner + row * patches.line + column - row * patches.run
        x = left
        for p in range(count):
            copy_values(sums + p * MOST_COLUMNS + column - first, columns, target)
            target += patches.run
            x += 1
            if x == patches.across:
                x = 0
                target += (patches.rows - 1) * patches.line


cdef inline void multiply_patches(
    const Patches* patches, const real* dZ, Py_ssize_t pixel, Py_ssize_t end, const real* packed, real* out,
    real* scratch,
) noexcept nogil:
    """The patches of pixels [pixel, end); `scratch` has a register block's sums, then a row of zeros."""
    cdef Py_ssize_t places[MOST_ROWS]
    cdef Py_ssize_t own[MOST_ROWS]
    cdef Py_ssize_t same[MOST_ROWS]
    cdef Py_ssize_t columns = patches.rows * patches.run, first = 0, place, count, r
    cdef int width, height
    while first < columns:
        width = panel_width(columns - first, <real>0)
        height = block_rows(width, <real>0)
        for r in range(MOST_ROWS):
            places[r] = r * patches.depth
            own[r] = r * MOST_COLUMNS
            same[r] = 0
        place = pixel
        while place < end:
            count = min(<Py_ssize_t>height, end - place)
            if count < height:
                for r in range(count, MOST_ROWS):
                    places[r] = places[count - 1]
            micro_kernel(
                width, <int>count, dZ + place * patches.depth, places, 1, 0, packed + first * patches.depth, 0,
                1, patches.depth, scratch + MOST_ROWS * MOST_COLUMNS, same, NULL, scratch, own,
            )
            store_patches(patches, scratch, count, place, first, min(<Py_ssize_t>width, columns - first), out)
            place += count
        first += width


cdef inline int patches_share(
    const Patches* patches, const real* dZ, Py_ssize_t pixel, Py_ssize_t end, const real* packed, real* out,
    const int* watched,
) noexcept nogil:
    """One thread's pixels; -1 where it had no memory or the call is stopped."""
    cdef Py_ssize_t size = (MOST_ROWS + 1) * MOST_COLUMNS
    cdef real* scratch = <real*>allocate(size, sizeof(real))
    if scratch == NULL:
        return -1
    memset(scratch, 0, size * sizeof(real))
    while pixel < end and not stopped(watched):
        multiply_patches(patches, dZ, pixel, min(pixel + PATCHES, end), packed, out, scratch)
        pixel += PATCHES
    free(scratch)
    return -1 if pixel < end else 0


cdef inline int correlate_patches(
    const ConvPart* row, Py_ssize_t rows, const real* dZ, const real* W, real* dA_prev
) noexcept nogil:
    """All patches; -1 where memory ran out or the call is stopped."""
    cdef Patches patches
    cdef Py_ssize_t first = 0, width, columns = row.plan.columns * rows
    cdef Py_ssize_t pixels = row.plan.samples * row.plan.n_H * row.plan.n_W, units = share(pixels, PATCHES)
    cdef int team = team_size(rows * multiplications(&row.plan))
    cdef int member, failed = 0
    cdef const int* watched = watch()
    cdef real* packed = <real*>allocate(padded_columns(columns, <real>0) * row.plan.channels, sizeof(real))
    if packed == NULL:
        return -1
    patches.depth, patches.run, patches.rows = row.plan.channels, row.plan.columns, rows
    patches.across, patches.line = row.plan.n_W, row.plan.row_step // rows
    while first < columns:
        width = panel_width(columns - first, <real>0)
        pack(
            &row.place, W + first * row.place.column_step, patches.depth, 0, 1, 0, patches.depth,
            min(width, columns - first), width, packed + first * patches.depth,
        )
        first += width
    for member in prange(team, num_threads=team, schedule="static", chunksize=1):
        failed += -patches_share(
            &patches, dZ, member * units // team * PATCHES, min((member + 1) * units // team * PATCHES, pixels),
            packed, dA_prev, watched,
        )
    free(packed)
    return -1 if failed else 0
