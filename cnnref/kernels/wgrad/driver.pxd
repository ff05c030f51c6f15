"""The gradient of filters and biases with threads: which kernel sums, and how its partial sums are added.

What is summed in which order stands in ``chunks.pxd``; ``depthwise/wgrad_driver.pxd`` is its counterpart where channels do
not mix. Threads share the columns where there are enough of them, so that each packs and adds what it needs alone.
Otherwise, or where each would have to go through much larger images for it, they share the groups of chunks and, where
those are few, the taps.
"""

from cython.parallel cimport prange
from libc.stdlib cimport free
from libc.string cimport memset

from cnnref.kernels.base.integers cimport share
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport Correlation, in_place, mixed, taps_of
from cnnref.kernels.conv.select cimport in_sample_pairs, tap_by_tap
from cnnref.kernels.depthwise.wgrad_driver cimport depthwise_wgrad
from cnnref.kernels.gemm.blocking cimport divides, some_columns
from cnnref.kernels.wgrad.chunks cimport BatchCut, cut_batch, sum_group
from cnnref.kernels.wgrad.macro_kernel cimport put_sums
from cnnref.kernels.wgrad.sample_pairs cimport sum_sample_pairs
from cnnref.threads cimport watch


cdef enum:
    # Taps whose products take so long that packing dZ for each thread does not matter: register blocks had better be wide.
    MANY_TAPS = 512
    # Taps so few that reading and copying the gradient takes as long as multiplying.
    FEW_TAPS = 64
    # Taps that are not divided: they fill register blocks of 6, 8 or, but for the last, 16 rows.
    UNIT = 24


cdef inline int columns_sums(
    const Correlation* plan, const BatchCut* cut, const real* images, const real* dZ, Py_ssize_t part, Py_ssize_t parts,
    real* dW, real* db, const int* watched,
) noexcept nogil:
    """The sums of one of `parts` of the columns over the whole batch; -1 where memory ran out or the call is stopped."""
    cdef Py_ssize_t first, group, taps = taps_of(plan)
    cdef Correlation own = some_columns(plan, part, parts, <real>0, &first)
    cdef real* sums = NULL
    cdef int status = 0
    if not mixed(plan):
        images += first // plan.sharing * plan.channels
    if cut.groups > 1:
        sums = <real*>allocate((taps + 1) * own.columns, sizeof(real))
        if sums == NULL:
            return -1
    for group in range(cut.groups):
        if group == 0:
            status = sum_some_taps(&own, cut, images, dZ + first, 0, 0, taps, dW + first, plan.pixel_step, db + first, watched)
        else:
            status = sum_some_taps(
                &own, cut, images, dZ + first, group, 0, taps, sums, own.columns, sums + taps * own.columns, watched
            )
            put_sums(taps, sums, own.columns, own.columns, False, dW + first, plan.pixel_step)
            put_sums(1, sums + taps * own.columns, own.columns, own.columns, False, db + first, own.columns)
        if status < 0:
            break
    free(sums)
    return status


cdef inline int sum_some_taps(
    const Correlation* plan, const BatchCut* cut, const real* images, const real* dZ, Py_ssize_t group, Py_ssize_t from_tap,
    Py_ssize_t to_tap, real* dW, Py_ssize_t dW_step, real* db, const int* watched,
) noexcept nogil:
    """One group's sums by the kernel for `plan`; taps are not divided where channels do not mix."""
    if mixed(plan) and to_tap - from_tap == taps_of(plan) and in_sample_pairs(plan, <real>0):
        return sum_sample_pairs(plan, cut, images, dZ, group, dW, dW_step, db, watched)
    if mixed(plan):
        return sum_group(plan, cut, images, dZ, group, from_tap, to_tap, dW, dW_step, db, watched)
    return depthwise_wgrad(plan, cut, images, dZ, group, dW, dW_step, db, watched)


cdef inline int taps_sums(
    const Correlation* plan, const BatchCut* cut, const real* images, const real* dZ, Py_ssize_t group, Py_ssize_t part,
    Py_ssize_t parts, real* dW, real* db, real* sums, const int* watched,
) noexcept nogil:
    """One of the `parts` of one group's taps. Group 0 is summed in the outputs, another one in `sums`."""
    cdef Py_ssize_t taps = taps_of(plan)
    cdef Py_ssize_t step = plan.pixel_step
    cdef Py_ssize_t units = share(taps, UNIT)
    if group > 0:
        dW = sums
        db = sums + taps * plan.columns
        step = plan.columns
    return sum_some_taps(
        plan, cut, images, dZ, group, min(part * units // parts * UNIT, taps),
        min((part + 1) * units // parts * UNIT, taps), dW, step, NULL if part > 0 else db, watched,
    )


cdef inline int groups_sums(
    const Correlation* plan, const BatchCut* cut, const real* images, const real* dZ, real* dW, real* db, int team,
    const int* watched,
) noexcept nogil:
    """The sums of the whole batch, as many groups at a time as there are threads; -1 as `columns_sums`."""
    cdef Py_ssize_t taps = taps_of(plan)
    cdef Py_ssize_t size = (taps + 1) * plan.columns
    cdef Py_ssize_t pieces = share(taps, UNIT) if mixed(plan) else 1
    cdef Py_ssize_t most = min(cut.groups, <Py_ssize_t>team)
    cdef Py_ssize_t task, group, first = 0, end, parts
    cdef int failed = 0
    cdef real* sums = NULL
    cdef real* own
    if cut.groups > 1:
        sums = <real*>allocate(most * size, sizeof(real))
        if sums == NULL:
            return -1
    while first < cut.groups and failed == 0:
        end = min(first + most, cut.groups)
        # Few groups may be of unequal size.
        parts = min(share(team if cut.groups >= 3 * team or cut.groups == 1 else 3 * team, end - first), pieces)
        for task in prange((end - first) * parts, num_threads=team, schedule="dynamic", chunksize=1):
            failed += -taps_sums(
                plan, cut, images, dZ, first + task // parts, task % parts, parts, dW, db,
                sums + task // parts * size, watched,
            )
        for group in range(max(first, <Py_ssize_t>1), end if failed == 0 else 0):
            own = sums + (group - first) * size
            put_sums(taps, own, plan.columns, plan.columns, False, dW, plan.pixel_step)
            put_sums(1, own + taps * plan.columns, plan.columns, plan.columns, False, db, plan.columns)
        first = end
    free(sums)
    return -1 if failed else 0


cdef inline bint by_groups(const Correlation* plan, const BatchCut* cut, int team) noexcept nogil:
    """Whether threads share groups and taps though columns could be shared.

    Where its columns would cost each thread a padded copy, a walk through all pixels for few taps, or one through images much
    larger than the gradient.
    """
    if not mixed(plan):
        return False
    if plan.window_h == 1 and plan.window_w == 1 and plan.channels >= 2 * plan.columns:
        return True
    return cut.groups >= 3 * team and (taps_of(plan) < FEW_TAPS or not (in_place(plan) or tap_by_tap(plan)))


cdef inline int wgrad(
    const Correlation* plan, const real* images, const real* dZ, real* dW, real* db, int team
) noexcept nogil:
    """`dW` and `db` of the whole batch with up to `team` threads; -1 where memory ran out or the call is stopped.

    The pixels of `dZ`, and so the taps of `dW`, are `pixel_step` values apart: the columns of a grouped convolution
    are a part of all.
    """
    cdef BatchCut cut = cut_batch(plan)
    cdef Py_ssize_t task
    cdef int failed = 0
    cdef const int* watched = watch()
    if cut.chunks == 0:
        for task in range(taps_of(plan)):
            memset(dW + task * plan.pixel_step, 0, plan.columns * sizeof(real))
        memset(db, 0, plan.columns * sizeof(real))
        return 0
    if team == 1:
        return columns_sums(plan, &cut, images, dZ, 0, 1, dW, db, watched)
    if by_groups(plan, &cut, team) or not divides(
        plan, team, 3 if mixed(plan) and taps_of(plan) >= MANY_TAPS else 2, <real>0
    ):
        return groups_sums(plan, &cut, images, dZ, dW, db, team, watched)
    for task in prange(team, num_threads=team, schedule="static", chunksize=1):
        failed += -columns_sums(plan, &cut, images, dZ, task, team, dW, db, watched)
    return -1 if failed else 0
