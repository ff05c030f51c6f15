"""The gradient of filters and biases with threads: which kernel sums, and how its partial sums are added.

What is summed in which order stands in ``_outer.pxd``; ``_lane_sums.pxd`` is its counterpart where channels do not mix.
"""

from cython.parallel cimport prange
from libc.stdlib cimport free
from libc.string cimport memset

from cnnref._lane_sums cimport lane_panels, lane_sums
from cnnref._memory cimport allocate
from cnnref._outer cimport Cut, cut_batch, outer_sums
from cnnref._plan cimport Correlation, mixed
from cnnref._tile cimport MOST_ROWS
from cnnref._types cimport real
from cnnref.threads cimport watch


cdef inline int sum_part(
    const Correlation* plan, const Cut* cut, const real* images, const real* dZ,
    Py_ssize_t group, Py_ssize_t part, Py_ssize_t parts, real* dW, real* db, real* sums, const int* watched,
) noexcept nogil:
    """One of the `parts` of one group's taps, or of its columns where channels do not mix.

    Group 0 is summed in the outputs, another one in `sums`.
    """
    cdef Py_ssize_t taps = plan.window_h * plan.window_w * plan.channels
    cdef Py_ssize_t step = plan.pixel_step
    if group > 0:
        dW = sums
        db = sums + taps * plan.columns
        step = plan.columns
    if part > 0:
        db = NULL
    if not mixed(plan):
        return lane_sums(plan, cut, images, dZ, group, part, parts, dW, step, db, watched)
    return outer_sums(
        plan, cut, images, dZ, group, part * taps // parts, (part + 1) * taps // parts, dW, step, db, watched
    )


cdef inline void add_group(
    const Correlation* plan, Py_ssize_t taps, const real* sums, real* dW, real* db
) noexcept nogil:
    """Add one group's sums to the outputs."""
    cdef Py_ssize_t tap, j
    for tap in range(taps):
        for j in range(plan.columns):
            dW[tap * plan.pixel_step + j] += sums[tap * plan.columns + j]
    for j in range(plan.columns):
        db[j] += sums[taps * plan.columns + j]


cdef inline int batch_sums(
    const Correlation* plan, const real* images, const real* dZ, real* dW, real* db, int team
) noexcept nogil:
    """`dW` and `db` of the whole batch with up to `team` threads; -1 where memory ran out or the call is stopped.

    The pixels of `dZ`, and so the taps of `dW`, are `pixel_step` values apart: the columns of a grouped convolution
    are a part of all.
    """
    cdef Cut cut = cut_batch(plan)
    cdef Py_ssize_t taps = plan.window_h * plan.window_w * plan.channels
    cdef Py_ssize_t size = (taps + 1) * plan.columns
    cdef Py_ssize_t pieces = max(taps // MOST_ROWS, <Py_ssize_t>1) if mixed(plan) else lane_panels(plan, <real>0)
    cdef Py_ssize_t parts = min((team + cut.groups - 1) // cut.groups, pieces)
    # Groups that are summed at once: the first in the outputs themselves, the others in memory of their own.
    cdef Py_ssize_t most = min(max(cut.groups - 1, <Py_ssize_t>1), <Py_ssize_t>team)
    cdef Py_ssize_t task, group, first = 0, end
    cdef int failed = 0
    cdef const int* watched = watch()
    cdef real* sums = NULL
    if cut.chunks == 0:
        for task in range(taps):
            memset(dW + task * plan.pixel_step, 0, plan.columns * sizeof(real))
        memset(db, 0, plan.columns * sizeof(real))
        return 0
    if cut.groups > 1:
        sums = <real*>allocate(most * size, sizeof(real))
        if sums == NULL:
            return -1
    while first < cut.groups and failed == 0:
        end = min(first + (most if first else most + 1), cut.groups)
        if team == 1:
            for task in range((end - first) * parts):
                failed += -sum_part(
                    plan, &cut, images, dZ, first + task // parts, task % parts, parts, dW, db,
                    sums + (task // parts - (first == 0)) * size, watched,
                )
        else:
            for task in prange((end - first) * parts, num_threads=team, schedule="dynamic", chunksize=1):
                failed += -sum_part(
                    plan, &cut, images, dZ, first + task // parts, task % parts, parts, dW, db,
                    sums + (task // parts - (first == 0)) * size, watched,
                )
        for group in range(max(first, <Py_ssize_t>1), end if failed == 0 else 0):
            add_group(plan, taps, sums + (group - max(first, <Py_ssize_t>1)) * size, dW, db)
        first = end
    free(sums)
    return -1 if failed else 0
