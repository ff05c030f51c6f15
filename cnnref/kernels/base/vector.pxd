"""Rows of values that are whole vectors in registers: see ``vector.h``. `columns` are constant once a function is inlined."""

from cnnref.kernels.base.isa cimport always_inline
from cnnref.kernels.base.register_block cimport lanes
from cnnref.kernels.base.types cimport real

cdef extern from "kernels/base/vector.h" nogil:
    ctypedef struct registers "cnnref_registers":
        char bytes[2048]  # of sums: what `add_scaled` and `add_product` add to must lie here
    always_inline fill_floats "cnnref_fill_floats"(int columns, float value, float* out)
    always_inline fill_halves "cnnref_fill_halves"(int columns, float value, float* out)
    always_inline fill_doubles "cnnref_fill_doubles"(int columns, double value, double* out)
    always_inline copy_floats "cnnref_copy_floats"(int columns, const float* source, float* out)
    always_inline copy_halves "cnnref_copy_halves"(int columns, const float* source, float* out)
    always_inline copy_doubles "cnnref_copy_doubles"(int columns, const double* source, double* out)
    always_inline hold_floats "cnnref_hold_floats"(int columns, const float* source, float* out)
    always_inline hold_halves "cnnref_hold_halves"(int columns, const float* source, float* out)
    always_inline hold_doubles "cnnref_hold_doubles"(int columns, const double* source, double* out)
    always_inline add_floats "cnnref_add_floats"(int columns, const float* a, const float* b, float* out)
    always_inline add_halves "cnnref_add_halves"(int columns, const float* a, const float* b, float* out)
    always_inline add_doubles "cnnref_add_doubles"(int columns, const double* a, const double* b, double* out)
    always_inline scaled_floats "cnnref_scaled_floats"(int columns, float a, const float* b, float* sums)
    always_inline scaled_halves "cnnref_scaled_halves"(int columns, float a, const float* b, float* sums)
    always_inline scaled_doubles "cnnref_scaled_doubles"(int columns, double a, const double* b, double* sums)
    always_inline product_floats "cnnref_product_floats"(int columns, const float* a, const float* b, float* sums)
    always_inline product_halves "cnnref_product_halves"(int columns, const float* a, const float* b, float* sums)
    always_inline product_doubles "cnnref_product_doubles"(int columns, const double* a, const double* b, double* sums)
    always_inline spread_floats "cnnref_spread_floats"(int columns, int terms, int term, const float* values, float* out)
    always_inline spread_doubles "cnnref_spread_doubles"(int columns, int terms, int term, const double* values, double* out)
    always_inline turn_floats "cnnref_turn_floats"(
        int rows, const float* source, Py_ssize_t step, float* out, Py_ssize_t out_step
    )
    always_inline turn_doubles "cnnref_turn_doubles"(
        int rows, const double* source, Py_ssize_t step, double* out, Py_ssize_t out_step
    )
    always_inline zip_halves "cnnref_zip"(const float* one, const float* other, float* both)
    always_inline pair_numbers "cnnref_pair"(float one, float other, float* both)
    always_inline repeat_pair "cnnref_repeat_pair"(const float* pair, float* row)
    always_inline join_halves "cnnref_join"(const float* one, const float* other, float* both)
    always_inline part_halves "cnnref_part"(const float* both, float* one, float* other)
    always_inline widen_floats "cnnref_widen_row"(int columns, const float* source, double* out)
    always_inline narrow_doubles "cnnref_narrow_row"(int columns, const double* source, float* out)


cdef inline always_inline fill_row(const int columns, real value, real* out) noexcept nogil:
    """``out[j] = value``."""
    if real is double:
        fill_doubles(columns, value, out)
    elif columns % lanes(<real>0):
        fill_halves(columns, value, out)
    else:
        fill_floats(columns, value, out)


cdef inline always_inline zero_row(const int columns, real* out) noexcept nogil:
    """``out[j] = 0``."""
    fill_row(columns, <real>0, out)


cdef inline always_inline copy_row(const int columns, const real* source, real* out) noexcept nogil:
    """``out[j] = source[j]``."""
    if real is double:
        copy_doubles(columns, source, out)
    elif columns % lanes(<real>0):
        copy_halves(columns, source, out)
    else:
        copy_floats(columns, source, out)


cdef inline always_inline hold_row(const int columns, const real* source, real* out) noexcept nogil:
    """``out[j] = source[j]``, in registers from here on: for what several rows are multiplied with."""
    if real is double:
        hold_doubles(columns, source, out)
    elif columns % lanes(<real>0):
        hold_halves(columns, source, out)
    else:
        hold_floats(columns, source, out)


cdef inline always_inline add_rows(const int columns, const real* a, const real* b, real* out) noexcept nogil:
    """``out[j] = a[j] + b[j]``."""
    if real is double:
        add_doubles(columns, a, b, out)
    elif columns % lanes(<real>0):
        add_halves(columns, a, b, out)
    else:
        add_floats(columns, a, b, out)


cdef inline always_inline add_scaled(const int columns, real a, const real* b, real* sums) noexcept nogil:
    """``sums[j] = fma(a, b[j], sums[j])``."""
    if real is double:
        scaled_doubles(columns, a, b, sums)
    elif columns % lanes(<real>0):
        scaled_halves(columns, a, b, sums)
    else:
        scaled_floats(columns, a, b, sums)


cdef inline always_inline add_product(const int columns, const real* a, const real* b, real* sums) noexcept nogil:
    """``sums[j] = fma(a[j], b[j], sums[j])``."""
    if real is double:
        product_doubles(columns, a, b, sums)
    elif columns % lanes(<real>0):
        product_halves(columns, a, b, sums)
    else:
        product_floats(columns, a, b, sums)


cdef inline always_inline spread_row(
    const int columns, const int terms, const int term, const real* values, real* out
) noexcept nogil:
    """``out[j] = values[j - j % terms + term]``."""
    if terms == 1:
        copy_row(columns, values, out)
    elif real is float:
        spread_floats(columns, terms, term, values, out)
    else:
        spread_doubles(columns, terms, term, values, out)


cdef inline always_inline turn_block(
    const int rows, const real* source, Py_ssize_t step, real* out, Py_ssize_t out_step
) noexcept nogil:
    """``out[j * out_step + i] = source[i * step + j]`` for 4 values of each of `rows` rows, a multiple of 16."""
    if real is float:
        turn_floats(rows, source, step, out, out_step)
    else:
        turn_doubles(rows, source, step, out, out_step)


cdef inline always_inline widened_row(const int columns, const real* source, double* out) noexcept nogil:
    """``out[j] = source[j]``, whatever the number of columns."""
    cdef int j
    if columns % lanes(<double>0):
        for j in range(columns):
            out[j] = source[j]
    elif real is double:
        copy_doubles(columns, source, out)
    else:
        widen_floats(columns, source, out)


cdef inline always_inline rounded_row(const int columns, const double* source, real* out) noexcept nogil:
    """``out[j] = source[j]``, rounded, whatever the number of columns."""
    cdef int j
    if columns % lanes(<double>0):
        for j in range(columns):
            out[j] = <real>source[j]
    elif real is double:
        copy_doubles(columns, source, out)
    else:
        narrow_doubles(columns, source, out)
