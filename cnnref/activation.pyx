"""Activation functions, element by element, on arrays of any shape.

    sigmoid(z) = 1 / (1 + exp(-z))        sigmoid'(z) = exp(-|z|) / (1 + exp(-|z|))^2
    relu(z) = max(z, 0)                   relu'(z) = 0 for z <= 0, else 1

The sigmoid is computed from ``t = exp(-|z|)``, which cannot overflow: ``1 / (1 + t)`` for ``z >= 0``,
``t / (1 + t)`` below, and the gradient as ``dA * (t / (1 + t (2 + t)))``, so that both keep their relative
accuracy towards 0 (``s * (1 - s)`` is 0 from z = 37 on). relu passes NaN, and its gradient passes where z is NaN, as
PyTorch's does; ``relu(-0.0)`` is -0.0.

Source: "R for Deep Learning (IV)", ``sigmoid``, ``relu``, ``sigmoid_backward``, ``relu_backward``.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from numpy cimport ndarray

from cnnref._arrays cimport empty, single
from cnnref._check_elements cimport check_activation, check_activation_backward
from cnnref._elementary cimport exp_nonpositive
from cnnref._half cimport half, narrowed, widened
from cnnref._types cimport magnitude, multiply_add, real
from cnnref.threads cimport brief, fail, stopped, team_size, watch

cnp.import_array()

cdef enum Function:
    SIGMOID
    SIGMOID_GRADIENT
    RELU
    RELU_GRADIENT
    POST_SIGMOID_GRADIENT
    POST_RELU_GRADIENT

cdef enum:
    # Elements between looks at whether the call is to stop.
    PIECE = 262144

# Operations for each element, as `team_size` counts them.
cdef double EXP_WORK = 8


cdef void apply(Function function, const real* z, const real* da, real* out, Py_ssize_t n) noexcept nogil:
    """``out = function(z)``, or ``da * function'(z)``."""
    cdef Py_ssize_t i
    cdef real t, s
    if function == SIGMOID:
        for i in range(n):
            t = exp_nonpositive(-magnitude(z[i]))
            out[i] = (t if z[i] < 0 else <real>1) / (<real>1 + t)
    elif function == SIGMOID_GRADIENT:
        for i in range(n):
            t = exp_nonpositive(-magnitude(z[i]))
            s = multiply_add(t, t + <real>2, <real>1)
            out[i] = da[i] * (t / s)
    elif function == RELU:
        for i in range(n):
            out[i] = <real>0 if z[i] < 0 else z[i]
    elif function == RELU_GRADIENT:
        for i in range(n):
            t = da[i]  # read in any case: a read under a mask waits for the one before it
            out[i] = <real>0 if z[i] <= 0 else t
    elif function == POST_SIGMOID_GRADIENT:
        for i in range(n):
            t = exp_nonpositive(-magnitude(z[i]))
            s = (t if z[i] < 0 else <real>1) / (<real>1 + t)
            out[i] = da[i] * s * (<real>1 - s)
    else:
        for i in range(n):
            t = da[i]
            out[i] = <real>0 if z[i] < 0 else t


cdef int apply_part(
    Function function, const real* z, const real* da, real* out, Py_ssize_t begin, Py_ssize_t end, const int* watched
) noexcept nogil:
    """`apply` to the elements from `begin` to `end`; -1 where the call is to stop."""
    cdef Py_ssize_t count
    while begin < end:
        if stopped(watched):
            return -1
        count = min(end - begin, <Py_ssize_t>PIECE)
        apply(function, z + begin, da + begin if da != NULL else NULL, out + begin, count)
        begin += count
    return 0


cdef int apply_all(
    Function function, const real* z, const real* da, real* out, Py_ssize_t n, int threads
) noexcept nogil:
    cdef Py_ssize_t part
    cdef int failed = 0
    cdef const int* watched = watch()
    if threads == 1:
        return apply_part(function, z, da, out, 0, n, watched)
    for part in prange(threads, num_threads=threads, schedule="static"):
        failed += apply_part(function, z, da, out, n * part // threads, n * (part + 1) // threads, watched)
    return failed


cdef int apply_to(
    Function function, const void* z, const void* da, void* out, bint is_single, Py_ssize_t n, int threads
) noexcept nogil:
    if is_single:
        return apply_all(function, <const float*>z, <const float*>da, <float*>out, n, threads)
    return apply_all(function, <const double*>z, <const double*>da, <double*>out, n, threads)


cdef ndarray run(Function function, ndarray z, ndarray da):
    if half(z):
        return narrowed(run(function, widened(z), widened(da)), z)
    cdef ndarray out = empty(z, cnp.PyArray_NDIM(z), cnp.PyArray_DIMS(z))
    cdef Py_ssize_t n = cnp.PyArray_SIZE(z)
    cdef double work = n if function in (RELU, RELU_GRADIENT, POST_RELU_GRADIENT) else n * EXP_WORK
    cdef int threads = team_size(work)
    cdef void* z_data = cnp.PyArray_DATA(z)
    cdef void* da_data = NULL if da is None else cnp.PyArray_DATA(da)
    cdef void* out_data = cnp.PyArray_DATA(out)
    cdef bint is_single = single(z)
    cdef int status
    if brief(work):
        status = apply_to(function, z_data, da_data, out_data, is_single, n, threads)
    else:
        with nogil:
            status = apply_to(function, z_data, da_data, out_data, is_single, n, threads)
    if status < 0:
        fail("interrupted")
    return out


cdef tuple forward(Function function, str name, object Z):
    cdef ndarray z = check_activation(name, Z)
    return run(function, z, None), z


cdef ndarray backward(Function function, str name, object dA, object cache):
    cdef ndarray da, z
    da, z = check_activation_backward(name, dA, cache)
    return run(function, z, da)


def sigmoid(Z):
    """Sigmoid activation ``1 / (1 + exp(-Z))``.

    Parameters
    ----------
    Z : array_like
        Any shape; half and float32 keep their dtype, everything else computes in float64.

    Returns
    -------
    A : ndarray
        Shape and dtype of `Z`; within 3 ULP everywhere, as it approaches 0 too.
    cache : ndarray
        `Z` itself (converted where it had to be).

    Raises
    ------
    TypeError
        If `Z` does not hold floats of 16 to 64 bits, integers or booleans.

    References
    ----------
    "R for Deep Learning (IV)", ``sigmoid``.
    """
    return forward(SIGMOID, "sigmoid", Z)


def relu(Z):
    """Rectified linear unit ``max(Z, 0)``; NaN stays NaN.

    Parameters
    ----------
    Z : array_like
        Any shape; half and float32 keep their dtype, everything else computes in float64.

    Returns
    -------
    A : ndarray
        Shape and dtype of `Z`.
    cache : ndarray
        `Z` itself (converted where it had to be).

    Raises
    ------
    TypeError
        If `Z` does not hold floats of 16 to 64 bits, integers or booleans.

    References
    ----------
    "R for Deep Learning (IV)", ``relu``.
    """
    return forward(RELU, "relu", Z)


def sigmoid_backward(dA, cache):
    """Gradient of `sigmoid`.

    Parameters
    ----------
    dA : array_like
        Gradient with respect to the activation, any shape.
    cache : array_like
        ``Z`` as `sigmoid` returned it, the shape of `dA`.

    Returns
    -------
    ndarray
        ``dZ = dA * s * (1 - s)`` with ``s = sigmoid(Z)``, without the cancellation of ``1 - s``: within 4 ULP.

    Raises
    ------
    TypeError
        If an argument does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If the shapes differ.

    References
    ----------
    "R for Deep Learning (IV)", ``sigmoid_backward``.
    """
    return backward(SIGMOID_GRADIENT, "sigmoid_backward", dA, cache)


def relu_backward(dA, cache):
    """Gradient of `relu`: `dA` where ``Z > 0`` or NaN, else 0.

    Parameters
    ----------
    dA : array_like
        Gradient with respect to the activation, any shape.
    cache : array_like
        ``Z`` as `relu` returned it, the shape of `dA`.

    Returns
    -------
    ndarray
        ``dZ``, the shape of `dA`.

    Raises
    ------
    TypeError
        If an argument does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If the shapes differ.

    References
    ----------
    "R for Deep Learning (IV)", ``relu_backward``.
    """
    return backward(RELU_GRADIENT, "relu_backward", dA, cache)


def post_sigmoid_backward(dA, cache):
    """`sigmoid_backward` as the post has it: ``dA * s * (1 - s)``, 0 from Z = 37 on."""
    return backward(POST_SIGMOID_GRADIENT, "sigmoid_backward", dA, cache)


def post_relu_backward(dA, cache):
    """`relu_backward` as the post has it: `dA` passes at ``Z == 0``."""
    return backward(POST_RELU_GRADIENT, "relu_backward", dA, cache)
