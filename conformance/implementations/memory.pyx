"""Memory before and after a call: filled with values that show, and compared byte by byte."""

import numpy as np

cimport numpy as cnp
from libc.string cimport memcmp

cnp.import_array()


def dirty(expected, cnp.dtype dtype, double value):
    """Fill memory of the sizes of the outputs with `value` and free it again.

    NumPy and the C allocator hand a freed block of the same size out first, so that an output the
    implementation forgets to write is likely to show `value`.
    """
    cdef list blocks = []
    cdef cnp.ndarray output
    for wanted in expected.values():
        output = np.asarray(wanted)  # a loss under a convention is a number
        for _ in range(2):
            blocks.append(filled(output, dtype, value))


cdef cnp.ndarray filled(cnp.ndarray like, cnp.dtype dtype, double value):
    """A new array of that dtype and the shape of `like`, all `value`."""
    cdef int kind = dtype.type_num
    cdef cnp.ndarray block
    cdef Py_ssize_t i
    if kind != cnp.NPY_FLOAT and kind != cnp.NPY_DOUBLE:
        return np.full((<object>like).shape, value, dtype)
    block = cnp.PyArray_SimpleNew(cnp.PyArray_NDIM(like), cnp.PyArray_DIMS(like), kind)
    if kind == cnp.NPY_FLOAT:
        for i in range(cnp.PyArray_SIZE(block)):
            (<float*>cnp.PyArray_DATA(block))[i] = <float>value
    else:
        for i in range(cnp.PyArray_SIZE(block)):
            (<double*>cnp.PyArray_DATA(block))[i] = value
    return block


def same_bytes(cnp.ndarray one, cnp.ndarray other):
    """Whether two arrays hold the same bytes, in C order."""
    if not (cnp.PyArray_IS_C_CONTIGUOUS(one) and cnp.PyArray_IS_C_CONTIGUOUS(other)):
        return one.tobytes() == other.tobytes()
    if cnp.PyArray_NBYTES(one) != cnp.PyArray_NBYTES(other):
        return False
    return memcmp(cnp.PyArray_DATA(one), cnp.PyArray_DATA(other), cnp.PyArray_NBYTES(one)) == 0
