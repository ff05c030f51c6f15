"""The register block, MR x NR: how many rows and columns it has, and how columns are cut into panels as wide.

They depend on the instruction set only: at most 24 vector registers of sums where there are 32, 12 of 16, which leaves
room for a vector and a scalar, and at most 8 rows, whose addresses stay in registers too (16 where they are evenly
spaced: see ``gemm/micro_kernel_strided.pxd``).
"""

from cnnref.kernels.base.isa cimport CNNREF_VECTOR_BYTES
from cnnref.kernels.base.types cimport real

cdef enum:
    MOST_ROWS = 16
    MOST_COLUMNS = 64
    MOST_SUMS = 384


cdef inline int lanes(real kind) noexcept nogil:
    """Values in a vector register, at least 8 (narrower loops would not be vectorised as register blocks)."""
    cdef int count = CNNREF_VECTOR_BYTES // <int>sizeof(kind)
    return count if count > 8 else 8


cdef inline int widest(real kind) noexcept nogil:
    """Columns of the widest register block: 4 vectors of 32 registers, 2 of 16."""
    return 4 * lanes(kind) if CNNREF_VECTOR_BYTES == 64 else (16 if real is float else 8)


cdef inline int panel_width(Py_ssize_t columns, real kind) noexcept nogil:
    """NR: columns of the next register block when `columns` of them are still to do."""
    cdef int lane = lanes(kind)
    if columns <= 8:
        return 8
    if columns >= widest(kind):
        return widest(kind)
    return lane * <int>((columns + lane - 1) // lane)


cdef inline int block_rows(int columns, real kind) noexcept nogil:
    """MR: rows of a full block of `columns` columns. 8 chains hide a multiply-add's latency, 8 pointers fit in registers."""
    if CNNREF_VECTOR_BYTES == 64:
        return 6 if columns == 4 * lanes(kind) else 8 if columns > lanes(kind) else 16
    return 6 if real is double or columns == 16 else 7
