"""The plan: which kernel serves which shape of a convolution or an affine layer, each predicate once.

A choice *decides bits* where its kernels differ in what the zeros around an image are: left out of a sum, or terms of it,
which turn a sum of -0 into 0. It must not depend on instruction set or threads, and where zeros are terms the filters must be
finite, as 0 times an infinity is NaN. All others are of *speed*: the kernels compute the same chains. In the order in which
drivers ask:

    conv_forward, dA_prev:  small_groups ............... depthwise/   shuffles, slides, or by the indirection buffer
                            in_patches (dA_prev) ....... gemm/patch_scatter.pxd
                            is_planar .................. planar/      few_channels_in, one_channel_out, or any other
                            else, and affine ........... gemm/        has_half_vector, or any other
    dW:                     small_groups ............... depthwise/   shuffles, wgrad_slides, or any other
                            in_sample_pairs ............ wgrad/micro_kernel_sample_pairs.pxd
                            exchanged or not ........... wgrad/       unpacked, prefetches, or any other; tap_by_tap or not

Which of the GEMM's micro-kernels a register block is, full or the tail of others, with rows evenly spaced or not, is found
block by block (`micro_kernel` in ``gemm/micro_kernel.pxd``); a pooling's kernel where its arguments are read (`_pool` in
``checks/pool_affine.pyx``: dense square windows or any other). `cnnref.kernel_for` says what comes of all this for a shape.
"""

from cnnref.kernels.base.integers cimport multiple, share
from cnnref.kernels.base.isa cimport CNNREF_VECTOR_BYTES
from cnnref.kernels.base.register_block cimport lanes, widest
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport ConvPart, Correlation, Frame, contiguous, frame_of, in_place, taps_of
from cnnref.kernels.depthwise.micro_kernel_sliding cimport SLIDING_PIXELS
from cnnref.kernels.depthwise.wgrad_micro_kernel cimport taps_width
from cnnref.kernels.depthwise.wgrad_micro_kernel_sliding cimport slides
from cnnref.kernels.gemm.micro_kernel cimport HALF, LANE, ROWS_OF_POINTER, SIDE
from cnnref.kernels.planar.micro_kernel cimport MOST_PLANE_ROWS
from cnnref.kernels.planar.micro_kernel_few_channels_in cimport COLUMNS_ABREAST
from cnnref.kernels.planar.micro_kernel_one_channel_out cimport JAMMED_ROWS
from cnnref.kernels.wgrad.blocking cimport MOST_UNPACKED, in_threes, least, narrowed
from cnnref.kernels.wgrad.micro_kernel_sample_pairs cimport PAIRED_COLUMNS

cdef enum:
    # Groups are taken at once where there are at least so many, with at most so many outputs and terms a tap each.
    LEAST_GROUPS = 4
    MOST_SHARING = 4
    MOST_TERMS = 8
    # Columns of a pixel for which vectors run along the image (24 are pairs of pixels: see `has_half_vector`).
    MOST_PLANAR = 23
    # Taps, of all phases, that pay for taking the image apart: where a vector's values are never used, and where a part of
    # them is.
    LEAST_TAPS = 2
    MORE_TAPS = 4
    # float32 values of the widest vector.
    WIDEST_FLOATS = 16
    # Columns, channels and pixels of a line for which pixels are the vectors and filters the scalars.
    FEWEST_COLUMNS = 4
    FEW_CHANNELS = 3
    SHORTEST_LINE = 8
    # Channels from which the gradient of filters leaves the padding out.
    MANY_CHANNELS = 32


cdef enum Kernel:
    # Where there is a choice within a family.
    PLAIN
    SHUFFLED
    SLIDING
    FEW_CHANNELS_IN
    ONE_CHANNEL_OUT
    UNPACKED
    PREFETCHED


# Convolutions and their gradients with respect to the input.


cdef inline bint small_groups(Py_ssize_t groups, Py_ssize_t sharing, Py_ssize_t terms, real kind) noexcept nogil:
    """Decides bits: whether all groups of `sharing` columns of `terms` terms a tap are one correlation.

    Larger ones fill a register block by themselves, but for 8 of float32. Padding left and right counts as zeros.
    """
    return groups >= LEAST_GROUPS and (
        (1 <= sharing <= MOST_SHARING and 1 <= terms <= MOST_TERMS) or (real is float and sharing == terms == MOST_TERMS)
    )


cdef inline bint in_patches(const ConvPart* row, Py_ssize_t rows, real kind) noexcept nogil:
    """Speed: whether the `rows` of windows side by side, of which `row` is the first, are taken together.

    One of them alone fills few vectors. Nothing is padded there.
    """
    return rows > 1 and row.plan.columns < 3 * lanes(kind) and row.plan.channels > 0


cdef inline bint is_planar(const ConvPart* parts, Py_ssize_t count, real kind) noexcept nogil:
    """Decides bits: whether vectors run along the image for all `parts`; its padding counts as zeros then."""
    cdef const Correlation* plan = &parts[0].plan
    cdef Frame frame
    cdef Py_ssize_t i, taps = 0
    if plan.columns > MOST_PLANAR or plan.stride_h > 1 or plan.stride_w > 1 or plan.channels == 0:
        return False
    for i in range(count):
        taps += parts[i].plan.window_h * parts[i].plan.window_w
    if plan.columns <= 3:
        return taps >= LEAST_TAPS
    if real is float:
        if taps >= MORE_TAPS * count:
            frame = frame_of(parts, count)
            # What of a block is used, here and where vectors run along the columns; a fifth more pays for the planes.
            return (
                6 * multiple(plan.columns, MOST_PLANE_ROWS) * (frame.n_W + frame.span_w - 1)
                <= 5 * multiple(plan.columns, WIDEST_FLOATS) * frame.n_W
            )
    return False


cdef inline bint phases_together(Py_ssize_t columns) noexcept nogil:
    """Decides bits: whether `is_planar` is asked for the phases of a gradient together, which then share their planes."""
    return columns <= MOST_PLANAR


cdef inline Kernel planar_kernel(const Correlation* plan, Py_ssize_t n_rows, real kind) noexcept nogil:
    """Speed: the micro-kernel of `n_rows` output rows where `is_planar`."""
    if few_channels_in(plan, kind):
        return FEW_CHANNELS_IN
    return ONE_CHANNEL_OUT if one_channel_out(plan, n_rows, kind) else PLAIN


cdef inline bint few_channels_in(const Correlation* plan, real kind) noexcept nogil:
    """Speed: float32, few channels, 4 to 8 columns, no short lines."""
    return (
        real is float and FEWEST_COLUMNS <= plan.columns <= COLUMNS_ABREAST and plan.channels <= FEW_CHANNELS
        and plan.n_W >= SHORTEST_LINE
    )


cdef inline bint one_channel_out(const Correlation* plan, Py_ssize_t n_rows, real kind) noexcept nogil:
    """Speed: one column, windows of 3 or 5 rows that follow one another, enough output rows for a block."""
    return (
        CNNREF_VECTOR_BYTES == 64 and plan.columns == plan.pixel_step == plan.dilation_h == 1
        and plan.window_h in (3, 5) and n_rows >= JAMMED_ROWS and plan.n_W >= lanes(kind)
    )


cdef inline bint has_half_vector(Py_ssize_t width, Py_ssize_t valid, real kind) noexcept nogil:
    """Speed: whether two pixels share the last vector of a panel `width` wide, of whose columns `valid` are needed."""
    return (
        CNNREF_VECTOR_BYTES == 64 and sizeof(kind) == 4 and width - valid == HALF
        and (width == 2 * LANE or width == 3 * LANE)
    )


# Small groups.


cdef inline bint shuffles(Py_ssize_t channels, Py_ssize_t sharing, real kind) noexcept nogil:
    """Speed: whether groups of so many columns and channels have micro-kernels that spread a term over its group."""
    return channels == sharing and (channels == 2 or channels == 4 or (real is float and channels == 8))


cdef inline bint side_by_side(const Correlation* plan, Py_ssize_t valid, Py_ssize_t width, real kind) noexcept nogil:
    """Speed: whether what the `valid` columns of a panel `width` wide read need not be copied into their order first."""
    if shuffles(plan.channels, plan.sharing, kind):
        return valid == width and width % lanes(kind) == 0
    return valid == width and plan.channels == plan.sharing == 1


cdef inline bint windows_overlap(const Correlation* plan) noexcept nogil:
    """Whether neighbouring windows are as far apart, and as wide, as there are micro-kernels for that load a pixel once."""
    return (
        1 <= plan.stride_w <= 2 and plan.dilation_w == 1
        and (plan.window_w == 3 or plan.window_w == 5 or plan.window_w == 7)
    )


cdef inline Py_ssize_t sliding_columns(const Correlation* plan, real kind) noexcept nogil:
    """Speed: how many of the columns can slide: all panels of whole vectors, where `windows_overlap`."""
    cdef Py_ssize_t rest = plan.columns % widest(kind)
    if not (plan.channels == plan.sharing == 1 and windows_overlap(plan)):
        return 0
    return plan.columns if rest % lanes(kind) == 0 else plan.columns - rest


cdef inline Kernel depthwise_kernel(
    const Correlation* plan, Py_ssize_t first, Py_ssize_t valid, Py_ssize_t width, Py_ssize_t pixels, real kind
) noexcept nogil:
    """Speed: the micro-kernel of the panel from column `first` on for so many pixels of a row."""
    if shuffles(plan.channels, plan.sharing, kind) and side_by_side(plan, valid, width, kind):
        return SHUFFLED
    return SLIDING if first < sliding_columns(plan, kind) and pixels >= SLIDING_PIXELS else PLAIN


cdef inline bint wgrad_slides(const Correlation* plan, real kind) noexcept nogil:
    """Speed: whether a window's pixels are loaded once for its gradient."""
    return (
        slides(kind) and plan.channels == 1 and windows_overlap(plan) and plan.window_h == plan.window_w
        and (plan.n_W + 1) * plan.stride_w >= plan.window_w
    )


cdef inline int panel_of_sums(const Correlation* plan, Py_ssize_t columns, real kind) noexcept nogil:
    """Speed: columns of the next panel of the gradient of filters: those of a block, or of several that slide."""
    cdef int lane = lanes(kind)
    if wgrad_slides(plan, kind) and columns > 8:
        return lane * <int>min(share(columns, lane), <Py_ssize_t>4)
    return taps_width(columns, kind)


cdef inline Kernel depthwise_wgrad_kernel(
    const Correlation* plan, Py_ssize_t valid, Py_ssize_t width, real kind
) noexcept nogil:
    """Speed: the micro-kernel of a panel of the gradient of filters: of whole vectors, but for the plain one."""
    if shuffles(plan.channels, plan.sharing, kind) and side_by_side(plan, valid, width, kind):
        return SHUFFLED
    return SLIDING if wgrad_slides(plan, kind) and width % lanes(kind) == 0 else PLAIN


# Gradients of filters.


cdef inline Py_ssize_t pair_taps(const Correlation* plan, Py_ssize_t side) noexcept nogil:
    """Taps of the blocks of ``side x side`` that cover a window."""
    return share(plan.window_h, side) * share(plan.window_w * plan.channels, side) * side * side


cdef inline bint in_sample_pairs(const Correlation* plan, real kind) noexcept nogil:
    """Speed: whether two chunks of the batch are summed side by side: filters that fill half a vector."""
    cdef Py_ssize_t taps = taps_of(plan)
    return (
        CNNREF_VECTOR_BYTES == 64 and sizeof(kind) == 4 and plan.columns <= PAIRED_COLUMNS and 0 < plan.channels < MANY_CHANNELS
        and plan.dilation_w == 1 and 2 * min(pair_taps(plan, 3), pair_taps(plan, 5)) <= 3 * taps
    )


cdef inline bint exchanged(const Correlation* plan, Py_ssize_t taps, real kind) noexcept nogil:
    """Speed: whether the gradient's values are rows and the taps columns."""
    return (
        CNNREF_VECTOR_BYTES == 64 and plan.window_h == 1 and plan.window_w == 1
        and plan.stride_h == 1 and plan.stride_w == 1 and plan.top == 0 and plan.left == 0
        and plan.n_H == plan.height and plan.n_W == plan.width
        and least(plan.columns, taps, kind) * 20 < least(taps, plan.columns, kind) * 19
    )


cdef inline bint tap_by_tap(const Correlation* plan) noexcept nogil:
    """Decides bits: whether blocks keep to one (row, column) of the window, so that its padding can be left out.

    With few channels blocks run across taps instead, over padded copies, whose zeros are terms.
    """
    return plan.channels >= MANY_CHANNELS and not in_place(plan)


cdef inline Py_ssize_t block_taps(const Correlation* plan) noexcept nogil:
    """Taps that blocks run across."""
    return plan.channels if tap_by_tap(plan) else taps_of(plan)


cdef inline Py_ssize_t sum_width(const Correlation* plan, Py_ssize_t taps, Py_ssize_t columns, real kind) noexcept nogil:
    """Speed: columns of the next block when `columns` of the plan's are still to do."""
    return narrowed(columns, in_threes(min(taps, block_taps(plan)), plan.columns, kind), kind)


cdef inline Py_ssize_t neighbours(const Correlation* plan) noexcept nogil:
    """Taps side by side in the image."""
    return plan.channels * (plan.window_w if contiguous(plan) else 1)


cdef inline bint unpacked(const Correlation* plan, Py_ssize_t taps, real kind) noexcept nogil:
    """Speed: whether the gradient is read where it lies: for so few taps that packing would not pay, in full blocks."""
    return (
        (plan.window_h * plan.window_w == 1 or (neighbours(plan) % ROWS_OF_POINTER == 0 and not tap_by_tap(plan)))
        and taps <= MOST_UNPACKED and taps % 8 == 0
        and plan.columns % (3 * lanes(kind)) == 0 and in_threes(taps, plan.columns, kind)
    )


cdef inline bint prefetches(const Correlation* plan) noexcept nogil:
    """Speed: whether the widest blocks are of taps side by side, a pixel's channels, and ask for what comes next."""
    return CNNREF_VECTOR_BYTES == 64 and (tap_by_tap(plan) or plan.window_h * plan.window_w == 1)


cdef inline Kernel wgrad_kernel(bint lying, bint ahead, Py_ssize_t width, Py_ssize_t rows, real kind) noexcept nogil:
    """Speed: the micro-kernel of a block of taps, for a plan that is `unpacked` (`lying`) or `prefetches` (`ahead`)."""
    if lying:
        return UNPACKED
    return PREFETCHED if ahead and width == widest(kind) and rows == SIDE else PLAIN
