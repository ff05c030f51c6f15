"""Argument checks of the transposed convolution."""

from cnnref.checks.hyper cimport Window

cdef tuple check_conv_transpose_forward(
    object A_prev, object W, object b, object hparameters, Window* window, Py_ssize_t* groups
)
cdef tuple check_conv_transpose_backward(object dZ, object cache, Window* window, Py_ssize_t* groups)
