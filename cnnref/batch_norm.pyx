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
from cpython.pystate cimport PyThreadState
from libc.stdlib cimport free
from libc.string cimport memcpy
from numpy cimport ndarray, npy_intp

from cnnref.checks.arrays cimport elements, empty, held, is_double, memory, take_shape
from cnnref.checks.fields cimport asked, named
from cnnref.checks.half cimport rounded, storage, wide
from cnnref.checks.norm cimport check_batch_norm_backward, check_batch_norm_forward
from cnnref.kernels.base.half cimport Storage
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.types cimport real
from cnnref.kernels.reduce.batch_norm cimport backward_all, forward_all, updated
from cnnref.threads cimport brief, fail, let_go, take_back, team_size

from cnnref.caches import BatchNormCache

cnp.import_array()

cdef double WORK = 2  # operations for each element, as `team_size` counts them


cdef double* working_memory(Py_ssize_t channels) except NULL:
    cdef double* work = <double*>allocate(7 * channels + 1, sizeof(double))
    if work == NULL:
        raise MemoryError(f"batch_norm: no memory for {channels} channels")
    return work


cdef ndarray of_channels(Py_ssize_t channels, int typenum):
    cdef npy_intp[4] shape
    shape[0], shape[1], shape[2], shape[3] = 1, 1, 1, channels
    return cnp.PyArray_EMPTY(4, shape, typenum, 0)


cdef tuple normalized(
    ndarray x, ndarray scale, ndarray offset, ndarray old_mean, ndarray old_variance, double epsilon, double momentum,
    bint training, real kind,
):
    """(A, mean, variance, running mean, running variance) of checked arguments."""
    cdef npy_intp[4] shape
    take_shape(x, 4, shape)
    cdef Py_ssize_t channels = shape[3], rows = shape[0] * shape[1] * shape[2]
    cdef double work = <double>rows * channels * WORK
    cdef int threads = team_size(work), failed
    cdef ndarray out = empty(x, 4, shape)
    cdef ndarray mean = of_channels(channels, cnp.NPY_DOUBLE), variance = of_channels(channels, cnp.NPY_DOUBLE)
    cdef ndarray new_mean = of_channels(channels, cnp.PyArray_TYPE(scale))
    cdef ndarray new_variance = of_channels(channels, cnp.PyArray_TYPE(scale))
    cdef object _held = None if brief(work) else (held(x, scale, offset), held(old_mean, old_variance))
    cdef const real* x_data = <const real*>memory(x, cnp.PyArray_TYPE(out), rows * channels)
    cdef const real* scale_data = elements(scale, channels, kind)
    cdef const real* offset_data = elements(offset, channels, kind)
    cdef const real* old_mean_data = elements(old_mean, channels, kind)
    cdef const real* old_variance_data = elements(old_variance, channels, kind)
    cdef Storage stored = storage(out)
    cdef double* numbers = working_memory(channels)
    cdef PyThreadState* state = let_go(work)
    failed = forward_all(
        stored, x_data, scale_data, offset_data, old_mean_data, old_variance_data, numbers, <real*>cnp.PyArray_DATA(out), rows,
        channels, epsilon, training, threads,
    )
    updated(
        old_mean_data, old_variance_data, numbers, <real*>cnp.PyArray_DATA(new_mean),
        <real*>cnp.PyArray_DATA(new_variance), rows, channels, momentum, training,
    )
    memcpy(cnp.PyArray_DATA(mean), numbers, channels * sizeof(double))
    memcpy(cnp.PyArray_DATA(variance), numbers + channels, channels * sizeof(double))
    free(numbers)
    take_back(state)
    if failed:
        fail(f"batch_norm_forward: no memory for the sums of {channels} channels")
    return out, mean, variance, new_mean, new_variance


cdef tuple gradients(
    ndarray g, ndarray x, ndarray scale, ndarray mean, ndarray variance, double epsilon, bint training, real kind
):
    """(dA_prev, dgamma, dbeta) of checked arguments."""
    cdef npy_intp[4] shape
    take_shape(x, 4, shape)
    cdef Py_ssize_t channels = shape[3], rows = shape[0] * shape[1] * shape[2]
    cdef double work = <double>rows * channels * WORK
    cdef int threads = team_size(work), failed
    cdef ndarray out = empty(x, 4, shape)
    cdef ndarray dgamma = of_channels(channels, cnp.PyArray_TYPE(scale))
    cdef ndarray dbeta = of_channels(channels, cnp.PyArray_TYPE(scale))
    cdef object _held = None if brief(work) else (held(x, g, scale), held(mean, variance))
    cdef const real* x_data = <const real*>memory(x, cnp.PyArray_TYPE(out), rows * channels)
    cdef const real* g_data = <const real*>memory(g, cnp.PyArray_TYPE(out), rows * channels)
    cdef const real* scale_data = elements(scale, channels, kind)
    cdef const double* mean_data = elements(mean, channels, <double>0)
    cdef const double* variance_data = elements(variance, channels, <double>0)
    cdef Storage stored = storage(out)
    cdef double* numbers = working_memory(channels)
    cdef PyThreadState* state = let_go(work)
    failed = backward_all(
        stored, x_data, g_data, scale_data, mean_data, variance_data, numbers, <real*>cnp.PyArray_DATA(out),
        <real*>cnp.PyArray_DATA(dgamma), <real*>cnp.PyArray_DATA(dbeta), rows, channels, epsilon, training, threads,
    )
    free(numbers)
    take_back(state)
    if failed:
        fail(f"batch_norm_backward: no memory for the sums of {channels} channels")
    return out, rounded(dgamma, x), rounded(dbeta, x)


def batch_norm_forward(A_prev, gamma, beta, running_mean, running_var, hparameters=None, **keywords):
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
    hparameters : mapping, optional
        ``training`` (bool): normalize with the statistics of the batch rather than the running ones; ``epsilon``
        (default 1e-5), added to the variance; ``momentum`` (default 0.1), from 0 to 1, the weight of the batch in the
        new running statistics.
    **keywords
        The keys of `hparameters` one by one, in its place.

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

    Examples
    --------
    >>> A_prev, one = np.arange(8.0).reshape(4, 1, 1, 2), np.ones((1, 1, 1, 2))
    >>> A, cache = cnnref.batch_norm_forward(A_prev, one, 0 * one, 0 * one, one, training=True)
    >>> A[:, 0, 0, 0]
    array([-1.3416, -0.4472,  0.4472,  1.3416])
    >>> cache.running_mean
    array([[[[0.3, 0.4]]]])
    """
    cdef ndarray x, scale, offset
    cdef double epsilon, momentum
    cdef bint training
    hparameters = asked("batch_norm_forward", hparameters, keywords, "training=True")
    x, scale, offset, running_mean, running_var, epsilon, momentum, training = check_batch_norm_forward(
        A_prev, gamma, beta, running_mean, running_var, hparameters
    )
    cdef bint kept = running_mean is not None
    cdef ndarray unit = wide(scale), old_mean = running_mean if kept else unit, old_var = running_var if kept else unit
    if is_double(x):
        made = normalized(x, unit, offset, old_mean, old_var, epsilon, momentum, training, <double>0)
    else:
        made = normalized(x, unit, wide(offset), old_mean, old_var, epsilon, momentum, training, <float>0)
    out, mean, variance, new_mean, new_variance = made
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

    Examples
    --------
    >>> A_prev, one = np.arange(8.0).reshape(4, 1, 1, 2), np.ones((1, 1, 1, 2))
    >>> A, cache = cnnref.batch_norm_forward(A_prev, one, 0 * one, 0 * one, one, {"training": True})
    >>> dA_prev, dgamma, dbeta = cnnref.batch_norm_backward(np.ones_like(A), cache)
    >>> dbeta
    array([[[[4., 4.]]]])
    """
    cdef ndarray g, x, scale, mean, variance
    cdef double epsilon
    cdef bint training
    g, x, scale, mean, variance, epsilon, training = check_batch_norm_backward(dA, cache)
    if is_double(x):
        return gradients(g, x, scale, mean, variance, epsilon, training, <double>0)
    return gradients(g, x, wide(scale), mean, variance, epsilon, training, <float>0)
