"""Which register blocks a sum over a batch is cut into: how wide, and what that costs.

Taps are the rows of a register block and the gradient's values its columns. Where windows are single pixels the two may
change places, as ``a * b + c`` is ``b * a + c``: 24 filters fill 75% of two vectors, but three register blocks of 8 rows.
No bit depends on the choice.
"""

from cnnref.kernels.base.isa cimport CNNREF_VECTOR_BYTES
from cnnref.kernels.base.register_block cimport block_rows, lanes, panel_width
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport Correlation

cdef enum:
    # Register blocks of the taps read a panel so often that it had better be packed where there are more.
    MOST_UNPACKED = 64


cdef inline Py_ssize_t narrowed(Py_ssize_t columns, bint three, real kind) noexcept nogil:
    """Columns of the next of register blocks that are at most 4 vectors wide, or `three`."""
    return 3 * lanes(kind) if three and columns >= 3 * lanes(kind) else panel_width(columns, kind)


cdef inline Py_ssize_t effort(Py_ssize_t rows, Py_ssize_t columns, bint three, real kind) noexcept nogil:
    """The time for `rows` x `columns` sums, in tenths of a multiplication of one row with one vector."""
    cdef Py_ssize_t width, height, vectors, total = 0
    while columns > 0:
        width = narrowed(columns, three, kind)
        height = block_rows(<int>width, kind)
        vectors = (width + lanes(kind) - 1) // lanes(kind)
        # A register block of one vector waits for its loads.
        total += (rows + height - 1) // height * height * (11 if vectors == 1 else 10 * vectors)
        columns -= width
    return total


cdef inline bint in_threes(Py_ssize_t rows, Py_ssize_t columns, real kind) noexcept nogil:
    """Whether blocks of 8 rows of 3 vectors are much fuller than those of 6 rows of 4, or as full and need no packing."""
    cdef Py_ssize_t three, four
    if CNNREF_VECTOR_BYTES < 64:
        return False
    three = effort(rows, columns, True, kind)
    four = effort(rows, columns, False, kind)
    if rows <= MOST_UNPACKED and columns % (3 * lanes(kind)) == 0:
        return three <= four
    return 20 * three < 19 * four


cdef inline Py_ssize_t least(Py_ssize_t rows, Py_ssize_t columns, real kind) noexcept nogil:
    """The `effort` of the better register blocks."""
    return min(effort(rows, columns, True, kind), effort(rows, columns, False, kind))


cdef inline Correlation exchange_plan(const Correlation* plan, Py_ssize_t taps) noexcept nogil:
    """The plan with gradient and images in each other's place, `taps` of which are columns."""
    cdef Correlation other = plan[0]
    other.channels = plan.columns
    other.image_step = plan.pixel_step
    other.columns = other.sharing = taps
    other.pixel_step = plan.image_step
    return other
