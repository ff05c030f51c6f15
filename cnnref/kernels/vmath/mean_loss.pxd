"""The mean of a function of each element and its target, and its gradient: the runs of a kernel of `elementwise`.

The kernel writes the terms of a block; they are added up as doubles, whatever the dtype: those of a chunk of 4096 elements in
16 accumulators, element k in accumulator ``k % 16``, which are then added in order, and so are the chunks.
"""

cimport numpy as cnp
from cpython.pystate cimport PyThreadState
from libc.stdlib cimport free
from libc.string cimport memset
from numpy cimport ndarray

from cnnref.checks.arrays cimport held, memory, single
from cnnref.checks.half cimport storage
from cnnref.kernels.base.half cimport AS_COMPUTED, BLOCK
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.types cimport real
from cnnref.kernels.vmath.elementwise cimport Elements, kernel_d, kernel_f, run_part, run_wide
from cnnref.threads cimport brief, fail, in_parts, let_go, take_back, team_size

cdef enum:
    CHUNK = 4096  # elements whose terms are added up first
    LANES = 16


cdef struct Summed:
    Elements elements
    Py_ssize_t count
    double* partial  # of each chunk


cdef inline void add(const real* terms, Py_ssize_t n, double* lanes) noexcept nogil:
    """`n` terms, from one that goes to the first accumulator."""
    cdef double[LANES] sums
    cdef Py_ssize_t i, lane
    for lane in range(LANES):
        sums[lane] = lanes[lane]
    for i in range(n // LANES):
        for lane in range(LANES):
            sums[lane] += terms[i * LANES + lane]
    for lane in range(LANES):
        lanes[lane] = sums[lane]
    for i in range(n - n % LANES, n):
        lanes[i % LANES] += terms[i]


cdef inline double chunk_sum(const Elements* e, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef double[BLOCK] terms
    cdef float[3 * BLOCK] blocks
    cdef double[LANES] lanes
    cdef double sum = 0
    cdef Py_ssize_t count, lane
    memset(lanes, 0, sizeof(lanes))
    while begin < end:
        count = min(<Py_ssize_t>BLOCK, end - begin)
        if e.storage != AS_COMPUTED:
            run_wide(e, begin, count, blocks, BLOCK)
            add(blocks + 2 * BLOCK, count, lanes)
        elif e.is_single:
            run_part(e, begin, count, terms)
            add(<const float*>terms, count, lanes)
        else:
            run_part(e, begin, count, terms)
            add(terms, count, lanes)
        begin += count
    for lane in range(LANES):
        sum += lanes[lane]
    return sum


cdef inline void some_chunks(const void* job, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Summed* s = <const Summed*>job
    cdef Py_ssize_t chunk
    for chunk in range(begin, end):
        s.partial[chunk] = chunk_sum(&s.elements, chunk * CHUNK, min((chunk + 1) * CHUNK, s.count))


cdef inline double total(
    kernel_f in_single, kernel_d in_double, int function, str name, ndarray x, ndarray t, double option, double work
) except? -1:
    """The sum of ``function(x, t)`` over all elements, at `work` operations for each of them."""
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x), chunks = (n + CHUNK - 1) // CHUNK, chunk
    cdef double all_work = n * (work + 1), sum = 0
    cdef double near = 0
    cdef int threads = team_size(all_work), status = -1
    cdef object _held = None if brief(all_work) else held(x, t)
    cdef int typenum = cnp.PyArray_TYPE(x)
    cdef PyThreadState* state
    cdef Summed s
    cdef Elements* e = &s.elements
    memset(e, 0, sizeof(Elements))
    e.in_single, e.in_double, e.function, e.option, e.unit = in_single, in_double, function, option, 1
    e.is_single, e.storage, e.size = single(x), storage(x), cnp.PyArray_ITEMSIZE(x)
    e.z, e.da = <const char*>memory(x, typenum, n), <const char*>memory(t, typenum, n)
    s.count = n
    s.partial = &near if chunks <= 1 else <double*>allocate(chunks, sizeof(double))
    if s.partial == NULL:
        fail(f"{name}: no memory for {chunks} sums")
    state = let_go(all_work)
    status = in_parts(some_chunks, &s, chunks, all_work, threads)
    take_back(state)
    for chunk in range(chunks):
        sum += s.partial[chunk]
    if s.partial != &near:
        free(s.partial)
    if status < 0:
        fail(f"{name}: stopped")
    return sum
