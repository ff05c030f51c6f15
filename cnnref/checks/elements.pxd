"""The checks of the functions on elements, for the operation modules."""

cpdef tuple check_pad3d(object input, object stride)
cpdef tuple check_pad3d_backward(object doutput, object stride)
cpdef tuple check_arr2col(object X)
cpdef tuple check_col2arr(object X, object cache)
cpdef object check_create_mask_from_window(object x)
cpdef tuple check_distribute_value(object dz, object shape)
cpdef object check_activation(str function, object Z)
cpdef tuple check_activation_backward(str function, object dA, object cache, str name=*)
