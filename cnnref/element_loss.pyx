"""Losses of each element and its target, and their gradients: means of a function of the two.

    mse(x, t) = (x - t)^2

A term is computed in the dtype, float32 for half, and the terms are added up as doubles in the order that
``kernels/vmath/mean_loss.pxd`` states; their number divides the sum, as a double, and there the loss is a Python float. A
gradient is the derivative by x times the reciprocal of that number, which is rounded to the dtype. The mean of nothing is NaN.

Source: ``torch.nn.functional``.
"""

cimport numpy as cnp
from numpy cimport ndarray

from cnnref.checks.fields cimport named
from cnnref.checks.loss cimport check_element_loss, check_element_loss_cache
from cnnref.kernels.base.types cimport real
from cnnref.kernels.vmath.elementwise cimport run
from cnnref.kernels.vmath.mean_loss cimport total

from cnnref.caches import LossCache

cnp.import_array()

cdef enum Function:
    MSE
    MSE_GRADIENT

cdef double WORK = 1  # operations for each element, as `team_size` counts them


cdef void apply(
    int function, const real* x, const real* t, real* out, Py_ssize_t n, double option, double share
) noexcept nogil:
    """The terms of a loss, or their derivatives times `share`."""
    cdef Py_ssize_t i
    cdef real twice = <real>(2 * share), d
    if function == MSE:
        for i in range(n):
            d = x[i] - t[i]
            out[i] = d * d
    else:
        for i in range(n):
            out[i] = (x[i] - t[i]) * twice


cdef tuple mean(Function function, str name, object X, object T, double option=0):
    """(loss, cache) of the function that is called `name`."""
    cdef ndarray x, t
    x, t = check_element_loss(name, X, T)
    cdef double sum = total(apply[float], apply[double], function, name, x, t, option, WORK)
    cdef double count = <double>cnp.PyArray_SIZE(x)
    return sum / count, named(LossCache, (x, t))


cdef ndarray gradient(Function function, str name, object cache, double option=0):
    cdef ndarray x, t
    x, t = check_element_loss_cache(name, cache)
    cdef double count = <double>cnp.PyArray_SIZE(x)
    return run(apply[float], apply[double], function, x, t, option, WORK, False, 1 / count)


def mse_loss(X, T):
    """Mean squared error: the mean of ``(X - T)^2``.

    Parameters
    ----------
    X : array_like
        Any shape; half and float32 keep their dtype if both arrays have it, everything else computes in float64.
    T : array_like
        The targets, of the same shape.

    Returns
    -------
    loss : float
        The mean over all elements; NaN without any, as in PyTorch.
    cache : LossCache
        `X` and `T` (converted where they had to be).

    Raises
    ------
    TypeError
        If an array does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> loss, cache = cnnref.mse_loss([[1.0, 2.0]], [[1.0, 4.0]])
    >>> loss
    2.0
    """
    return mean(MSE, "mse_loss", X, T)


def mse_loss_backward(cache):
    """Gradient of `mse_loss` with respect to `X`.

    Parameters
    ----------
    cache : LossCache
        As `mse_loss` returned it; or a tuple or mapping with its fields.

    Returns
    -------
    dX : ndarray
        ``2 (X - T) / N``, N the number of elements.

    Raises
    ------
    TypeError
        If an array does not hold floats of 16 to 64 bits, integers or booleans, or `cache` has a wrong type.
    ValueError
        If the shapes differ, or a field is missing.

    Examples
    --------
    >>> loss, cache = cnnref.mse_loss([[1.0, 2.0]], [[1.0, 4.0]])
    >>> cnnref.mse_loss_backward(cache)
    array([[ 0., -2.]])
    """
    return gradient(MSE_GRADIENT, "mse_loss_backward", cache)
