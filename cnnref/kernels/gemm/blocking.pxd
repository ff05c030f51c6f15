"""How a correlation is cut for threads and caches: pixels into blocks of MC, sums into depth blocks of KC steps.

Columns are the panels of ``pack.pxd``, each as wide as a register block; all of them together are what is called NC elsewhere.
"""

from cnnref.kernels.base.caches cimport second_level
from cnnref.kernels.base.integers cimport divisor, share
from cnnref.kernels.base.register_block cimport block_rows, lanes, panel_width, widest
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport Correlation, mixed

cdef enum:
    # Steps of the sum whose panel (64 floats wide: 128 KiB) stays in a 512 KiB to 1 MiB second-level cache.
    KC = 512
    # Of that cache, what the image that a depth block of a block's sums spans may fill: one part of these.
    BLOCK_SHARE = 4
    # MC, the pixels of a block: enough to fill register blocks and to be worth streaming a panel, few enough for the tables of
    # their places.
    FEWEST_PIXELS = 96
    MOST_PIXELS = 1024


cdef struct BlockCut:
    # Samples and output rows of one block, how many blocks of rows a sample has, and how many blocks there are.
    Py_ssize_t samples
    Py_ssize_t rows
    Py_ssize_t row_blocks
    Py_ssize_t blocks
    # How many panels the matrix has, and pieces of work a block: one, or one a panel.
    Py_ssize_t panels
    Py_ssize_t groups


cdef struct DepthBlock:
    # Window rows [row, end_row), and of each the values [at, end).
    Py_ssize_t row
    Py_ssize_t end_row
    Py_ssize_t at
    Py_ssize_t end


cdef inline Py_ssize_t unit(const Correlation* plan, real kind) noexcept nogil:
    """Columns that are not divided: a vector of them, or as many as are whole groups too."""
    return lanes(kind) if mixed(plan) else lanes(kind) // divisor(lanes(kind), plan.sharing) * plan.sharing


cdef inline bint divides(const Correlation* plan, Py_ssize_t parts, int vectors, real kind) noexcept nogil:
    """Whether each of `parts` gets at least so many vectors of columns."""
    return plan.columns >= vectors * parts * unit(plan, kind)


cdef inline Correlation some_columns(
    const Correlation* plan, Py_ssize_t part, Py_ssize_t parts, real kind, Py_ssize_t* first
) noexcept nogil:
    """The correlation of part `part` of the columns, those from `first` on."""
    cdef Correlation some = plan[0]
    cdef Py_ssize_t size = unit(plan, kind)
    cdef Py_ssize_t units = share(plan.columns, size)
    first[0] = part * units // parts * size
    some.columns = min((part + 1) * units // parts * size, plan.columns) - first[0]
    if mixed(plan):
        some.sharing = some.columns
    return some


cdef inline bint by_columns(const Correlation* plan, int team, real kind) noexcept nogil:
    """Whether a team shares the columns: those of one block, in register blocks of three vectors or more."""
    return team > 1 and one_block(plan) and divides(plan, team, 3, kind)


cdef inline bint one_block(const Correlation* plan) noexcept nogil:
    """Whether all pixels are one block: then no panel is needed twice."""
    return plan.samples * plan.n_H * plan.n_W <= MOST_PIXELS


cdef inline void cut_rows(const Correlation* plan, Py_ssize_t rows, BlockCut* cut) noexcept nogil:
    """Cut the outputs into blocks of at most `rows` rows, of equal size rather than with a small one at the end."""
    rows = max(rows, <Py_ssize_t>1)
    cut.row_blocks = share(plan.n_H, min(rows, plan.n_H))
    cut.rows = share(plan.n_H, cut.row_blocks)
    cut.samples = share(plan.samples, share(plan.samples, max(rows // plan.n_H, <Py_ssize_t>1)))
    cut.blocks = share(plan.samples, cut.samples) * cut.row_blocks


cdef inline Py_ssize_t samples_of_block(const Correlation* plan, Py_ssize_t rows, real kind) noexcept nogil:
    """Samples that fill the register blocks of one pixel of each, at most twice the `rows` of a block; 0 where none do.

    A border's corners have few pixels a sample; more than 8 samples would not be worth it.
    """
    cdef int tile = min(block_rows(<int>panel_width(plan.columns, kind), kind), 8)
    if plan.window_h * plan.window_w > 1 and rows < tile * plan.n_H <= 2 * rows and plan.samples % tile == 0:
        return tile
    return 0


cdef inline BlockCut cut_work(const Correlation* plan, int team, real kind) noexcept nogil:
    """Blocks small enough for the cache, large enough to fill register blocks, and work for every thread."""
    cdef BlockCut cut
    cdef Py_ssize_t run = plan.window_w * plan.channels
    cdef Py_ssize_t all_rows = plan.samples * plan.n_H
    cdef Py_ssize_t row_bytes = (
        plan.stride_h * plan.width * plan.channels // max(share(run, KC), <Py_ssize_t>1)
        * <Py_ssize_t>sizeof(kind)
    )
    cdef Py_ssize_t rows = second_level() // BLOCK_SHARE // max(row_bytes, <Py_ssize_t>1)
    rows = max(min(rows, MOST_PIXELS // plan.n_W), share(FEWEST_PIXELS, plan.n_W))
    if one_block(plan):
        rows = all_rows
    elif samples_of_block(plan, rows, kind):
        rows = samples_of_block(plan, rows, kind) * plan.n_H
    cut.panels = share(plan.columns, widest(kind))
    cut_rows(plan, rows, &cut)
    if cut.blocks * cut.panels < 4 * team and cut.blocks * cut.panels % team:
        cut_rows(plan, max(share(all_rows * cut.panels, 4 * team), share(FEWEST_PIXELS, plan.n_W)), &cut)
    cut.groups = 1 if cut.blocks >= 4 * team else cut.panels
    return cut


cdef inline Py_ssize_t tap_parts(const Correlation* plan) noexcept nogil:
    """How many depth blocks each tap of the window is cut into, if it is more than one."""
    return share(plan.channels, KC)


cdef inline Py_ssize_t row_parts(const Correlation* plan) noexcept nogil:
    """How many depth blocks of whole taps each row of the window is cut into, if it is more than one."""
    return share(plan.window_w, KC // plan.channels)


cdef inline Py_ssize_t count_depth_blocks(const Correlation* plan) noexcept nogil:
    """How many depth blocks the sum is cut into."""
    cdef Py_ssize_t run = plan.window_w * plan.channels
    if plan.channels > KC:
        return plan.window_h * plan.window_w * tap_parts(plan)
    if run > KC:
        return plan.window_h * row_parts(plan)
    return share(plan.window_h, KC // run) if run else 0


cdef inline DepthBlock depth_block(const Correlation* plan, Py_ssize_t number) noexcept nogil:
    """A depth block of the sum: some whole window rows, some whole taps of one, or a part of a tap."""
    cdef DepthBlock part
    cdef Py_ssize_t run = plan.window_w * plan.channels
    cdef Py_ssize_t parts, tap
    if plan.channels > KC:
        parts = tap_parts(plan)
        tap = number // parts % plan.window_w
        part.row = number // parts // plan.window_w
        part.at = tap * plan.channels + number % parts * plan.channels // parts
        part.end = tap * plan.channels + (number % parts + 1) * plan.channels // parts
        part.end_row = part.row + 1
    elif run > KC:
        parts = row_parts(plan)
        part.row = number // parts
        part.at = number % parts * plan.window_w // parts * plan.channels
        part.end = (number % parts + 1) * plan.window_w // parts * plan.channels
        part.end_row = part.row + 1
    else:
        parts = share(plan.window_h, KC // run)
        part.row = number * plan.window_h // parts
        part.end_row = (number + 1) * plan.window_h // parts
        part.at = 0
        part.end = run
    return part
