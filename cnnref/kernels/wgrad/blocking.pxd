"""Which tiles a sum over a batch is cut into: how wide, and which way round.

Taps are the rows of a tile and the gradient's values its columns. Where windows are single pixels the two may change places, as
``a * b + c`` is ``b * a + c``: 24 filters fill 75% of two vectors, but three tiles of 8 rows. No bit depends on the choice.
"""

from cnnref.kernels.base.isa cimport CNNREF_VECTOR_BYTES
from cnnref.kernels.base.register_block cimport lanes, panel_width, tile_rows
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport Correlation, contiguous, in_place, taps_of
from cnnref.kernels.gemm.micro_kernel_strided cimport SPACED

cdef enum:
    # Tiles of the taps read a panel so often that it had better be packed where there are more.
    MOST_UNPACKED = 64


cdef inline Py_ssize_t narrowed(Py_ssize_t columns, bint three, real kind) noexcept nogil:
    """Columns of the next of tiles that are at most 4 vectors wide, or `three`."""
    return 3 * lanes(kind) if three and columns >= 3 * lanes(kind) else panel_width(columns, kind)


cdef inline Py_ssize_t effort(Py_ssize_t rows, Py_ssize_t columns, bint three, real kind) noexcept nogil:
    """The time for `rows` x `columns` sums, in tenths of a multiplication of one row with one vector."""
    cdef Py_ssize_t width, height, vectors, total = 0
    while columns > 0:
        width = narrowed(columns, three, kind)
        height = tile_rows(<int>width, kind)
        vectors = (width + lanes(kind) - 1) // lanes(kind)
        # A tile of one vector waits for its loads.
        total += (rows + height - 1) // height * height * (11 if vectors == 1 else 10 * vectors)
        columns -= width
    return total


cdef inline bint in_threes(Py_ssize_t rows, Py_ssize_t columns, real kind) noexcept nogil:
    """Whether tiles of 8 rows of 3 vectors are much fuller than those of 6 rows of 4, or as full and need not be packed."""
    cdef Py_ssize_t three, four
    if CNNREF_VECTOR_BYTES < 64:
        return False
    three = effort(rows, columns, True, kind)
    four = effort(rows, columns, False, kind)
    if rows <= MOST_UNPACKED and columns % (3 * lanes(kind)) == 0:
        return three <= four
    return 20 * three < 19 * four


cdef inline bint tap_by_tap(const Correlation* plan) noexcept nogil:
    """Whether tiles keep to one (row, column) of the window, so that pixels where it is padding can be left out.

    With few channels tiles run across taps instead, over padded copies.
    """
    return plan.channels >= 32 and not in_place(plan)


cdef inline Py_ssize_t tile_taps(const Correlation* plan) noexcept nogil:
    """Taps that tiles run across."""
    return plan.channels if tap_by_tap(plan) else taps_of(plan)


cdef inline Py_ssize_t neighbours(const Correlation* plan) noexcept nogil:
    """Taps side by side in the image."""
    return plan.channels * (plan.window_w if contiguous(plan) else 1)


cdef inline Py_ssize_t sum_width(const Correlation* plan, Py_ssize_t taps, Py_ssize_t columns, real kind) noexcept nogil:
    """Columns of the next tile when `columns` of the plan's are still to do."""
    return narrowed(columns, in_threes(min(taps, tile_taps(plan)), plan.columns, kind), kind)


cdef inline bint unpacked(const Correlation* plan, Py_ssize_t taps, real kind) noexcept nogil:
    """Whether tiles read the gradient where it lies: for so few taps that a copy would not pay, in full tiles of 3 vectors."""
    return (
        (plan.window_h * plan.window_w == 1 or (neighbours(plan) % SPACED == 0 and not tap_by_tap(plan)))
        and taps <= MOST_UNPACKED and taps % 8 == 0
        and plan.columns % (3 * lanes(kind)) == 0 and in_threes(taps, plan.columns, kind)
    )


cdef inline bint turned(const Correlation* plan, Py_ssize_t taps, real kind) noexcept nogil:
    """Whether the gradient's values are rows and the taps columns."""
    return (
        CNNREF_VECTOR_BYTES == 64 and plan.window_h == 1 and plan.window_w == 1
        and plan.stride_h == 1 and plan.stride_w == 1 and plan.top == 0 and plan.left == 0
        and plan.n_H == plan.height and plan.n_W == plan.width
        and least(plan.columns, taps, kind) * 20 < least(taps, plan.columns, kind) * 19
    )


cdef inline Py_ssize_t least(Py_ssize_t rows, Py_ssize_t columns, real kind) noexcept nogil:
    """The `effort` of the better tiles."""
    return min(effort(rows, columns, True, kind), effort(rows, columns, False, kind))


cdef inline Correlation turn_plan(const Correlation* plan, Py_ssize_t taps) noexcept nogil:
    """The plan with gradient and images in each other's place, `taps` of which are columns."""
    cdef Correlation other = plan[0]
    other.channels = plan.columns
    other.image_step = plan.pixel_step
    other.columns = other.sharing = taps
    other.pixel_step = plan.image_step
    return other
