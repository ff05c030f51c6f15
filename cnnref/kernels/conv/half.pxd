"""Convolutions of half images: some samples at a time are widened, convolved in float32 and narrowed.

No sum goes beyond a sample, so the bits are those of the whole batch. The filters are widened once. Where they are large
several samples share what packing them takes.
"""

from libc.stdlib cimport free

from cnnref.kernels.base.caches cimport second_level
from cnnref.kernels.base.half cimport AS_COMPUTED, Storage
from cnnref.kernels.base.half_arrays cimport narrow_all, widen_all
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.conv.conv cimport backward_input, forward
from cnnref.kernels.conv.correlations cimport Shape, filter_size, input_size, output_size

cdef enum:
    # How many times what the second-level cache holds the samples in float32 that are taken at a time fill, at least; and
    # how many times what the filters take.
    SAMPLES = 2
    FILTERS = 4


cdef inline int by_samples(
    Storage storage, bint widened, const Shape* s, bint transpose, const char* images, const float* W, const float* b,
    char* out,
) noexcept nogil:
    """`forward`, or where `transpose` `backward_input`, of half images or of `widened` ones; -1 as they."""
    cdef Py_ssize_t size = (output_size(s) if transpose else input_size(s)) // max(s.m, <Py_ssize_t>1)
    cdef Py_ssize_t made = (input_size(s) if transpose else output_size(s)) // max(s.m, <Py_ssize_t>1)
    cdef Py_ssize_t room = made if widened else size + made, sample = 0, most
    cdef Shape own = s[0]
    cdef float* memory
    cdef float* inputs
    cdef int status = 0
    most = max(SAMPLES * second_level(), FILTERS * filter_size(s) * <Py_ssize_t>sizeof(float))
    most = max(min(most // max(room * <Py_ssize_t>sizeof(float), <Py_ssize_t>1), s.m), <Py_ssize_t>1)
    memory = <float*>allocate(most * room, sizeof(float))
    if memory == NULL:
        return -1
    while sample < s.m and status == 0:
        own.m = min(most, s.m - sample)
        if widened:
            inputs = <float*>images + sample * size
        else:
            inputs = memory + most * made
            status = widen_all(storage, images + 2 * sample * size, inputs, own.m * size)
        if status == 0 and transpose:
            status = backward_input(&own, inputs, W, b, memory)
        elif status == 0:
            status = forward(&own, inputs, W, b, memory)
        if status == 0:
            status = narrow_all(storage, memory, out + 2 * sample * made, own.m * made)
        sample += own.m
    free(memory)
    return status
