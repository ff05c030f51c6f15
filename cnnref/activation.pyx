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

from cnnref.kernels.base.isa cimport noinline, always_inline, unlikely
from cnnref.kernels.base.types cimport magnitude, multiply_add, real
from cnnref.kernels.vmath.elementwise cimport activated, activation_gradient
from cnnref.kernels.vmath.exp cimport MOST_LANES, any_far, ask_ahead, exp_minus, lanes, last_lanes
from cnnref.kernels.vmath.exp2_table cimport cnnref_bits_d, cnnref_bits_f, cnnref_float_d, cnnref_float_f

cnp.import_array()

cdef enum Function:
    SIGMOID
    SIGMOID_GRADIENT
    RELU
    RELU_GRADIENT
    POST_SIGMOID_GRADIENT
    POST_RELU_GRADIENT

cdef double EXP_WORK = 8  # operations for each element, as `team_size` counts them


cdef inline always_inline of_lanes(
    const int function, const bint far, const real* z, const real* da, real* out
) noexcept nogil:
    """`apply` to `lanes` elements of a function that takes exp; `far` as for `exp_minus`, False to find out."""
    cdef real[MOST_LANES] t
    cdef real[MOST_LANES] s
    cdef int i
    ask_ahead(z)
    if function != SIGMOID:
        ask_ahead(da)
    for i in range(lanes(<real>0)):
        t[i] = magnitude(z[i])
    if not far and unlikely(any_far(t)):
        far_lanes(function, z, da, out)
        return
    exp_minus(t, t, far)
    if function == SIGMOID_GRADIENT:
        for i in range(lanes(<real>0)):
            s[i] = t[i] / multiply_add(t[i], t[i] + <real>2, <real>1)
    else:
        for i in range(lanes(<real>0)):
            s[i] = (t[i] if z[i] < 0 else <real>1) / (<real>1 + t[i])
    if function == SIGMOID_GRADIENT:
        for i in range(lanes(<real>0)):
            s[i] = da[i] * s[i]
    elif function == POST_SIGMOID_GRADIENT:
        for i in range(lanes(<real>0)):
            s[i] = da[i] * s[i] * (<real>1 - s[i])
    for i in range(lanes(<real>0)):
        out[i] = s[i]


cdef noinline far_lanes(int function, const real* z, const real* da, real* out) noexcept nogil:
    if function == SIGMOID:
        of_lanes(SIGMOID, True, z, da, out)
    elif function == SIGMOID_GRADIENT:
        of_lanes(SIGMOID_GRADIENT, True, z, da, out)
    else:
        of_lanes(POST_SIGMOID_GRADIENT, True, z, da, out)


cdef inline real masked(real a, real mask) noexcept nogil:
    """The bits of `a` that `mask` has: 0 where it is 0.

    With a mask that the compiler does not know, `a` is read in any case: a read under a mask of the processor's, as
    the compiler makes of ``0 if z <= 0 else a``, waits for `z`, which took a quarter longer from memory.
    """
    if real is float:
        return cnnref_float_f(cnnref_bits_f(a) & cnnref_bits_f(mask))
    else:
        return cnnref_float_d(cnnref_bits_d(a) & cnnref_bits_d(mask))


cdef void apply(
    int function, const real* z, const real* da, real* out, Py_ssize_t n, double option, double other
) noexcept nogil:
    """``out = function(z)``, or ``da * function'(z)``; `option` is 0."""
    cdef Py_ssize_t i, step = lanes(<real>0), rest = n % step, whole = n - rest
    cdef real nothing = <real>option
    cdef real t
    if function == RELU:
        for i in range(n):
            out[i] = <real>0 if z[i] < 0 else z[i]
        return
    if function == RELU_GRADIENT:
        for i in range(n):
            t = da[i]
            out[i] = masked(t, nothing) if z[i] <= 0 else t
        return
    if function == POST_RELU_GRADIENT:
        for i in range(n):
            t = da[i]
            out[i] = masked(t, nothing) if z[i] < 0 else t
        return
    if function == SIGMOID:
        for i in range(n // step):
            of_lanes(SIGMOID, False, z + i * step, <const real*>NULL, out + i * step)
    elif function == SIGMOID_GRADIENT:
        for i in range(n // step):
            of_lanes(SIGMOID_GRADIENT, False, z + i * step, da + i * step, out + i * step)
    else:
        for i in range(n // step):
            of_lanes(POST_SIGMOID_GRADIENT, False, z + i * step, da + i * step, out + i * step)
    if rest > 0:
        last_lanes(
            apply[real], function, z + whole, da + whole if da != NULL else NULL, out + whole, rest, option,
            other,
        )


cdef double work(Function function) noexcept:
    """Operations for each element, as `team_size` counts them."""
    return 1 if function in (RELU, RELU_GRADIENT, POST_RELU_GRADIENT) else EXP_WORK


cdef tuple forward(Function function, str name, object Z):
    return activated(apply[float], apply[double], function, name, Z, 0, work(function))


cdef object backward(Function function, str name, object dA, object cache):
    return activation_gradient(apply[float], apply[double], function, name, dA, cache, 0, work(function))


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

    Examples
    --------
    >>> A, cache = cnnref.sigmoid([-1.0, 0.0, 2.0])
    >>> A
    array([0.2689, 0.5   , 0.8808])
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

    Examples
    --------
    >>> A, cache = cnnref.relu([-1.0, 0.0, 2.0])
    >>> A
    array([0., 0., 2.])
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

    Examples
    --------
    >>> A, cache = cnnref.sigmoid([-1.0, 0.0, 2.0])
    >>> cnnref.sigmoid_backward([1, 1, 1], cache)
    array([0.1966, 0.25  , 0.105 ])
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

    Examples
    --------
    >>> A, cache = cnnref.relu([-1.0, 0.0, 2.0])
    >>> cnnref.relu_backward([1, 1, 1], cache)
    array([0., 0., 1.])
    """
    return backward(RELU_GRADIENT, "relu_backward", dA, cache)


def post_sigmoid_backward(dA, cache):
    """`sigmoid_backward` as the post has it: ``dA * s * (1 - s)``, 0 from Z = 37 on."""
    return backward(POST_SIGMOID_GRADIENT, "sigmoid_backward", dA, cache)


def post_relu_backward(dA, cache):
    """`relu_backward` as the post has it: `dA` passes at ``Z == 0``."""
    return backward(POST_RELU_GRADIENT, "relu_backward", dA, cache)
