"""Argument checks of convolution and its transpose."""

from cnnref.checks.hyper cimport Window

cpdef tuple check_conv_single_step(object a_slice_prev, object W, object b)
cdef tuple check_conv_forward(
    str function, bint transpose, object A_prev, object W, object b, object hparameters, Window* window,
    Py_ssize_t* groups,
)
cdef tuple check_conv_backward(
    str function, bint transpose, object dZ, object cache, Window* window, Py_ssize_t* groups
)
