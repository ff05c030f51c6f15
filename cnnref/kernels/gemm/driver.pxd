"""Windows of images times a matrix: conv forward, its `dA_prev`, and both affine products.

Every output pixel is a window of `window_h` rows of `window_w` taps of `channels` values; its outputs are the chains

    out[j] = (sum over (row, column, channel of the window, in C order) of value * matrix[step][j]) + bias[j]

with fused multiply-adds from 0 and the bias added last: a bias that came first would make every partial sum, and so the
rounding errors, larger. What of a window lies outside the image is left out of the chain, so the image is read in place,
without a padded copy (see ``border.pxd``). Work is split into blocks of output pixels and, where those are few, into
single panels of the matrix. Within a block the sum is cut into depth blocks whose panels stay in the cache. Where all
pixels are one block each panel is needed once: it is packed depth block by depth block, just before its use, and threads share
the columns.
"""

from cython.parallel cimport prange
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from cnnref.kernels.base.integers cimport share
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.register_block cimport MOST_COLUMNS, MOST_ROWS, panel_width, widest
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport Correlation, Matrix, multiplications, taps_of
from cnnref.kernels.gemm.blocking cimport (
    KC,
    BlockCut,
    DepthBlock,
    by_columns,
    count_depth_blocks,
    cut_work,
    some_columns,
    depth_block,
)
from cnnref.kernels.gemm.border cimport Box, Boxes, allocate_boxes, free_boxes, place_boxes
from cnnref.kernels.gemm.macro_kernel cimport fill_box, macro_kernel
from cnnref.kernels.gemm.pack cimport pack, padded_columns
from cnnref.threads cimport ready, stopped, team_size, watch


cdef inline const real* bias_from(const real* bias, Py_ssize_t first) noexcept nogil:
    """The biases from column `first` on; NULL if there are none."""
    if bias == NULL:
        return bias
    return bias + first


cdef inline void multiply_panel(
    const Correlation* plan, const Boxes* block, const DepthBlock* part, const real* images, const real* panel,
    int width, Py_ssize_t valid, const real* bias, real* out, real* scratch,
) noexcept nogil:
    """Take one depth block (NULL: the whole of an empty sum) into one panel's outputs of a block."""
    cdef real* own_bias = scratch + (MOST_ROWS + 1) * MOST_COLUMNS
    cdef Py_ssize_t number
    cdef Box box
    if bias != NULL and valid < width:
        # The register block reads it as wide as it is itself.
        memset(own_bias, 0, width * sizeof(real))
        memcpy(own_bias, bias, valid * sizeof(real))
        bias = own_bias
    for number in range(block.count):
        box = block.boxes[number]
        if part != NULL and box.row < box.end_row and box.column < box.end_column:
            macro_kernel(plan, block, &box, part, images, panel, width, valid, bias, out, scratch)
        elif part == NULL or (part.row == 0 and part.at == 0):
            fill_box(block, &box, valid, bias, out)


cdef inline void multiply_block(
    const Correlation* plan, const Boxes* block, const real* images, const Matrix* place, const real* matrix,
    const real* packed, Py_ssize_t first_panel, Py_ssize_t end_panel, const real* bias, real* out, real* scratch,
    const int* watched,
) noexcept nogil:
    """The outputs of some panels for all pixels of a block, unless `stopped`."""
    cdef Py_ssize_t run = plan.window_w * plan.channels
    cdef Py_ssize_t depth = plan.window_h * run
    cdef Py_ssize_t depth_blocks = count_depth_blocks(plan)
    cdef Py_ssize_t number, index, first, width, valid
    cdef const real* panel
    cdef DepthBlock part
    for number in range(max(depth_blocks, <Py_ssize_t>1)):
        if depth_blocks:
            part = depth_block(plan, number)
        for index in range(first_panel, end_panel):
            if stopped(watched):
                return
            first = index * widest(<real>0)
            width = panel_width(plan.columns - first, <real>0)
            valid = min(width, plan.columns - first)
            panel = packed
            if depth_blocks and packed == NULL:
                panel = scratch + (MOST_ROWS + 2) * MOST_COLUMNS
                pack(
                    place, matrix + first * place.column_step, plan.channels, part.row, part.end_row,
                    part.at, part.end, valid, width, <real*>panel,
                )
            elif depth_blocks:
                panel = packed + first * depth + (part.row * run + part.at) * width
            multiply_panel(
                plan, block, &part if depth_blocks else NULL, images, panel, <int>width, valid,
                bias_from(bias, first), out + first, scratch,
            )


cdef inline int correlate_share(
    const Correlation* plan, const BlockCut* cut, const real* images, const Matrix* place, const real* matrix,
    const real* packed, const real* bias, real* out, int member, int team, const int* watched,
) noexcept nogil:
    """The pieces of work of thread `member` of `team`; -1 where it had no memory or the call is stopped."""
    cdef Boxes block
    cdef Py_ssize_t task = member, number, group, sample, top, samples, placed = 0, placed_top = 0
    cdef Py_ssize_t size = (MOST_ROWS + 2) * MOST_COLUMNS
    cdef real* scratch
    if packed == NULL:
        size += panel_width(plan.columns, <real>0) * min(<Py_ssize_t>KC, taps_of(plan))
    scratch = <real*>allocate(size, sizeof(real))
    if scratch == NULL:
        return -1
    if allocate_boxes(plan, cut.samples, cut.rows, &block) < 0:
        free(scratch)
        return -1
    memset(scratch, 0, (MOST_ROWS + 2) * MOST_COLUMNS * sizeof(real))
    while task < cut.blocks * cut.groups:
        number = task // cut.groups
        group = task % cut.groups
        sample = number // cut.row_blocks * cut.samples
        top = number % cut.row_blocks * cut.rows
        samples = min(cut.samples, plan.samples - sample)
        if samples != placed or top != placed_top:
            place_boxes(plan, samples, top, min(top + cut.rows, plan.n_H), &block)
            placed, placed_top = samples, top
        multiply_block(
            plan, &block, images + sample * plan.height * plan.width * plan.image_step, place, matrix, packed,
            group * cut.panels // cut.groups, (group + 1) * cut.panels // cut.groups, bias,
            out + sample * plan.sample_step, scratch, watched,
        )
        if stopped(watched):
            break
        task += team
    free_boxes(&block)
    free(scratch)
    return -1 if task < cut.blocks * cut.groups else 0


cdef inline void pack_all(
    const Correlation* plan, const Matrix* place, const real* matrix, real* packed, const int* watched
) noexcept nogil:
    """Pack the whole matrix, unless `stopped`."""
    cdef Py_ssize_t run = plan.window_w * plan.channels
    cdef Py_ssize_t depth_blocks = count_depth_blocks(plan)
    cdef Py_ssize_t panels = share(plan.columns, widest(<real>0))
    cdef Py_ssize_t task
    cdef int team = team_size(<double>plan.window_h * run * plan.columns)
    if team == 1:
        for task in range(panels * depth_blocks):
            if not stopped(watched):
                pack_one(plan, place, matrix, task // depth_blocks * widest(<real>0), task % depth_blocks, packed)
        return
    for task in prange(panels * depth_blocks, num_threads=team, schedule="static"):
        if not stopped(watched):
            pack_one(plan, place, matrix, task // depth_blocks * widest(<real>0), task % depth_blocks, packed)


cdef inline void pack_one(
    const Correlation* plan, const Matrix* place, const real* matrix, Py_ssize_t first, Py_ssize_t number, real* packed
) noexcept nogil:
    cdef DepthBlock part = depth_block(plan, number)
    cdef Py_ssize_t run = plan.window_w * plan.channels
    cdef Py_ssize_t width = panel_width(plan.columns - first, <real>0)
    pack(
        place, matrix + first * place.column_step, plan.channels, part.row, part.end_row, part.at, part.end,
        min(width, plan.columns - first), width,
        packed + first * plan.window_h * run + (part.row * run + part.at) * width,
    )


cdef inline int columns_share(
    const Correlation* plan, const real* images, const Matrix* place, const real* matrix, const real* bias, real* out,
    int member, int team, const int* watched,
) noexcept nogil:
    """The columns of thread `member` of `team`, of all pixels; -1 where it had no memory or the call is stopped."""
    cdef Py_ssize_t first
    cdef Correlation own = some_columns(plan, member, team, <real>0, &first)
    cdef BlockCut cut = cut_work(&own, 1, <real>0)
    return correlate_share(
        &own, &cut, images, place, matrix + first * place.column_step, <real*>NULL, bias_from(bias, first),
        out + first, 0, 1, watched,
    )


cdef inline int work_share(
    const Correlation* plan, const BlockCut* cut, const real* images, const Matrix* place, const real* matrix,
    const real* packed, const real* bias, real* out, int member, int team, const int* watched,
) noexcept nogil:
    """The part of thread `member` of `team`."""
    if by_columns(plan, team, <real>0):
        return columns_share(plan, images, place, matrix, bias, out, member, team, watched)
    return correlate_share(plan, cut, images, place, matrix, packed, bias, out, member, team, watched)


cdef inline int implicit_gemm(
    const Correlation* plan, const real* images, const Matrix* place, const real* matrix, const real* bias, real* out
) noexcept nogil:
    """All outputs; -1 where memory ran out or the call is stopped.

    `bias` is added to each column's sums; NULL where there is none.
    """
    cdef int team = team_size(multiplications(plan))
    cdef int member, failed = 0
    cdef const int* watched = watch()
    cdef Py_ssize_t depth = taps_of(plan)
    cdef BlockCut cut
    cdef real* memory = NULL
    cdef const real* packed = NULL
    if plan.samples == 0 or plan.n_H == 0 or plan.n_W == 0 or plan.columns == 0:
        return 0
    cut = cut_work(plan, team, <real>0)
    if cut.blocks > 1 and depth > 0 and not by_columns(plan, team, <real>0):
        memory = <real*>allocate(padded_columns(plan.columns, <real>0) * depth, sizeof(real))
        if memory == NULL:
            return -1
        pack_all(plan, place, matrix, memory, watched)
        packed = memory
    if team == 1:
        failed = -work_share(plan, &cut, images, place, matrix, packed, bias, out, 0, 1, watched)
    else:
        for member in prange(team, num_threads=ready(team), schedule="static", chunksize=1):
            failed += -work_share(
                plan, &cut, images, place, matrix, packed, bias, out, member, team, watched
            )
    free(memory)
    return -1 if failed else 0
