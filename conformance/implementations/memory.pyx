"""Memory before and after a call, compared byte by byte."""

cimport numpy as cnp
from libc.string cimport memcmp

cnp.import_array()


def same_bytes(cnp.ndarray one, cnp.ndarray other):
    """Whether two arrays hold the same bytes, in C order."""
    if not (cnp.PyArray_IS_C_CONTIGUOUS(one) and cnp.PyArray_IS_C_CONTIGUOUS(other)):
        return one.tobytes() == other.tobytes()
    if cnp.PyArray_NBYTES(one) != cnp.PyArray_NBYTES(other):
        return False
    return memcmp(cnp.PyArray_DATA(one), cnp.PyArray_DATA(other), cnp.PyArray_NBYTES(one)) == 0
