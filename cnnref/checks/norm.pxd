"""The checks of normalizations, PReLU and global pooling, for the operation modules."""

cpdef object check_global_average_pool_forward(object A_prev)
cpdef tuple check_global_average_pool_backward(object dA, object cache)
cpdef tuple check_batch_norm_forward(
    object A_prev, object gamma, object beta, object running_mean, object running_var, object hparameters
)
cpdef tuple check_batch_norm_backward(object dA, object cache)
cpdef tuple check_prelu(object Z, object slopes)
cpdef tuple check_prelu_backward(object dA, object cache)
cpdef tuple check_row_norm_forward(str function, object A_prev, object gamma, object beta, object hparameters)
cpdef tuple check_row_norm_backward(str function, object dA, object cache)
