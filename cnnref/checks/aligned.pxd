"""Results that start at a cache line."""

from numpy cimport ndarray, npy_intp

cdef ndarray aligned_empty(int ndim, npy_intp* shape, int typenum)
