"""Random numbers that are the same on every machine: the raw output of PCG64, seeded by a hash of a text.

NumPy fixes the integer stream of its bit generators for good, but not what ``Generator.normal`` makes of
it, and ``log`` or ``exp`` differ between C libraries. So everything here is integers, exact conversions,
powers of two and single IEEE-754 operations.
"""

import hashlib

import numpy as np

cimport cython
cimport numpy as cnp
from libc.stdint cimport int64_t, uint64_t

from conformance.generation._fill cimport (
    fill_around,
    fill_integers,
    fill_magnitudes,
    fill_normal,
    fill_signed,
    fill_signs,
    fill_uniform,
    pcg,
    pcg_ahead,
    pcg_next,
    pcg_seeded,
    set_last_bits,
)

cnp.import_array()

Shape = tuple[int, ...]

_WIDE = np.dtype(np.float64)


cdef cnp.ndarray blank(tuple shape, int kind):
    """An array of that shape, nothing in it yet."""
    cdef cnp.npy_intp[32] extents
    cdef Py_ssize_t axis
    if len(shape) > 32:
        raise ValueError(f"shape has {len(shape)} axes, expected at most 32")
    for axis in range(len(shape)):
        extents[axis] = shape[axis]
    return cnp.PyArray_EMPTY(<int>len(shape), extents, kind, 0)


cdef inline int direct(cnp.dtype dtype):
    """The type that is filled for `dtype`: itself, or double where NumPy rounds afterwards."""
    return cnp.NPY_FLOAT if dtype.type_num == cnp.NPY_FLOAT else cnp.NPY_DOUBLE


@cython.final
cdef class Stream:
    """A stream of random numbers seeded by `text`.

    Where a method takes `dtype`, its values are exact in it or rounded to it once.
    """

    cdef pcg _pcg

    def __init__(self, str text):
        cdef bytes digest = hashlib.sha256(text.encode()).digest()
        self._pcg = pcg_seeded(digest)

    def raw(self, tuple shape):
        """64 random bits for each element."""
        cdef cnp.ndarray values = blank(shape, cnp.NPY_UINT64)
        cdef uint64_t* out = <uint64_t*>cnp.PyArray_DATA(values)
        cdef Py_ssize_t i
        for i in range(cnp.PyArray_SIZE(values)):
            out[i] = pcg_next(&self._pcg)
        return values

    def skip(self, uint64_t count):
        """Go on as if so many times 64 bits had been drawn."""
        self._pcg = pcg_ahead(self._pcg, count)

    def chosen(self, tuple pools, tuple apart=(), int attempts=1):
        """One of each of the pools, which are tuples; 53 random bits for a pool that is None.

        Drawn again, `attempts` times at most, while two of those in the places `apart` are equal. Returns how
        often they were drawn, 0 if there was no success, and what was drawn last.
        """
        cdef list found = [None] * len(pools)
        cdef uint64_t drawn
        cdef Py_ssize_t i
        cdef int attempt
        for attempt in range(attempts):
            for i in range(len(pools)):
                drawn = pcg_next(&self._pcg) >> 11
                pool = pools[i]
                found[i] = drawn if pool is None else (<tuple>pool)[drawn % <uint64_t>len(<tuple>pool)]
            if all_differ(found, apart):
                return attempt + 1, found
        return 0, found

    def integers(self, int64_t low, int64_t high, tuple shape, cnp.dtype dtype=None):
        """Whole numbers of `low` .. `high`, both included; ``high - low`` below 2**62."""
        cdef int kind = cnp.NPY_INT64 if dtype is None else direct(dtype)
        cdef cnp.ndarray values = blank(shape, kind)
        cdef Py_ssize_t count = cnp.PyArray_SIZE(values)
        cdef uint64_t span = <uint64_t>(high - low) + 1
        if span == 0 or high < low:
            raise ValueError(f"no whole numbers of {low} .. {high}")
        if kind == cnp.NPY_INT64:
            fill_integers(&self._pcg, <int64_t*>cnp.PyArray_DATA(values), count, low, span)
        elif kind == cnp.NPY_FLOAT:
            fill_integers(&self._pcg, <float*>cnp.PyArray_DATA(values), count, low, span)
        else:
            fill_integers(&self._pcg, <double*>cnp.PyArray_DATA(values), count, low, span)
        return exactly(values, dtype)

    def signs(self, tuple shape, cnp.dtype dtype=None):
        """-1 or 1."""
        cdef int kind = cnp.NPY_INT64 if dtype is None else direct(dtype)
        cdef cnp.ndarray values = blank(shape, kind)
        cdef Py_ssize_t count = cnp.PyArray_SIZE(values)
        if kind == cnp.NPY_INT64:
            fill_signs(&self._pcg, <int64_t*>cnp.PyArray_DATA(values), count)
        elif kind == cnp.NPY_FLOAT:
            fill_signs(&self._pcg, <float*>cnp.PyArray_DATA(values), count)
        else:
            fill_signs(&self._pcg, <double*>cnp.PyArray_DATA(values), count)
        return exactly(values, dtype)

    def signed(
        self, int64_t low, int64_t high, tuple shape, cnp.dtype dtype, bint odd=False, double scale=1.0
    ):
        """Whole numbers of `low` .. `high`, each of either sign; twice them and one where `odd`; times `scale`."""
        cdef int kind = direct(dtype)
        cdef cnp.ndarray values = blank(shape, kind)
        cdef Py_ssize_t count = cnp.PyArray_SIZE(values)
        cdef uint64_t span = <uint64_t>(high - low) + 1
        if span == 0 or high < low:
            raise ValueError(f"no whole numbers of {low} .. {high}")
        if kind == cnp.NPY_FLOAT:
            fill_signed(&self._pcg, <float*>cnp.PyArray_DATA(values), count, low, span, 1 + odd, scale)
        else:
            fill_signed(&self._pcg, <double*>cnp.PyArray_DATA(values), count, low, span, 1 + odd, scale)
        return exactly(values, dtype)

    def normal(
        self, tuple shape, cnp.dtype dtype, double mean=0.0, double scale=1.0, bint rectified=False
    ):
        """Nearly normal (a sum of four uniform values), standard deviation 1.15 times `scale`, full mantissa.

        The negative ones are -0 where `rectified`.
        """
        cdef int kind = direct(dtype)
        cdef cnp.ndarray values = blank(shape, kind)
        cdef Py_ssize_t count = cnp.PyArray_SIZE(values)
        cdef bint whole = kind == dtype.type_num
        if kind == cnp.NPY_FLOAT:
            fill_normal(&self._pcg, <float*>cnp.PyArray_DATA(values), count, mean, scale, rectified, whole)
        else:
            fill_normal(&self._pcg, <double*>cnp.PyArray_DATA(values), count, mean, scale, rectified, whole)
        return values if whole else full_mantissa(values, dtype)

    def uniform(self, tuple shape, cnp.dtype dtype, double low=0.0, double high=1.0):
        """Values between the whole numbers `low` and `high`, full mantissa, never zero."""
        cdef int kind = direct(dtype)
        cdef cnp.ndarray values = blank(shape, kind)
        cdef Py_ssize_t count = cnp.PyArray_SIZE(values)
        cdef bint whole = kind == dtype.type_num
        if kind == cnp.NPY_FLOAT:
            fill_uniform(&self._pcg, <float*>cnp.PyArray_DATA(values), count, low, high - low, whole)
        else:
            fill_uniform(&self._pcg, <double*>cnp.PyArray_DATA(values), count, low, high - low, whole)
        return values if whole else full_mantissa(values, dtype)

    def magnitudes(self, tuple shape, cnp.dtype dtype):
        """Random signs and magnitudes of 2**-12 .. 2**13, log-normal-like, full mantissa."""
        cdef int kind = direct(dtype)
        cdef cnp.ndarray values = blank(shape, kind)
        cdef Py_ssize_t count = cnp.PyArray_SIZE(values)
        cdef bint whole = kind == dtype.type_num
        if kind == cnp.NPY_FLOAT:
            fill_magnitudes(&self._pcg, <float*>cnp.PyArray_DATA(values), count, whole)
        else:
            fill_magnitudes(&self._pcg, <double*>cnp.PyArray_DATA(values), count, whole)
        return values if whole else full_mantissa(values, dtype)

    def around(self, cnp.ndarray centres, tuple shape, cnp.dtype dtype):
        """Less than one from one of `centres`, of either sign, full mantissa."""
        cdef int kind = direct(dtype)
        cdef cnp.ndarray values = blank(shape, kind)
        cdef Py_ssize_t count = cnp.PyArray_SIZE(values), several = cnp.PyArray_SIZE(centres)
        cdef bint whole = kind == dtype.type_num
        if several == 0 or cnp.PyArray_TYPE(centres) != cnp.NPY_DOUBLE or not cnp.PyArray_ISCARRAY_RO(centres):
            raise ValueError("centres: expected an array of float64, not empty")
        cdef const double* table = <const double*>cnp.PyArray_DATA(centres)
        if kind == cnp.NPY_FLOAT:
            fill_around(&self._pcg, <float*>cnp.PyArray_DATA(values), count, table, several, whole)
        else:
            fill_around(&self._pcg, <double*>cnp.PyArray_DATA(values), count, table, several, whole)
        return values if whole else full_mantissa(values, dtype)


cdef bint all_differ(list values, tuple places) except -1:
    """Whether no two of `values` in these places are equal."""
    cdef Py_ssize_t i, j
    for i in range(1, len(places)):
        for j in range(i):
            if values[<Py_ssize_t>places[i]] == values[<Py_ssize_t>places[j]]:
                return False
    return True


cdef object exactly(cnp.ndarray values, cnp.dtype dtype):
    """`values`, all of which `dtype` has, in it."""
    if dtype is None or cnp.PyArray_TYPE(values) == dtype.type_num:
        return values
    return values.astype(dtype)


def full_mantissa(values, cnp.dtype dtype):
    """`values` in `dtype` with the last bit of every significand set.

    A value that had passed through a narrower format (bfloat16, TF32, float32 for float64) could not have
    it, so every such loss shows. Zeros stay zero.
    """
    cdef cnp.ndarray rounded = np.array(values, dtype=dtype, order="C")
    cdef Py_ssize_t count = cnp.PyArray_SIZE(rounded)
    cdef int kind = dtype.type_num
    if kind == cnp.NPY_FLOAT:
        set_last_bits(<float*>cnp.PyArray_DATA(rounded), count)
    elif kind == cnp.NPY_DOUBLE:
        set_last_bits(<double*>cnp.PyArray_DATA(rounded), count)
    else:
        bits = rounded.view(f"u{dtype.itemsize}")
        bits |= (<object>rounded != 0).astype(bits.dtype)
    return rounded


def coordinates(tuple shape, int64_t period, cnp.dtype dtype):
    """1, 2, 3, ... in C order, from 1 again after `period`."""
    cdef int kind = direct(dtype)
    cdef cnp.ndarray values = blank(shape, kind)
    cdef Py_ssize_t i, count = cnp.PyArray_SIZE(values)
    if period < 1:
        raise ValueError(f"period is {period}, expected 1 or more")
    if kind == cnp.NPY_FLOAT:
        for i in range(count):
            (<float*>cnp.PyArray_DATA(values))[i] = <float>(i % period + 1)
    else:
        for i in range(count):
            (<double*>cnp.PyArray_DATA(values))[i] = <double>(i % period + 1)
    return exactly(values, dtype)


def normalised(cnp.ndarray weights, cnp.dtype dtype):
    """Rows of float64 `weights` divided by their sums.

    Summed class by class: `numpy.sum` may choose another order, hence other bits, on another machine.
    """
    cdef cnp.ndarray rows = np.array(weights, dtype=_WIDE, order="C", ndmin=2)
    cdef double* row = <double*>cnp.PyArray_DATA(rows)
    cdef Py_ssize_t m = cnp.PyArray_DIM(rows, 0), n = cnp.PyArray_DIM(rows, 1), j
    cdef double total
    for _ in range(m):
        total = 0
        for j in range(n):
            total += row[j]
        for j in range(n):
            row[j] /= total
        row += n
    return exactly(rows, dtype)
