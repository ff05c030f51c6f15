"""The checks of the layers, for the operation modules."""

cpdef tuple check_pool_forward(object A_prev, object hparameters, object mode)
cpdef tuple check_pool_backward(object dA, object cache, object mode)
cpdef tuple check_affine_forward(object A_prev, object W, object b, str function=*)
cpdef tuple check_affine_backward(object dZ, object cache, str function=*, str gradient=*)
cpdef object check_activation_name(str function, object activation)
cpdef tuple check_affine_activation_cache(str function, object cache)
