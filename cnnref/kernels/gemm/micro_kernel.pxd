"""The micro-kernel: MR x NR sums that stay in registers.

A register block is ``rows x columns`` partial sums that stay in vector registers while two streams run past
them. Row ``r`` reads a scalar ``a[r]`` a step, all rows share one vector ``b`` of `columns` values, and

    out[r][j] = fma(a[r][k], b[k][j], ... fma(a[r][0], b[0][j], start[r][j])) + last[j]

is one chain of fused multiply-adds for each output, in the order of k, and an addition where there is a last term.
Storing a partial sum and taking it up again (``start = out``) is the same chain, so neither the shape of the register block nor
the blocking of k changes a bit.

Where the rows are is read from tables that were written long before: addresses stored just before the register block would
make its first loads wait for all of the last block's stores. Four variants, of the same chains:

* strided: one pointer serves four rows that are evenly spaced, pixels along a line or taps side by side. With as many pointers
  as rows they are fetched back in every step: that cost 15% where a row is two vectors, and left no room for the 16 rows that
  keep the multipliers busy where it is one. The steps of `b` may lie apart, in a matrix that is not packed;
* tail: three or four rows, the ends of other register blocks, for which each vector of a step is loaded once;
* half_vector: for columns that fill half of their last vector, 24 or 40 of float32. Two pixels share that vector, a half for
  each: its columns stand twice in the panel (``pack.pxd``), and a blend of the two pixels' values is multiplied with them. A
  pair of pixels of 24 columns is three vectors in place of four;
* prefetching: 6 taps side by side, for sums over a batch. In an image of many channels neighbouring pixels lie so far apart that
  the processor does not foresee them; nor does it the next panel of the gradient, which is copied between two register blocks
  while nothing is multiplied. So in each step the register block asks for a pixel to come, and for one line of that panel.
"""

from cnnref.kernels.base.isa cimport CNNREF_VECTOR_BYTES, always_inline, noinline, prefetch, unlikely
from cnnref.kernels.base.register_block cimport MOST_COLUMNS, MOST_ROWS, block_rows, lanes, widest
from cnnref.kernels.base.types cimport real
from cnnref.kernels.base.vector cimport (
    add_product,
    add_rows,
    add_scaled,
    copy_row,
    hold_row,
    join_halves,
    pair_numbers,
    part_halves,
    registers,
)

cdef enum:
    # What a register block does beside multiplying.
    PLAIN_BLOCK = 0
    STRIDED = 1
    HALF_VECTOR = 2
    PREFETCHING = 4
    # Rows of a pointer.
    ROWS_OF_POINTER = 4
    # Floats of a vector of 64 bytes, and of its half; pixels of a block that share them.
    LANE = 16
    HALF = 8
    PAIRED = 8
    # Taps side by side.
    SIDE = 6
    # Steps, of 12 cycles each, from asking for a pixel to its use.
    STEPS_AHEAD = 16
    # Pixels as many bytes apart share a set of the first-level cache: few of them would stay there until they are used.
    ALIASED = 4096


cdef inline bint evenly_spaced(const Py_ssize_t* places, int count) noexcept nogil:
    """Whether `count` rows are groups of four at the same distances."""
    cdef Py_ssize_t stride = places[1] - places[0], others = 0
    cdef int group
    if count % ROWS_OF_POINTER:
        return False
    for group in range(0, count, 4):
        others |= (
            (places[group + 1] - places[group] - stride) | (places[group + 2] - places[group + 1] - stride)
            | (places[group + 3] - places[group + 2] - stride)
        )
    return others == 0


cdef inline always_inline join_pair(const real* one, const real* other, real* both) noexcept nogil:
    """The half vectors of two pixels in one."""
    if real is float:
        join_halves(one, other, both)


cdef inline always_inline add_pair(real one, real other, const real* b, real* both) noexcept nogil:
    """Multiply the pixels' values into the vector that they share."""
    cdef real values[LANE]
    if real is float:
        pair_numbers(one, other, values)
        add_product(LANE, values, b, both)


cdef inline always_inline part_pair(const real* both, const real* last, real* one, real* other) noexcept nogil:
    """The reverse of `join_pair`, after an addition of `last` to each unless it is NULL."""
    cdef real values[LANE]
    if real is float:
        if last == NULL:
            part_halves(both, one, other)
        else:
            add_rows(LANE, both, last, values)
            part_halves(values, one, other)


cdef inline always_inline multiply_register_block(
    const int variant, const int rows, const int columns,
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip,
    const real* b, const Py_ssize_t b_step, const Py_ssize_t b_skip, Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
    const real* next_line, Py_ssize_t next_step,
) noexcept nogil:
    """Multiply ``runs * length`` steps, at least one, into a register block; after each run `a` and `b` skip on.

    Row r reads from ``a + places[r]`` on, starts at ``start + start_places[r]`` and ends at ``out + out_places[r]``.
    `last` is added to every row; NULL where there is nothing to add. Lines from `next_line` on are asked for.
    """
    cdef registers room
    cdef real* sums = <real*>room.bytes
    cdef registers pairs
    cdef real* shared = <real*>pairs.bytes
    cdef real own[MOST_COLUMNS]
    cdef real right[MOST_COLUMNS]
    cdef const real* source[MOST_ROWS]
    cdef real left, before
    cdef Py_ssize_t _step, offset = 0, rest = length, stride = places[1] - places[0] if variant & STRIDED else 0
    cdef Py_ssize_t ahead = STEPS_AHEAD * a_step if a_step * <Py_ssize_t>sizeof(real) % ALIASED else 0
    cdef int row
    cdef bint halved = variant & HALF_VECTOR != 0
    cdef int whole = columns - LANE if variant & HALF_VECTOR else columns
    if runs * length <= 0:  # with this the compiler knows that the loop below runs, and keeps `sums` out of memory
        return
    for row in range(rows):
        source[row] = a + places[row]
        copy_row(whole, start + start_places[row], sums + row * whole)
        if halved and row % 2:
            join_pair(start + start_places[row - 1] + whole, start + start_places[row] + whole, shared + row // 2 * LANE)
    left = 0
    for _step in range(runs * length):
        if variant & PREFETCHING:
            prefetch(source[0] + offset + ahead)
            prefetch(next_line)
            next_line += next_step
        hold_row(whole, b, right)
        for row in range(rows):
            before = left
            if variant & STRIDED:
                left = (source[row - row % ROWS_OF_POINTER] + offset)[row % ROWS_OF_POINTER * stride]
            elif variant & PREFETCHING:
                left = (source[0] + offset)[row]
            else:
                left = source[row][offset]
            add_scaled(whole, left, right, sums + row * whole)
            if halved and row % 2:
                add_pair(before, left, b + whole, shared + row // 2 * LANE)
        offset += a_step
        b += b_step
        rest -= 1
        if unlikely(rest == 0):
            rest = length
            offset += a_skip
            b += b_skip
    if last != NULL:
        # Stored apart: `sums` would be forced into memory, were they changed on one way only.
        copy_row(whole, last, own)
        if halved:
            join_pair(last + whole, last + whole, own + whole)
        for row in range(rows):
            add_rows(whole, sums + row * whole, own, out + out_places[row])
            if halved and row % 2:
                part_pair(
                    shared + row // 2 * LANE, own + whole, out + out_places[row - 1] + whole, out + out_places[row] + whole
                )
        return
    for row in range(rows):
        copy_row(whole, sums + row * whole, out + out_places[row])
        if halved and row % 2:
            part_pair(
                shared + row // 2 * LANE, <const real*>NULL, out + out_places[row - 1] + whole, out + out_places[row] + whole
            )


cdef inline always_inline multiply_packed(
    const int variant, const int rows, const int columns,
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """`multiply_register_block` of a packed panel, whose steps follow one another."""
    multiply_register_block(
        variant, rows, columns, a, places, a_step, a_skip, b, columns, b_skip, runs, length, start, start_places, last, out,
        out_places, <const real*>NULL, 0,
    )


cdef inline noinline full_block(
    int columns,
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """A block of `columns` columns and at most 8 rows: its pointers stay in registers too."""
    if columns == widest(a[0]):
        multiply_packed(
            PLAIN_BLOCK, block_rows(widest(<real>0), <real>0), widest(<real>0), a, places, a_step, a_skip, b, b_skip, runs,
            length, start, start_places, last, out, out_places
        )
    elif CNNREF_VECTOR_BYTES == 64 and columns == 3 * lanes(a[0]):
        multiply_packed(
            PLAIN_BLOCK, 8, 3 * lanes(<real>0), a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last,
            out, out_places
        )
    elif CNNREF_VECTOR_BYTES == 64 and columns == 2 * lanes(a[0]):
        multiply_packed(
            PLAIN_BLOCK, 8, 2 * lanes(<real>0), a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last,
            out, out_places
        )
    elif CNNREF_VECTOR_BYTES == 64 and columns == 16:
        multiply_packed(
            PLAIN_BLOCK, 8, 16, a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
        )
    else:
        multiply_packed(
            PLAIN_BLOCK, min(8, block_rows(8, <real>0)), 8, a, places, a_step, a_skip, b, b_skip, runs, length, start,
            start_places, last, out, out_places
        )


cdef inline noinline tail_block(
    int columns, int count,
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """One row as wide as the widest block, three or four; or four of 2 vectors of 64 bytes."""
    if columns == 2 * lanes(a[0]) and CNNREF_VECTOR_BYTES == 64:
        multiply_packed(
            PLAIN_BLOCK, 4, 2 * lanes(<real>0), a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last,
            out, out_places
        )
    elif count == 1:
        multiply_packed(
            PLAIN_BLOCK, 1, widest(<real>0), a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last,
            out, out_places
        )
    elif CNNREF_VECTOR_BYTES == 64 and count == 4:
        multiply_packed(
            PLAIN_BLOCK, 4, widest(<real>0), a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last,
            out, out_places
        )
    else:
        multiply_packed(
            PLAIN_BLOCK, 3, widest(<real>0), a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last,
            out, out_places
        )


cdef inline noinline strided_block(
    int columns,
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """8 rows of 3 or 2 vectors of 64 bytes, 16 of one or of 8 columns; evenly spaced."""
    if columns == 3 * lanes(a[0]):
        multiply_packed(
            STRIDED, 8, 3 * lanes(<real>0), a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last,
            out, out_places
        )
    elif columns == 2 * lanes(a[0]):
        multiply_packed(
            STRIDED, 8, 2 * lanes(<real>0), a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last,
            out, out_places
        )
    elif columns == lanes(a[0]):
        multiply_packed(
            STRIDED, 16, lanes(<real>0), a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out,
            out_places
        )
    else:
        multiply_packed(
            STRIDED, 16, 8, a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
        )


cdef inline noinline half_vector_block(
    int columns,
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """8 pixels of 24 or 40 columns of float32, in panels of 2 or 3 vectors of 64 bytes."""
    if columns == 3 * LANE:
        multiply_packed(
            HALF_VECTOR, PAIRED, 3 * LANE, a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out,
            out_places
        )
    elif evenly_spaced(places, PAIRED):
        multiply_packed(
            HALF_VECTOR | STRIDED, PAIRED, 2 * LANE, a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places,
            last, out, out_places
        )
    else:
        multiply_packed(
            HALF_VECTOR, PAIRED, 2 * LANE, a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out,
            out_places
        )


cdef inline noinline unpacked_8_by_3_vectors(
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip,
    const real* b, Py_ssize_t b_step, Py_ssize_t b_skip, Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """8 rows of 3 vectors of a matrix that is not packed, its steps `b_step` apart."""
    multiply_register_block(
        STRIDED, 8, 3 * lanes(<real>0), a, places, a_step, a_skip, b, b_step, b_skip, runs, length, start, start_places,
        <const real*>NULL, out, out_places, <const real*>NULL, 0,
    )


cdef inline noinline prefetching_6_by_4_vectors(
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length, const real* start, const Py_ssize_t* start_places,
    real* out, const Py_ssize_t* out_places, const real* next_line, Py_ssize_t next_step,
) noexcept nogil:
    """6 neighbouring rows of 4 vectors of 64 bytes."""
    multiply_register_block(
        PREFETCHING, SIDE, 4 * lanes(<real>0), a, places, a_step, a_skip, b, 4 * lanes(<real>0), b_skip, runs, length, start,
        start_places, <const real*>NULL, out, out_places, next_line, next_step,
    )


cdef inline void micro_kernel(
    int columns, int count,
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """Run the register block for `columns` columns of a panel `b` on `count` rows.

    All of the places must be readable that a register block of `block_rows` rows has: the rows beyond `count` may be run too.
    """
    cdef bint wide = CNNREF_VECTOR_BYTES == 64
    cdef int first
    if columns == widest(a[0]) and (count <= 3 or wide and count == 4) or wide and columns == 2 * lanes(a[0]) and count <= 4:
        tail_block(
            columns, count, a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
        )
    elif wide and columns < widest(a[0]) and count == block_rows(columns, a[0]) and evenly_spaced(places, count):
        strided_block(
            columns, a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
        )
    else:
        for first in range(0, count, 8):
            full_block(
                columns, a, places + first, a_step, a_skip, b, b_skip, runs, length,
                start, start_places + first, last, out, out_places + first,
            )
