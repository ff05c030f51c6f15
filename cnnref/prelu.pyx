"""PReLU of NHWC images, which learns its slope below 0, one for each channel or one for all; and its gradients.

    A = Z where Z > 0, else slopes Z
    dZ = dA where Z > 0, else slopes dA
    dslopes = sum of dA Z over samples and pixels where Z is not above 0; of one slope over channels too

Each element is rounded once, in the dtype. Products of the sum and the sum itself are double for both dtypes, in the order that
``kernels/reduce/channel_sums.pxd`` states, and rounded once; all channels that share a slope are one. NaN is not above 0: it
gives NaN, in `dslopes` too, and the gradient ``slopes dA``; where Z is above 0, no NaN or infinity of dA reaches `dslopes`. As
in PyTorch.

Source: He, Zhang, Ren & Sun 2015, "Delving Deep into Rectifiers".
"""

cimport numpy as cnp
from cpython.pystate cimport PyThreadState
from libc.stdlib cimport free
from numpy cimport ndarray, npy_intp

from cnnref.checks.arrays cimport elements, empty, held, is_double, memory, take_shape
from cnnref.checks.fields cimport named
from cnnref.checks.half cimport rounded, storage, wide
from cnnref.checks.norm cimport check_prelu, check_prelu_backward
from cnnref.kernels.base.half cimport Storage, size_of
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.nontemporal cimport past_caches
from cnnref.kernels.base.types cimport real
from cnnref.kernels.reduce.batch_norm cimport gradient_sums
from cnnref.kernels.reduce.channel_affine cimport per_element, table_of
from cnnref.threads cimport brief, fail, let_go, take_back, team_size

from cnnref.caches import PReLUCache

cnp.import_array()

cdef double WORK = 1  # operations for each element, as `team_size` counts them


cdef inline int computed(
    Storage stored, const real* z, const real* g, const real* slopes, real* out, real* dslopes, Py_ssize_t rows,
    Py_ssize_t channels, int threads
) noexcept nogil:
    """`out`, and of a gradient `dslopes`; -1 if there is no memory, or the call is to stop."""
    cdef double* numbers = <double*>allocate(4 * channels + 1, sizeof(double))
    cdef real* table = NULL
    cdef bint streamed = past_caches((2.0 if g == NULL else 3.0) * rows * channels * size_of(stored, <real>0), threads)
    cdef Py_ssize_t c
    cdef int status = -1
    if numbers != NULL:
        for c in range(channels):
            numbers[c] = slopes[c]
            numbers[channels + c] = numbers[2 * channels + c] = numbers[3 * channels + c] = 0
        table = table_of(numbers, channels, <real>0)
    if table != NULL and g == NULL:
        status = per_element(True, stored, z, g, table, out, rows, channels, threads, streamed)
    elif table != NULL:
        status = gradient_sums(
            True, stored, z, g, numbers + channels, rows, channels, numbers + 2 * channels, numbers, table, out, threads,
            streamed,
        )
        for c in range(channels):
            dslopes[c] = <real>numbers[c]
    free(table)
    free(numbers)
    return status


cdef tuple applied(ndarray z, ndarray g, ndarray slopes, real kind):
    """(A or dZ, dslopes or None) of checked arguments; `g` is None but for a gradient."""
    cdef npy_intp[4] shape
    cdef npy_intp[4] row
    take_shape(slopes, 4, row)
    take_shape(z, 4, shape)
    cdef ndarray out = empty(z, 4, shape), dslopes = empty(slopes, 4, row)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(out), channels = row[3]
    cdef double work = n * WORK * (1 if g is None else 2)
    cdef object _held = None if brief(work) else held(z, slopes, g)
    cdef const real* z_data = <const real*>memory(z, cnp.PyArray_TYPE(out), n)
    cdef const real* g_data = NULL
    if g is not None:
        g_data = <const real*>memory(g, cnp.PyArray_TYPE(out), n)
    cdef const real* slopes_data = elements(slopes, channels, kind)
    cdef int failed, threads = team_size(work)
    cdef Storage stored = storage(out)
    cdef PyThreadState* state = let_go(work)
    failed = computed(
        stored, z_data, g_data, slopes_data, <real*>cnp.PyArray_DATA(out), <real*>cnp.PyArray_DATA(dslopes),
        n // channels if channels > 0 else 0, channels, threads,
    )
    take_back(state)
    if failed:
        fail(f"prelu: no memory for {channels} slopes")
    return out, rounded(dslopes, z)


def prelu(Z, slopes):
    """Parametric rectified linear unit: ``Z`` where it is above 0, else ``slopes * Z``.

    Parameters
    ----------
    Z : array_like, shape (m, n_H, n_W, n_C)
        Images; half and float32 keep their dtype if both arrays have it, everything else computes in float64.
    slopes : array_like, shape (1, 1, 1, n_C) or (1, 1, 1, 1)
        The slope below 0 of each channel, or of all of them.

    Returns
    -------
    A : ndarray, shape (m, n_H, n_W, n_C)
        Each element rounded once; NaN stays NaN.
    cache : PReLUCache
        `Z` and `slopes` (converted where they had to be).

    Raises
    ------
    TypeError
        If an array does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If the shapes do not fit.
    MemoryError
        If the result cannot be allocated.

    References
    ----------
    K. He, X. Zhang, S. Ren and J. Sun, "Delving Deep into Rectifiers: Surpassing Human-Level Performance on ImageNet
    Classification", 2015.

    Examples
    --------
    >>> A, cache = cnnref.prelu([[[[-1.0, -1.0, 2.0]]]], [[[[0.25, 0.5, 0.5]]]])
    >>> A
    array([[[[-0.25, -0.5 ,  2.  ]]]])
    """
    cdef ndarray z, a, none = None
    z, a = check_prelu(Z, slopes)
    made = applied(z, none, a, <double>0) if is_double(z) else applied(z, none, wide(a), <float>0)
    return made[0], named(PReLUCache, (z, a))


def prelu_backward(dA, cache):
    """Gradients of `prelu`.

    Parameters
    ----------
    dA : array_like, shape (m, n_H, n_W, n_C)
        Gradient with respect to the output.
    cache : PReLUCache
        As `prelu` returned it; or a tuple or mapping with its fields.

    Returns
    -------
    dZ : ndarray, shape (m, n_H, n_W, n_C)
        `dA` where ``Z > 0``, else ``slopes * dA``, for NaN too, as in PyTorch.
    dslopes : ndarray
        The sum of ``dA * Z`` where Z is not above 0, over samples and pixels; of one slope over the channels too. The
        shape of `slopes`.

    Raises
    ------
    TypeError
        If an array does not hold floats of 16 to 64 bits, integers or booleans, or `cache` has a wrong type.
    ValueError
        If the shapes do not fit, or a field is missing.
    MemoryError
        If the result cannot be allocated.

    Examples
    --------
    >>> A, cache = cnnref.prelu([[[[-1.0, -1.0, 2.0]]]], [[[[0.25, 0.5, 0.5]]]])
    >>> dZ, dslopes = cnnref.prelu_backward(np.ones_like(A), cache)
    >>> dZ, dslopes
    (array([[[[0.25, 0.5 , 1.  ]]]]), array([[[[-1., -1.,  0.]]]]))
    """
    cdef ndarray g, z, a
    g, z, a = check_prelu_backward(dA, cache)
    return applied(z, g, a, <double>0) if is_double(z) else applied(z, g, wide(a), <float>0)
