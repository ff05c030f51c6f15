"""Batch normalization of NHWC images, over samples and pixels, and its gradients.

    A = gamma (A_prev - mean) / sqrt(variance + epsilon) + beta, channel by channel

With ``x = A_prev``, N = m n_H n_W values of a channel and ``r = 1 / sqrt(variance + epsilon)``:

    training:   mean = 1/N sum x, variance = 1/N sum (x - mean)^2
                dgamma = r S, S = sum dA (x - mean), dbeta = sum dA
                dA_prev = gamma r (dA - dbeta/N - (x - mean) r^2 S/N)
    inference:  mean = running_mean, variance = running_var
                dgamma, dbeta the same, dA_prev = gamma r dA

    running_mean' = (1 - momentum) running_mean + momentum mean
    running_var' = (1 - momentum) running_var + momentum variance N/(N - 1)

Sums are double for both dtypes, in the order that ``kernels/reduce/channel_sums.pxd`` states; the variance is the sum over
chunks of ``sum (x - mean of the chunk)^2 + n (mean of the chunk - mean)^2``. Per channel, all is double, rounded once; the
cache keeps mean and variance in double, because the variance of float32 values of 1e19 is no float32 number and a mean of
1e4 deviations leaves float32 no digits of the differences. Per element, in the dtype, with a fused multiply-add:

    ((x - mean) - what rounding took from mean) (gamma r) + beta
    (gamma r) (-(x - mean) (r^2 S/N) + (dA - (dbeta/N - what rounding took from mean r^2 S/N)))

Channels whose numbers float32 does not hold are computed in double (``kernels/reduce/channel_affine.pxd``): float32 and
bfloat16 images of any finite values have the gradients that the formulas give. What float64 does not hold, the squares of
1e154 and more or of 1e-154 and less, is infinite or 0 as everywhere. NaN and infinities spread as the formulas say.

Source: Ioffe & Szegedy 2015, "Batch Normalization"; Chan, Golub & LeVeque 1983 for the variance.
"""

cimport numpy as cnp
from libc.stdlib cimport free
from libc.string cimport memcpy
from numpy cimport ndarray

from cnnref.checks.arrays cimport elements, empty, held, single, take_shape
from cnnref.checks.fields cimport named, own
from cnnref.checks.half cimport half, in_single, narrowed, widened
from cnnref.checks.norm cimport check_batch_norm_backward, check_batch_norm_forward
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.reduce.batch_norm cimport backward_all, forward_all, updated
from cnnref.threads cimport fail, team_size

from cnnref.caches import BatchNormCache

cnp.import_array()

cdef double WORK = 2  # operations for each element, as `team_size` counts them


cdef double* working_memory(Py_ssize_t channels) except NULL:
    cdef double* work = <double*>allocate(7 * channels + 1, sizeof(double))
    if work == NULL:
        raise MemoryError(f"batch_norm: no memory for {channels} channels")
    return work


def batch_norm_forward(A_prev, gamma, beta, running_mean, running_var, hparameters):
    """Batch normalization over samples and pixels.

    Parameters
    ----------
    A_prev : array_like, shape (m, n_H_prev, n_W_prev, n_C_prev)
        Images; half and float32 keep their dtype if all arrays have it, everything else computes in float64. In training each
        channel must have more than one value, or the batch be empty.
    gamma, beta : array_like, shape (1, 1, 1, n_C_prev)
        Scale and offset of each channel.
    running_mean, running_var : array_like, shape (1, 1, 1, n_C_prev), or None
        Running statistics, the variance unbiased; None in training if they are not kept. They are not modified:
        the new ones are in the cache. float32 ones go with half images and do not make them float32.
    hparameters : mapping
        ``training`` (bool): normalize with the statistics of the batch rather than the running ones; ``epsilon``
        (default 1e-5), added to the variance; ``momentum`` (default 0.1), from 0 to 1, the weight of the batch in the
        new running statistics.

    Returns
    -------
    A : ndarray, shape (m, n_H_prev, n_W_prev, n_C_prev)
        ``gamma (A_prev - mean) / sqrt(variance + epsilon) + beta``; in training with the biased variance.
    cache : BatchNormCache
        `A_prev`, `gamma`, the mean and variance used (float64), the new running statistics (copies of the old ones
        after an empty batch and in inference, None if they are not kept), and a copy of `hparameters`. The running
        statistics have the dtype of `A`; those of half images are float32.

    Raises
    ------
    TypeError
        If an array does not hold floats of 16 to 64 bits, integers or booleans, a running statistic is None and is needed or
        the other one is not, or a hyperparameter has a wrong type.
    ValueError
        If the shapes do not fit, a hyperparameter is missing or out of range, or a channel has a single value in
        training.
    MemoryError
        If the result cannot be allocated.

    References
    ----------
    S. Ioffe and C. Szegedy, "Batch Normalization", 2015; conventions as in ``torch.nn.functional.batch_norm``.
    """
    cdef ndarray x, scale, offset, mean, variance, out, old_mean, old_variance, new_mean, new_variance
    hparameters = own("batch_norm_forward", hparameters)
    x, scale, offset, running_mean, running_var, epsilon, momentum, training = check_batch_norm_forward(
        A_prev, gamma, beta, running_mean, running_var, hparameters
    )
    if half(x):
        A, cache = batch_norm_forward(
            widened(x), widened(scale), widened(offset), running_mean, running_var, hparameters
        )
        return narrowed(A, x), cache._replace(A_prev=x, gamma=scale)
    cdef bint kept = running_mean is not None, in_training = training, is_single = single(x)
    old_mean, old_variance = (running_mean, running_var) if kept else (scale, scale)
    cdef cnp.npy_intp[4] shape
    cdef cnp.npy_intp[4] of_channels
    take_shape(x, 4, shape)
    of_channels[0], of_channels[1], of_channels[2], of_channels[3] = 1, 1, 1, shape[3]
    out = empty(x, 4, shape)
    mean = cnp.PyArray_EMPTY(4, of_channels, cnp.NPY_DOUBLE, 0)
    variance = cnp.PyArray_EMPTY(4, of_channels, cnp.NPY_DOUBLE, 0)
    new_mean = empty(x, 4, of_channels)
    new_variance = empty(x, 4, of_channels)
    cdef Py_ssize_t channels = shape[3], rows = shape[0] * shape[1] * shape[2]
    cdef int threads = team_size(<double>rows * channels * WORK), failed
    cdef double c_epsilon = epsilon, c_momentum = momentum
    cdef object _held = held(x, scale, offset), _held_old = held(old_mean, old_variance)
    cdef void* x_data = elements(x, is_single, rows * channels)
    cdef void* scale_data = elements(scale, is_single, channels)
    cdef void* offset_data = elements(offset, is_single, channels)
    cdef void* old_mean_data = elements(old_mean, is_single, channels)
    cdef void* old_variance_data = elements(old_variance, is_single, channels)
    elements(out, is_single, rows * channels)
    cdef double* work = working_memory(channels)
    cdef void* mean_data = cnp.PyArray_DATA(mean)
    cdef void* variance_data = cnp.PyArray_DATA(variance)
    cdef void* new_mean_data = cnp.PyArray_DATA(new_mean)
    cdef void* new_variance_data = cnp.PyArray_DATA(new_variance)
    cdef void* out_data = cnp.PyArray_DATA(out)
    with nogil:
        if is_single:
            failed = forward_all(
                <const float*>x_data, <const float*>scale_data, <const float*>offset_data,
                <const float*>old_mean_data, <const float*>old_variance_data, work, <float*>out_data, rows, channels,
                c_epsilon, in_training, threads,
            )
            updated(
                <const float*>old_mean_data, <const float*>old_variance_data, work, <float*>new_mean_data,
                <float*>new_variance_data, rows, channels, c_momentum, in_training,
            )
        else:
            failed = forward_all(
                <const double*>x_data, <const double*>scale_data, <const double*>offset_data,
                <const double*>old_mean_data, <const double*>old_variance_data, work, <double*>out_data, rows, channels,
                c_epsilon, in_training, threads,
            )
            updated(
                <const double*>old_mean_data, <const double*>old_variance_data, work, <double*>new_mean_data,
                <double*>new_variance_data, rows, channels, c_momentum, in_training,
            )
        memcpy(mean_data, work, channels * sizeof(double))
        memcpy(variance_data, work + channels, channels * sizeof(double))
        free(work)
    if failed:
        fail(f"batch_norm_forward: no memory for the sums of {channels} channels")
    if not kept:
        new_mean = new_variance = None
    return out, named(BatchNormCache, (x, scale, mean, variance, new_mean, new_variance, hparameters))


def batch_norm_backward(dA, cache):
    """Gradient of `batch_norm_forward`.

    Parameters
    ----------
    dA : array_like, shape (m, n_H_prev, n_W_prev, n_C_prev)
        Gradient with respect to the output.
    cache : BatchNormCache
        As `batch_norm_forward` returned it; or a tuple or mapping with its fields. In training `mean` and `variance`
        are taken for those of the batch; of any dtype, they do not make the gradients float64.

    Returns
    -------
    dA_prev : ndarray, shape (m, n_H_prev, n_W_prev, n_C_prev)
        In training through the statistics of the batch too; in inference ``dA gamma / sqrt(variance + epsilon)``.
    dgamma, dbeta : ndarray, shape (1, 1, 1, n_C_prev)
        Sums over samples and pixels.

    Raises
    ------
    TypeError
        If an array does not hold floats of 16 to 64 bits, integers or booleans, or `cache` or a hyperparameter has a wrong
        type.
    ValueError
        If the shapes do not fit, a field is missing, a hyperparameter is missing or out of range, or a channel has a
        single value in training.
    MemoryError
        If the result cannot be allocated.

    References
    ----------
    S. Ioffe and C. Szegedy, "Batch Normalization", 2015.
    """
    cdef ndarray g, x, scale, mean, variance, out, dgamma, dbeta
    g, x, scale, mean, variance, epsilon, training = check_batch_norm_backward(dA, cache)
    if half(x):
        hparameters = {"epsilon": epsilon, "training": training}
        return in_single(batch_norm_backward, (g, (x, scale, mean, variance, None, None, hparameters)), x)
    cdef bint in_training = training, is_single = single(x)
    cdef cnp.npy_intp[4] shape
    cdef cnp.npy_intp[4] of_channels
    take_shape(x, 4, shape)
    of_channels[0], of_channels[1], of_channels[2], of_channels[3] = 1, 1, 1, shape[3]
    out = empty(x, 4, shape)
    dgamma = empty(x, 4, of_channels)
    dbeta = empty(x, 4, of_channels)
    cdef Py_ssize_t channels = shape[3], rows = shape[0] * shape[1] * shape[2]
    cdef int threads = team_size(<double>rows * channels * WORK), failed
    cdef double c_epsilon = epsilon
    cdef object _held = held(x, g, scale), _held_statistics = held(mean, variance)
    cdef void* x_data = elements(x, is_single, rows * channels)
    cdef void* g_data = elements(g, is_single, rows * channels)
    cdef void* scale_data = elements(scale, is_single, channels)
    cdef void* mean_data = elements(mean, False, channels)
    cdef void* variance_data = elements(variance, False, channels)
    elements(out, is_single, rows * channels)
    cdef double* work = working_memory(channels)
    cdef void* dgamma_data = cnp.PyArray_DATA(dgamma)
    cdef void* dbeta_data = cnp.PyArray_DATA(dbeta)
    cdef void* out_data = cnp.PyArray_DATA(out)
    with nogil:
        if is_single:
            failed = backward_all(
                <const float*>x_data, <const float*>g_data, <const float*>scale_data, <const double*>mean_data,
                <const double*>variance_data, work, <float*>out_data, <float*>dgamma_data, <float*>dbeta_data, rows,
                channels, c_epsilon, in_training, threads,
            )
        else:
            failed = backward_all(
                <const double*>x_data, <const double*>g_data, <const double*>scale_data, <const double*>mean_data,
                <const double*>variance_data, work, <double*>out_data, <double*>dgamma_data, <double*>dbeta_data, rows,
                channels, c_epsilon, in_training, threads,
            )
        free(work)
    if failed:
        fail(f"batch_norm_backward: no memory for the sums of {channels} channels")
    return out, dgamma, dbeta
