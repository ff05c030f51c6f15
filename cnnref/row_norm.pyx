"""Layer and RMS normalization: the channels of each pixel of NHWC images by themselves, and the gradients.

With x the n channels of a pixel, ``mean = 1/n sum x``, ``variance = 1/n sum (x - mean)^2``, ``r = 1 / sqrt(variance + epsilon)``:

    A = gamma (x - mean) r + beta
    dA_prev = r (h - 1/n sum h - (x - mean) r^2/n sum h (x - mean)),  h = gamma dA
    dgamma = sum dA (x - mean) r,  dbeta = sum dA,  over all pixels

RMS normalization takes the mean for 0, and has no beta and no ``1/n sum h``.

All is double for every dtype, in the order that ``kernels/reduce/row_norm.pxd`` states, which depends on the shapes alone, and
each result is rounded once: float32 and half images of any finite values have what the formulas give. What float64 does not
hold, the squares of 1e154 and more or of 1e-154 and less, is infinite or 0 as everywhere. A pixel with NaN is NaN; with an
infinity too, but its other channels are 0 where no mean is subtracted.

Source: Ba, Kiros & Hinton 2016, "Layer Normalization"; over the last axis as in Liu et al. 2022, "A ConvNet for the 2020s";
Zhang & Sennrich 2019, "Root Mean Square Layer Normalization".
"""

cimport numpy as cnp
from cpython.pystate cimport PyThreadState
from numpy cimport ndarray, npy_intp

from cnnref.checks.arrays cimport elements, empty, held, is_double, memory, take_shape
from cnnref.checks.fields cimport asked, named
from cnnref.checks.half cimport rounded, storage, wide
from cnnref.checks.norm cimport check_row_norm_backward, check_row_norm_forward
from cnnref.kernels.base.types cimport real
from cnnref.kernels.reduce.row_norm cimport Norm, backward_all, forward_all
from cnnref.threads cimport brief, fail, let_go, take_back, team_size

from cnnref.caches import LayerNormCache, RMSNormCache

cnp.import_array()

cdef double WORK = 3  # operations for each element, as `team_size` counts them


cdef Norm problem(ndarray x, bint centered, double epsilon, npy_intp* shape):
    """`shape` takes that of `x`, which is read here and nowhere else."""
    cdef Norm found
    take_shape(x, 4, shape)
    found.storage, found.centered, found.epsilon = storage(x), centered, epsilon
    found.rows, found.channels = shape[0] * shape[1] * shape[2], shape[3]
    return found


cdef ndarray statistics_of(Py_ssize_t rows):
    """Room for the mean and ``1 / sqrt(variance + epsilon)`` of each row."""
    cdef npy_intp[2] shape
    shape[0], shape[1] = 2, rows
    return cnp.PyArray_EMPTY(2, shape, cnp.NPY_DOUBLE, 0)


cdef object known(type kind, object cache, double epsilon):
    """The statistics that the forward call left beside the fields of `cache`, if they are of this epsilon."""
    cdef object kept = getattr(cache, "_statistics", None) if isinstance(cache, kind) else None
    if type(kept) is tuple and len(<tuple>kept) == 2 and type((<tuple>kept)[1]) is float and (<tuple>kept)[1] == epsilon:
        return (<tuple>kept)[0] if type((<tuple>kept)[0]) is ndarray else None
    return None


cdef tuple normalized(str function, ndarray x, ndarray scale, ndarray offset, double epsilon, real kind):
    """(A, the statistics of its rows) of checked arguments; without `offset` by RMS."""
    cdef npy_intp[4] shape
    cdef Norm p = problem(x, offset is not None, epsilon, shape)
    cdef double work = <double>p.rows * p.channels * WORK
    cdef int threads = team_size(work), failed
    cdef ndarray out = empty(x, 4, shape), statistics = statistics_of(p.rows)
    cdef double* kept = <double*>cnp.PyArray_DATA(statistics)
    cdef object _held = None if brief(work) else held(x, scale, offset if p.centered else scale)
    cdef const real* x_data = <const real*>memory(x, cnp.PyArray_TYPE(out), p.rows * p.channels)
    cdef const real* scale_data = elements(scale, p.channels, kind)
    cdef const real* offset_data = elements(offset, p.channels, kind) if p.centered else NULL
    cdef PyThreadState* state = let_go(work)
    failed = forward_all(&p, x_data, scale_data, offset_data, <real*>cnp.PyArray_DATA(out), kept, threads)
    take_back(state)
    if failed:
        fail(f"{function}: no memory for {p.channels} channels")
    return out, statistics


cdef tuple gradients(
    str function, ndarray g, ndarray x, ndarray scale, bint centered, double epsilon, object statistics, real kind
):
    """(dA_prev, dgamma, dbeta) of checked arguments; the `statistics` of the rows, or None."""
    cdef npy_intp[4] shape
    cdef npy_intp[4] row
    cdef Norm p = problem(x, centered, epsilon, shape)
    take_shape(scale, 4, row)
    cdef double work = <double>p.rows * p.channels * WORK
    cdef int threads = team_size(work), failed
    cdef ndarray out = empty(x, 4, shape), dgamma = empty(scale, 4, row), dbeta = empty(scale, 4, row)
    p.known = (
        statistics is not None
        and cnp.PyArray_SIZE(<ndarray>statistics) == 2 * p.rows
        and cnp.PyArray_TYPE(<ndarray>statistics) == cnp.NPY_DOUBLE
        and cnp.PyArray_IS_C_CONTIGUOUS(<ndarray>statistics)
    )
    cdef ndarray kept = statistics if p.known else statistics_of(p.rows)
    cdef object _held = None if brief(work) else (held(x, g, scale), held(kept))
    cdef const real* x_data = <const real*>memory(x, cnp.PyArray_TYPE(out), p.rows * p.channels)
    cdef const real* g_data = <const real*>memory(g, cnp.PyArray_TYPE(out), p.rows * p.channels)
    cdef const real* scale_data = elements(scale, p.channels, kind)
    cdef real* dgamma_data = elements(dgamma, p.channels, kind)
    cdef real* dbeta_data = elements(dbeta, p.channels, kind)
    cdef double* kept_data = elements(kept, 2 * p.rows, <double>0)
    cdef PyThreadState* state = let_go(work)
    failed = backward_all(
        &p, x_data, g_data, scale_data, <real*>cnp.PyArray_DATA(out), dgamma_data, dbeta_data, kept_data, threads
    )
    take_back(state)
    if failed:
        fail(f"{function}: no memory for the sums of {p.channels} channels")
    return out, rounded(dgamma, x), rounded(dbeta, x)


cdef tuple forward(str function, type kind, tuple arrays, object hparameters, dict keywords):
    """(A, a cache of `kind`) of (A_prev, gamma, beta or None)."""
    cdef ndarray x, scale, offset
    cdef double epsilon
    hparameters = asked(function, hparameters, keywords, "epsilon=1e-5") if keywords or hparameters is not None else {}
    x, scale, offset, epsilon = check_row_norm_forward(function, arrays[0], arrays[1], arrays[2], hparameters)
    offset = wide(offset) if offset is not None else None
    if is_double(x):
        out, statistics = normalized(function, x, scale, offset, epsilon, <double>0)
    else:
        out, statistics = normalized(function, x, wide(scale), offset, epsilon, <float>0)
    cache = named(kind, (x, scale, hparameters))
    cache._statistics = statistics, epsilon
    return out, cache


cdef tuple backward(str function, type kind, object dA, object cache):
    """(dA_prev, dgamma, dbeta) of a cache of `kind`."""
    cdef ndarray g, x, scale
    cdef double epsilon
    cdef bint centered = kind is LayerNormCache
    g, x, scale, epsilon = check_row_norm_backward(function, dA, cache)
    statistics = known(kind, cache, epsilon)
    if is_double(x):
        return gradients(function, g, x, scale, centered, epsilon, statistics, <double>0)
    return gradients(function, g, x, wide(scale), centered, epsilon, statistics, <float>0)


def layer_norm_forward(A_prev, gamma, beta, hparameters=None, **keywords):
    """Layer normalization over the channels of each pixel.

    Parameters
    ----------
    A_prev : array_like, shape (m, n_H_prev, n_W_prev, n_C_prev)
        Images; half and float32 keep their dtype if all arrays have it, everything else computes in float64.
    gamma, beta : array_like, shape (1, 1, 1, n_C_prev)
        Scale and offset of each channel.
    hparameters : mapping, optional
        ``epsilon`` (default 1e-5), added to the variance.
    **keywords
        The key of `hparameters`, in its place.

    Returns
    -------
    A : ndarray, shape (m, n_H_prev, n_W_prev, n_C_prev)
        ``gamma (A_prev - mean) / sqrt(variance + epsilon) + beta``, mean and biased variance those of the pixel.
    cache : LayerNormCache
        `A_prev`, `gamma` and a copy of `hparameters`.

    Raises
    ------
    TypeError
        If an array does not hold floats of 16 to 64 bits, integers or booleans, or a hyperparameter has a wrong type.
    ValueError
        If the shapes do not fit, or `epsilon` is negative.
    MemoryError
        If the result cannot be allocated.

    References
    ----------
    J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer Normalization", 2016; conventions as in ``torch.nn.functional.layer_norm``.

    Examples
    --------
    >>> A_prev, one = np.array([[[[1.0, 2.0, 3.0]]]]), np.ones((1, 1, 1, 3))
    >>> A, cache = cnnref.layer_norm_forward(A_prev, one, 0 * one, epsilon=0)
    >>> A
    array([[[[-1.2247,  0.    ,  1.2247]]]])
    """
    return forward("layer_norm_forward", LayerNormCache, (A_prev, gamma, beta), hparameters, keywords)


def layer_norm_backward(dA, cache):
    """Gradient of `layer_norm_forward`.

    Parameters
    ----------
    dA : array_like, shape (m, n_H_prev, n_W_prev, n_C_prev)
        Gradient with respect to the output.
    cache : LayerNormCache
        As `layer_norm_forward` returned it; or a tuple or mapping with its fields.

    Returns
    -------
    dA_prev : ndarray, shape (m, n_H_prev, n_W_prev, n_C_prev)
        Through mean and variance of each pixel too.
    dgamma, dbeta : ndarray, shape (1, 1, 1, n_C_prev)
        Sums over samples and pixels.

    Raises
    ------
    TypeError
        If an array does not hold floats of 16 to 64 bits, integers or booleans, or `cache` or a hyperparameter has a wrong
        type.
    ValueError
        If the shapes do not fit, a field is missing, or `epsilon` is negative.
    MemoryError
        If the result cannot be allocated.

    References
    ----------
    J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer Normalization", 2016.

    Examples
    --------
    >>> A_prev, one = np.array([[[[1.0, 2.0, 3.0]]]]), np.ones((1, 1, 1, 3))
    >>> A, cache = cnnref.layer_norm_forward(A_prev, one, 0 * one, epsilon=0)
    >>> dA_prev, dgamma, dbeta = cnnref.layer_norm_backward([[[[0.0, 1.0, 0.0]]]], cache)
    >>> dA_prev
    array([[[[-0.4082,  0.8165, -0.4082]]]])
    """
    return backward("layer_norm_backward", LayerNormCache, dA, cache)


def rms_norm_forward(A_prev, gamma, hparameters=None, **keywords):
    """RMS normalization over the channels of each pixel.

    Parameters
    ----------
    A_prev : array_like, shape (m, n_H_prev, n_W_prev, n_C_prev)
        Images; half and float32 keep their dtype if all arrays have it, everything else computes in float64.
    gamma : array_like, shape (1, 1, 1, n_C_prev)
        Scale of each channel.
    hparameters : mapping, optional
        ``epsilon`` (default 1e-5), added to the mean of the squares.
    **keywords
        The key of `hparameters`, in its place.

    Returns
    -------
    A : ndarray, shape (m, n_H_prev, n_W_prev, n_C_prev)
        ``gamma A_prev / sqrt(mean of A_prev^2 + epsilon)``, the mean that of the pixel.
    cache : RMSNormCache
        `A_prev`, `gamma` and a copy of `hparameters`.

    Raises
    ------
    TypeError
        If an array does not hold floats of 16 to 64 bits, integers or booleans, or a hyperparameter has a wrong type.
    ValueError
        If the shapes do not fit, or `epsilon` is negative.
    MemoryError
        If the result cannot be allocated.

    References
    ----------
    B. Zhang and R. Sennrich, "Root Mean Square Layer Normalization", 2019; as ``torch.nn.functional.rms_norm``, whose default of
    epsilon is another.

    Examples
    --------
    >>> A_prev, one = np.array([[[[1.0, 7.0]]]]), np.ones((1, 1, 1, 2))
    >>> A, cache = cnnref.rms_norm_forward(A_prev, one, epsilon=0)
    >>> A
    array([[[[0.2, 1.4]]]])
    """
    return forward("rms_norm_forward", RMSNormCache, (A_prev, gamma, None), hparameters, keywords)


def rms_norm_backward(dA, cache):
    """Gradient of `rms_norm_forward`.

    Parameters
    ----------
    dA : array_like, shape (m, n_H_prev, n_W_prev, n_C_prev)
        Gradient with respect to the output.
    cache : RMSNormCache
        As `rms_norm_forward` returned it; or a tuple or mapping with its fields.

    Returns
    -------
    dA_prev : ndarray, shape (m, n_H_prev, n_W_prev, n_C_prev)
        Through the mean of the squares too.
    dgamma : ndarray, shape (1, 1, 1, n_C_prev)
        Sums over samples and pixels.

    Raises
    ------
    TypeError
        If an array does not hold floats of 16 to 64 bits, integers or booleans, or `cache` or a hyperparameter has a wrong
        type.
    ValueError
        If the shapes do not fit, a field is missing, or `epsilon` is negative.
    MemoryError
        If the result cannot be allocated.

    References
    ----------
    B. Zhang and R. Sennrich, "Root Mean Square Layer Normalization", 2019.

    Examples
    --------
    >>> A_prev, one = np.array([[[[1.0, 7.0]]]]), np.ones((1, 1, 1, 2))
    >>> A, cache = cnnref.rms_norm_forward(A_prev, one, epsilon=0)
    >>> dA_prev, dgamma = cnnref.rms_norm_backward([[[[0.0, 1.0]]]], cache)
    >>> dA_prev
    array([[[[-0.028,  0.004]]]])
    """
    return backward("rms_norm_backward", RMSNormCache, dA, cache)[:2]
