"""What a `Stream` fills arrays with, element by element: integers, exact conversions, single operations.

Where an element takes several draws, those of all elements stand one behind another in the stream. An array of
a dtype that C has not is filled as double and rounded afterwards: `whole` says that the last bit is set here.
"""

from libc.stdint cimport int64_t, uint64_t

cdef extern from "_pcg.h":
    ctypedef struct pcg:
        pass

    uint64_t pcg_next(pcg* stream) noexcept nogil
    pcg pcg_ahead(pcg stream, uint64_t count) noexcept nogil
    pcg pcg_seeded(const unsigned char* entropy) noexcept nogil
    float full_single(float value) noexcept nogil
    double full_double(double value) noexcept nogil
    double power_of_two(int64_t exponent) noexcept nogil

ctypedef fused real:
    float
    double

ctypedef fused number:
    float
    double
    int64_t


cdef inline real full(real value) noexcept nogil:
    return full_single(value) if real is float else full_double(value)


cdef inline int64_t between(pcg* stream, int64_t low, uint64_t span) noexcept nogil:
    # The remainder prefers small values by less than one part in 2**(63 - bits): data, not statistics.
    return low + <int64_t>((pcg_next(stream) >> 1) % span)


cdef inline int64_t sign(pcg* stream) noexcept nogil:
    return (<int64_t>pcg_next(stream) >> 63) | 1


cdef inline double bell(pcg* total, pcg* fine) noexcept nogil:
    """The sum of the four lanes of 16 bits of `total`, made finer by 42 bits of `fine`, with mean zero."""
    cdef uint64_t lanes = pcg_next(total)
    cdef uint64_t four = (lanes & 0xFFFF) + (lanes >> 16 & 0xFFFF) + (lanes >> 32 & 0xFFFF) + (lanes >> 48)
    cdef int64_t value = <int64_t>((four << 42) + (pcg_next(fine) >> 22))
    return (value - ((<int64_t>0x1FFFE << 42) + (<int64_t>1 << 41))) * 2.0 ** -57


cdef inline void fill_integers(pcg* stream, number* out, Py_ssize_t count, int64_t low, uint64_t span) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        out[i] = <number>between(stream, low, span)


cdef inline void fill_signs(pcg* stream, number* out, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        out[i] = <number>sign(stream)


cdef inline void fill_signed(
    pcg* stream, real* out, Py_ssize_t count, int64_t low, uint64_t span, int64_t step, double scale
) noexcept nogil:
    cdef pcg sizes = stream[0]
    cdef Py_ssize_t i
    stream[0] = pcg_ahead(sizes, count)
    for i in range(count):
        out[i] = <real>(((step * between(&sizes, low, span) + step - 1) * sign(stream)) * scale)


cdef inline double fraction(pcg* stream) noexcept nogil:
    """Between 0 and 1, never one of them."""
    return <double>(pcg_next(stream) >> 11 | 1) * 2.0 ** -53


cdef inline void fill_normal(
    pcg* stream, real* out, Py_ssize_t count, double mean, double scale, bint rectified, bint whole
) noexcept nogil:
    cdef pcg total = stream[0], fine = pcg_ahead(total, count)
    cdef real value
    cdef Py_ssize_t i
    for i in range(count):
        value = <real>(mean + scale * full_double(bell(&total, &fine)))
        out[i] = full(value) if whole else value
    if rectified:  # apart, without a branch that nobody can predict
        for i in range(count):
            out[i] *= <real>(out[i] > 0)
    stream[0] = fine


cdef inline void fill_uniform(
    pcg* stream, real* out, Py_ssize_t count, double low, double width, bint whole
) noexcept nogil:
    cdef real value
    cdef Py_ssize_t i
    for i in range(count):
        value = <real>(fraction(stream) * width + low)
        out[i] = full(value) if whole else value


cdef inline void fill_magnitudes(pcg* stream, real* out, Py_ssize_t count, bint whole) noexcept nogil:
    cdef pcg first = stream[0], second = pcg_ahead(first, count), last = pcg_ahead(second, count)
    cdef pcg fine = pcg_ahead(last, count)
    cdef int64_t exponent
    cdef real value
    cdef Py_ssize_t i
    stream[0] = pcg_ahead(fine, count)
    for i in range(count):
        exponent = between(&first, -4, 9) + between(&second, -4, 9) + between(&last, -4, 9)
        value = <real>(full_double(fraction(&fine) + 1) * power_of_two(exponent) * sign(stream))
        out[i] = full(value) if whole else value


cdef inline void fill_around(
    pcg* stream, real* out, Py_ssize_t count, const double* centres, uint64_t several, bint whole
) noexcept nogil:
    cdef pcg which = stream[0], side = pcg_ahead(which, count)
    cdef real value
    cdef Py_ssize_t i
    stream[0] = pcg_ahead(side, count)
    for i in range(count):
        value = <real>(
            centres[between(&which, 0, several)] * sign(&side) + full_double(fraction(stream) * 2 - 1)
        )
        out[i] = full(value) if whole else value


cdef inline void set_last_bits(real* values, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        values[i] = full(values[i])
