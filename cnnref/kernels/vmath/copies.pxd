"""Copies on a team of threads: of bytes as they stand, and of images' rows into a padding and out of one."""

from cython.parallel cimport prange
from libc.string cimport memcpy, memset

from cnnref.kernels.base.nontemporal cimport past_caches, settle, stream
from cnnref.threads cimport pieces, stopped, team_size, watch

cdef enum:
    # Bytes copied at a time: from the size of the second-level cache on, memcpy of the GNU C library copies less fast.
    COPIED = 262144


cdef inline void copy_row(char* out, const char* row, Py_ssize_t size, bint streamed) noexcept nogil:
    if streamed:
        stream(out, row, size)
    else:
        memcpy(out, row, size)


cdef inline void pad_row(char* out, const char* row, Py_ssize_t inner, Py_ssize_t margin, bint streamed) noexcept nogil:
    """One row of a padded image, lengths in bytes; zeros where `row` is NULL."""
    if row == NULL:
        memset(out, 0, inner + 2 * margin)
        return
    memset(out, 0, margin)
    copy_row(out + margin, row, inner, streamed)
    memset(out + margin + inner, 0, margin)


cdef inline void pad_lines(
    const char* x, char* out, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t height, Py_ssize_t pad, Py_ssize_t inner,
    Py_ssize_t margin, bint streamed,
) noexcept nogil:
    """Rows of padded images from `begin` to `end`, counted through the batch."""
    cdef Py_ssize_t rows = height + 2 * pad
    cdef Py_ssize_t line, y
    for line in range(begin, end):
        y = line % rows - pad
        pad_row(
            out + line * (inner + 2 * margin),
            x + (line // rows * height + y) * inner if 0 <= y < height else NULL,
            inner, margin, streamed,
        )


cdef inline void crop_lines(
    const char* x, char* out, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t height, Py_ssize_t pad, Py_ssize_t inner,
    Py_ssize_t margin, bint streamed,
) noexcept nogil:
    """Rows of images without their padding from `begin` to `end`, counted through the batch."""
    cdef Py_ssize_t line
    for line in range(begin, end):
        copy_row(
            out + line * inner,
            x + (line // height * (height + 2 * pad) + line % height + pad) * (inner + 2 * margin) + margin,
            inner, streamed,
        )


cdef inline void some_lines(
    const char* x, char* out, bint padding, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t height, Py_ssize_t pad,
    Py_ssize_t inner, Py_ssize_t margin, bint streamed,
) noexcept nogil:
    if padding:
        pad_lines(x, out, begin, end, height, pad, inner, margin, streamed)
    else:
        crop_lines(x, out, begin, end, height, pad, inner, margin, streamed)
    if streamed:
        settle()


cdef inline int copy_lines(
    const char* x, char* out, bint padding, Py_ssize_t m, Py_ssize_t height, Py_ssize_t pad, Py_ssize_t inner,
    Py_ssize_t margin,
) noexcept nogil:
    """All rows of padded images, or of images without their padding; -1 where the call is to stop."""
    cdef Py_ssize_t lines = m * (height + 2 * pad if padding else height)
    cdef double work = lines * <double>(inner + 2 * margin if padding else inner) / 4
    cdef int threads = team_size(work), status = 0
    cdef Py_ssize_t part, parts = pieces(work, threads)
    cdef double row = <double>inner + 2 * margin
    cdef bint streamed = past_caches(m * (height * <double>inner + (height + 2 * pad) * row), threads)
    cdef const int* watched = watch()
    if parts == 1:
        some_lines(x, out, padding, 0, lines, height, pad, inner, margin, streamed)
        return 0
    for part in prange(parts, num_threads=threads, use_threads_if=threads > 1, schedule="static"):
        if stopped(watched):
            status += -1
        else:
            some_lines(
                x, out, padding, lines * part // parts, lines * (part + 1) // parts, height, pad, inner, margin,
                streamed,
            )
    return status


cdef inline void some_bytes(const char* x, char* out, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t count
    while begin < end:
        count = min(<Py_ssize_t>COPIED, end - begin)
        memcpy(out + begin, x + begin, count)
        begin += count


cdef inline int copy_bytes(const char* x, char* out, Py_ssize_t size) noexcept nogil:
    """-1 where the call is to stop."""
    cdef int threads = team_size(size / 4.0), status = 0
    cdef Py_ssize_t part, parts = pieces(size / 4.0, threads)
    cdef Py_ssize_t share = size // parts
    cdef const int* watched = watch()
    if parts == 1:
        some_bytes(x, out, 0, size)
        return 0
    for part in prange(parts, num_threads=threads, use_threads_if=threads > 1, schedule="static"):
        if stopped(watched):
            status += -1
        else:
            some_bytes(x, out, share * part, size if part + 1 == parts else share * (part + 1))
    return status
