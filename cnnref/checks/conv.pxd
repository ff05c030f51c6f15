"""Argument checks of convolution and its transpose."""

from numpy cimport ndarray

from cnnref.checks.hyper cimport Pair, Window

cdef Pair filter_extents(str function, str prefix, ndarray w, str axes) except *
cdef int same_output(
    str function, ndarray dz, Py_ssize_t m, Py_ssize_t n_h, Py_ssize_t n_w, Py_ssize_t n_c
) except -1
cpdef tuple check_conv_single_step(object a_slice_prev, object W, object b)
cdef tuple check_conv_forward(
    object A_prev, object W, object b, object hparameters, Window* window, Py_ssize_t* groups
)
cdef tuple check_conv_backward(object dZ, object cache, Window* window, Py_ssize_t* groups)
