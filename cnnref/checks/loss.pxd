"""The checks of softmax and cross entropy, for the operation modules."""

cpdef object check_softmax(object X, str function=*)
cpdef tuple check_softmax_backward(object dprobs, object cache, str function=*, str gradient=*)
cpdef tuple check_cross_entropy(
    str function, str name, object AL, object Y, object batch_size, object label_smoothing, object ignore_index
)
cpdef tuple check_cross_entropy_cache(str function, object cache, object label_smoothing, object ignore_index)
cpdef tuple check_ranks(str function, str name, object AL, object Y, object ignore_index)
cpdef tuple check_element_loss(str function, object X, object T, int ndim=*, str of=*)
cpdef tuple check_element_loss_cache(str function, object cache, int ndim=*)
