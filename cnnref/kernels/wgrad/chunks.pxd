"""Sums over a batch: the gradient of filters and biases, for conv and affine.

``dW[tap, j] = sum over samples and output pixels of window[pixel, tap] * dZ[pixel, j]``, where a tap is one
(row, column, channel) of the window. The pixels are cut into chunks, whole samples or whole output rows, of
about `CHUNK` pixels: a cut that depends on the shapes alone. Within a chunk each element is one chain of fused
multiply-adds in the order (sample, row, column), the padding left out (with fewer than 32 channels: taken as
zeros); the chunks' sums are added in order. A gradient too small to keep threads busy is summed in `groups` of
chunks first, and the groups' sums are added in order: the number of groups, too, depends on the shapes alone (in a
grouped convolution with more than 4 filters a group, on those of one group).
"""

from libc.stdlib cimport free
from libc.string cimport memset

from cnnref.kernels.base.isa cimport always_inline
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.register_block cimport MOST_COLUMNS, MOST_ROWS
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport Correlation, in_place, span_h, span_w, taps_of
from cnnref.kernels.conv.select cimport exchanged, sum_width, tap_by_tap, unpacked
from cnnref.kernels.gemm.pack cimport padded_columns
from cnnref.kernels.wgrad.blocking cimport exchange_plan
from cnnref.kernels.wgrad.macro_kernel cimport store_sums, wgrad_macro_kernel
from cnnref.kernels.wgrad.padded_copy cimport copy_padded
from cnnref.threads cimport stopped

cdef enum:
    CHUNK = 512
    # Groups of chunks where the gradient has at most this many elements, counted for all columns that share channels
    # where those are more than a few.
    SMALL = 32768
    FEW_SHARING = 4
    MOST_GROUPS = 8


cdef struct BatchCut:
    # How the pixels of a batch are cut: chunks of `samples` whole samples, or of `rows` rows of one sample.
    Py_ssize_t samples
    Py_ssize_t rows
    Py_ssize_t per_sample
    Py_ssize_t chunks
    Py_ssize_t groups


cdef inline BatchCut cut_batch(const Correlation* plan) noexcept nogil:
    """Cut the batch; a function of the shapes alone."""
    cdef BatchCut cut
    cdef Py_ssize_t pixels = max(plan.n_H * plan.n_W, <Py_ssize_t>1)
    cdef Py_ssize_t columns = plan.sharing if plan.sharing > FEW_SHARING else plan.columns
    cdef Py_ssize_t elements = taps_of(plan) * columns
    if pixels >= CHUNK:
        cut.samples = 1
        cut.rows = max(CHUNK // max(plan.n_W, <Py_ssize_t>1), <Py_ssize_t>1)
        cut.per_sample = (plan.n_H + cut.rows - 1) // cut.rows
        cut.chunks = plan.samples * cut.per_sample
    else:
        cut.samples = CHUNK // pixels
        cut.rows = plan.n_H
        cut.per_sample = 1
        cut.chunks = (plan.samples + cut.samples - 1) // cut.samples
    cut.groups = 1 if elements > SMALL else max(min(cut.chunks, <Py_ssize_t>MOST_GROUPS), <Py_ssize_t>1)
    return cut


cdef inline always_inline sum_columns(
    const int columns, const real* dZ, Py_ssize_t pixels, Py_ssize_t pixel_step, real* sums
) noexcept nogil:
    """Sum `columns` columns, which stay in registers, over the pixels."""
    cdef real own[128]
    cdef Py_ssize_t _pixel
    cdef int j
    for j in range(columns):
        own[j] = 0
    for _pixel in range(pixels):
        for j in range(columns):
            own[j] += dZ[j]
        dZ += pixel_step
    for j in range(columns):
        sums[j] = own[j]


cdef inline void add_columns(
    const real* dZ, Py_ssize_t pixels, Py_ssize_t columns, Py_ssize_t pixel_step, bint fresh, real* db, real* partial
) noexcept nogil:
    """Add one chunk's column sums to `db`, or set them where `fresh`."""
    cdef Py_ssize_t j = 0
    while j <= columns - 128:
        sum_columns(128, dZ + j, pixels, pixel_step, partial + j)
        j += 128
    if j <= columns - 96:
        sum_columns(96, dZ + j, pixels, pixel_step, partial + j)
        j += 96
    if j <= columns - 64:
        sum_columns(64, dZ + j, pixels, pixel_step, partial + j)
        j += 64
    if j <= columns - 32:
        sum_columns(32, dZ + j, pixels, pixel_step, partial + j)
        j += 32
    if j <= columns - 16:
        sum_columns(16, dZ + j, pixels, pixel_step, partial + j)
        j += 16
    if j <= columns - 8:
        sum_columns(8, dZ + j, pixels, pixel_step, partial + j)
        j += 8
    while j < columns:
        sum_columns(1, dZ + j, pixels, pixel_step, partial + j)
        j += 1
    store_sums(partial, columns, fresh, 1, db)


cdef inline int sum_group(
    const Correlation* plan, const BatchCut* cut, const real* images, const real* dZ,
    Py_ssize_t group, Py_ssize_t from_tap, Py_ssize_t to_tap, real* dW, Py_ssize_t dW_step, real* db,
    const int* watched,
) noexcept nogil:
    """The sums of one group of chunks, for taps `from_tap` to `to_tap`; `db` too unless NULL.

    -1 where working memory could not be allocated or the call is stopped.
    """
    cdef Correlation other
    if exchanged(plan, to_tap - from_tap, <real>0):
        other = exchange_plan(plan, to_tap - from_tap)
        return sum_chunks(
            &other, cut, dZ, images + from_tap, group, 0, plan.columns, dW + from_tap * dW_step, 1, dW_step,
            dZ, plan.columns, plan.pixel_step, db, watched,
        )
    return sum_chunks(
        plan, cut, images, dZ, group, from_tap, to_tap, dW, dW_step, 1, dZ, plan.columns, plan.pixel_step, db, watched
    )


cdef inline int sum_chunks(
    const Correlation* plan, const BatchCut* cut, const real* images, const real* dZ,
    Py_ssize_t group, Py_ssize_t from_tap, Py_ssize_t to_tap, real* dW, Py_ssize_t tap_step, Py_ssize_t column_step,
    const real* added, Py_ssize_t added_columns, Py_ssize_t added_step, real* db, const int* watched,
) noexcept nogil:
    """As `sum_group`, for a plan that may be turned; `db` sums `added_columns` of the pixels of `added`."""
    cdef bint direct = in_place(plan) or tap_by_tap(plan)
    cdef Py_ssize_t buffer_w = (plan.n_W - 1) * plan.stride_w + span_w(plan)
    cdef Py_ssize_t buffer_h = (cut.rows - 1) * plan.stride_h + span_h(plan)
    cdef Py_ssize_t image_step = plan.image_step if direct else plan.channels
    cdef Py_ssize_t line = (plan.width if direct else buffer_w) * image_step
    cdef Py_ssize_t image_size = plan.height * plan.width * plan.image_step
    cdef Py_ssize_t most = min(cut.samples, plan.samples)
    cdef Py_ssize_t padded = padded_columns(added_columns, <real>0)
    cdef Py_ssize_t buffer_size = 0 if direct else buffer_h * buffer_w * plan.channels
    cdef Py_ssize_t chunk, last, sample, piece, pieces, top, n_rows, pixels, before
    cdef bint fresh = True
    # One panel as it stands.
    cdef Py_ssize_t width = sum_width(plan, to_tap - from_tap, plan.columns, <real>0)
    cdef bint packed = plan.pixel_step == plan.columns == width or unpacked(plan, to_tap - from_tap, <real>0)
    cdef Py_ssize_t panel_size = 0 if packed else most * cut.rows * plan.n_W * width
    # Where the register blocks' rows start: the channels of one tap, or all taps. The last one is repeated for register
    # blocks that reach beyond.
    cdef Py_ssize_t tap_count = plan.channels * (1 if tap_by_tap(plan) else plan.window_h * plan.window_w)
    cdef Py_ssize_t tap, place, pixel
    cdef int status = -1
    cdef const real** bases = <const real**>allocate(most, sizeof(void*))
    cdef real* memory = <real*>allocate(
        (MOST_ROWS + 1) * MOST_COLUMNS + padded + most * buffer_size + panel_size, sizeof(real)
    )
    cdef real* partial
    cdef real* buffer
    cdef real* panel
    cdef Py_ssize_t* places = <Py_ssize_t*>allocate(tap_count + MOST_ROWS, sizeof(Py_ssize_t))
    if bases != NULL and memory != NULL and places != NULL:
        for tap in range(tap_count + MOST_ROWS if tap_count else 0):
            place = min(tap, tap_count - 1)
            pixel = place // plan.channels
            places[tap] = (
                pixel // plan.window_w * plan.dilation_h * line + pixel % plan.window_w * plan.dilation_w * image_step
                + place % plan.channels
            )
        memset(memory, 0, MOST_COLUMNS * sizeof(real))
        partial = memory + (MOST_ROWS + 1) * MOST_COLUMNS
        panel = partial + padded
        buffer = panel + panel_size
        last = (group + 1) * cut.chunks // cut.groups
        for chunk in range(group * cut.chunks // cut.groups, last):
            sample = (chunk // cut.per_sample) * cut.samples
            pieces = min(cut.samples, plan.samples - sample)
            top = (chunk % cut.per_sample) * cut.rows
            n_rows = min(cut.rows, plan.n_H - top)
            for piece in range(pieces):
                bases[piece] = images + (sample + piece) * image_size
                if direct:
                    bases[piece] += ((top * plan.stride_h - plan.top) * plan.width - plan.left) * image_step
                else:
                    copy_padded(
                        bases[piece], plan.height, plan.width, plan.channels, plan.image_step,
                        top * plan.stride_h - plan.top, -plan.left,
                        (n_rows - 1) * plan.stride_h + span_h(plan), buffer_w, buffer + piece * buffer_size,
                    )
                    bases[piece] = buffer + piece * buffer_size
            pixels = pieces * n_rows * plan.n_W
            before = (sample * plan.n_H + top) * plan.n_W
            wgrad_macro_kernel(
                plan, bases, places, pieces, image_step, line, top, n_rows, dZ + before * plan.pixel_step,
                <real*>NULL if packed else panel, fresh, from_tap, to_tap, dW, tap_step, column_step, memory, watched,
            )
            if db != NULL:
                add_columns(added + before * added_step, pixels, added_columns, added_step, fresh, db, partial)
            fresh = False
            if stopped(watched):
                break
        status = -1 if stopped(watched) else 0
    free(places)
    free(bases)
    free(memory)
    return status
