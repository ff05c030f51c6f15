"""Cross entropy with smoothed and ignored labels: the mean over rows and the gradients.

The plain loss is that of no smoothing and nothing ignored, by the same operations.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.stdlib cimport free

from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.types cimport real
from cnnref.kernels.vmath.scalar cimport log
from cnnref.threads cimport pieces, stopped, team_size, watch

cdef enum:
    CHUNK = 256  # rows whose losses are added up first
    SMALL = 1024  # elements that are looked at one by one


cdef struct Labels:
    # Row i has class ``columns[i * step]``; it is left out if that is `ignored` and labels are ignored.
    const cnp.npy_intp* columns
    Py_ssize_t step
    bint ignoring
    cnp.npy_intp ignored
    # What the label's class loses to all of them in equal parts.
    double smoothing
    # Whether logarithms of the probabilities are given in their place.
    bint logarithms


cdef inline bint left_out(const Labels* y, Py_ssize_t row) noexcept nogil:
    return y.ignoring and y.columns[row * y.step] == y.ignored


cdef inline Py_ssize_t counted(const Labels* y, Py_ssize_t m) noexcept nogil:
    """The number of rows that are not left out."""
    cdef Py_ssize_t count = m, row
    if y.ignoring:
        for row in range(m):
            count -= left_out(y, row)
    return count


cdef inline int no_probability(real p) noexcept nogil:
    """Whether `p` is below 0, or above 1 by more than two of bfloat16's last places, as in `cnnref.checks.probability`."""
    return (p < 0) | (p > <real>1.015625)


cdef inline bint any_no_probability(const real* al, const Labels* y, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    """Whether there is one in the rows that count; NaN is none."""
    cdef Py_ssize_t row, k
    cdef int found = 0
    for row in range(m):
        if not left_out(y, row):
            for k in range(row * n, (row + 1) * n):
                found |= no_probability(al[k])
    return found


cdef inline double logarithm(real p, bint already) noexcept nogil:
    return p if already else log(p)


cdef inline int chunk_loss(
    const real* al, const Labels* y, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t n, double* sum
) noexcept nogil:
    """Set the sum of a chunk's losses; returns whether what a label has is no probability."""
    cdef double loss = 0, all_classes
    cdef double[16] lanes
    cdef Py_ssize_t row, k, lane
    cdef real lowest = 0, highest = 0, p
    for row in range(begin, end):
        if left_out(y, row):
            continue
        p = al[row * n + y.columns[row * y.step]]
        lowest = p if p < lowest else lowest
        highest = p if p > highest else highest
        if y.smoothing < 1:
            loss -= (1 - y.smoothing) * logarithm(p, y.logarithms)
        if y.smoothing > 0:
            for lane in range(16):
                lanes[lane] = 0
            for k in range(n // 16):
                for lane in range(16):
                    lanes[lane] += logarithm(al[row * n + k * 16 + lane], y.logarithms)
            for k in range(n - n % 16, n):
                lanes[k % 16] += logarithm(al[row * n + k], y.logarithms)
            all_classes = 0
            for lane in range(16):
                all_classes += lanes[lane]
            loss -= y.smoothing / n * all_classes
    sum[0] = loss
    return no_probability(lowest) | no_probability(highest)


cdef inline int mean_loss(
    const real* al, const Labels* y, Py_ssize_t m, Py_ssize_t n, double* mean, bint* outside
) noexcept nogil:
    """-1 where the call is to stop; `outside` says whether something was seen that is no probability."""
    cdef double work = m * (20.0 * (n if y.smoothing > 0 else 1) + 20)
    cdef int threads = team_size(work), status = 0
    cdef Py_ssize_t chunks = (m + CHUNK - 1) // CHUNK
    cdef Py_ssize_t chunk, found = 0
    cdef double loss = 0, part
    cdef double* partial = NULL
    cdef const int* watched = watch()
    if threads > 1:
        partial = <double*>allocate(chunks, sizeof(double))
    if partial == NULL:
        for chunk in range(chunks):
            if chunk > 0 and stopped(watched):
                return -1
            found += chunk_loss(al, y, chunk * CHUNK, min((chunk + 1) * CHUNK, m), n, &part)
            loss += part
    else:
        for chunk in prange(chunks, num_threads=threads, schedule="static"):
            if stopped(watched):
                status += -1
            else:
                found += chunk_loss(al, y, chunk * CHUNK, min((chunk + 1) * CHUNK, m), n, &partial[chunk])
        if status == 0:
            for chunk in range(chunks):
                loss += partial[chunk]
        free(partial)
    mean[0] = loss / counted(y, m)
    # All of a small array is looked at: of a few rows of logits, those at the labels may well be in range.
    outside[0] = not y.logarithms and (found > 0 or (m <= SMALL and n <= SMALL // max(m, 1) and any_no_probability(al, y, m, n)))
    return status


cdef inline void loss_gradient_rows(
    const real* al, const Labels* y, real* dal, Py_ssize_t n, double rows, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """Rows from `begin` to `end`, of so many that count; what is not written is 0 already."""
    cdef double share = -1.0 / rows, spread = y.smoothing / n * share
    cdef double own = (1 - y.smoothing) * share + spread
    cdef Py_ssize_t row, k, label
    for row in range(begin, end):
        if left_out(y, row):
            continue
        label = y.columns[row * y.step]
        if y.smoothing > 0:
            for k in range(n):
                dal[row * n + k] = <real>(spread / al[row * n + k])
        dal[row * n + label] = <real>(own / al[row * n + label])


cdef inline void logit_gradient_rows(
    const real* al, const Labels* y, real* dx, Py_ssize_t n, double rows, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """Rows from `begin` to `end`, of so many that count."""
    cdef Py_ssize_t row, k
    cdef real count = <real>rows
    cdef real spread = <real>(y.smoothing / n), own = <real>((1 - y.smoothing) + y.smoothing / n)
    for k in range(begin * n, end * n):
        dx[k] = (al[k] - spread) / count
    for row in range(begin, end):
        if left_out(y, row):
            for k in range(row * n, (row + 1) * n):
                dx[k] = 0
        else:
            k = row * n + y.columns[row * y.step]
            dx[k] = (al[k] - own) / count


cdef inline void gradient_rows(
    const real* al, const Labels* y, real* out, Py_ssize_t n, double rows, bint of_logits, Py_ssize_t begin,
    Py_ssize_t end
) noexcept nogil:
    if of_logits:
        logit_gradient_rows(al, y, out, n, rows, begin, end)
    else:
        loss_gradient_rows(al, y, out, n, rows, begin, end)


cdef inline int gradient(
    const real* al, const Labels* y, real* out, Py_ssize_t m, Py_ssize_t n, bint of_logits
) noexcept nogil:
    """The gradient by the logits, or by the probabilities: on one thread, into zeros; -1 where the call is to stop."""
    cdef double rows = <double>counted(y, m)
    cdef double work = <double>m * (n if of_logits or y.smoothing > 0 else 1)
    cdef int threads = team_size(work) if of_logits else 1
    cdef int status = 0
    cdef Py_ssize_t part, parts = pieces(work, threads)
    cdef const int* watched = watch()
    if parts == 1:
        gradient_rows(al, y, out, n, rows, of_logits, 0, m)
        return 0
    for part in prange(parts, num_threads=threads, use_threads_if=threads > 1, schedule="static"):
        if stopped(watched):
            status += -1
        else:
            gradient_rows(al, y, out, n, rows, of_logits, m * part // parts, m * (part + 1) // parts)
    return status
