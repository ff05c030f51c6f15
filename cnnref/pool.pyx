"""Max and average pooling of NHWC images; dense square windows without padding here, others in `window_pool`.

    max:      A[i, y, x, c] = max over (r, q) in (f, f) of A_prev[i, y*stride + r, x*stride + q, c]
    average:  A[i, y, x, c] = 1/(f*f) sum over (r, q) of the same

Ties and NaN are PyTorch's: the first maximum in (row, column) order takes the whole gradient; a window with NaN yields
NaN and its gradient goes to the window's last NaN.

Order of summation, the same for every thread count, batch and instruction set: the taps of an average in (row,
column) order, then one division; a pixel's gradient from 0 over the windows that contain it in (row, column) order.

An average of finite values is finite, as that of `global_average_pool` is (PyTorch's is infinite where the sum is): where
the sum of the taps overflows, it is taken again in double, in the same order, of taps a power of two smaller. A gradient
is a sum and overflows as one.

Source: "R for Deep Learning (IV)", ``pool_forward``, ``pool_backward``.
"""

cimport numpy as cnp
from cpython.pystate cimport PyThreadState
from numpy cimport ndarray, npy_intp

from cnnref.checks.arrays cimport empty, held, is_double, memory, take_shape
from cnnref.checks.fields cimport asked, named
from cnnref.checks.half cimport rounded, storage, wide
from cnnref.checks.pool_affine cimport check_pool_backward, check_pool_forward
from cnnref.kernels.base.types cimport real
from cnnref.kernels.pool.forward cimport Pooling
from cnnref.kernels.pool.threads cimport pool_taps, unpool_taps
from cnnref.kernels.pool.window cimport PoolWindow
from cnnref.threads cimport brief, fail, let_go, take_back

from cnnref._dispatch import load
from cnnref.caches import PoolCache

cnp.import_array()

window_pool = load("window_pool")


cdef int tap_type(Py_ssize_t f) noexcept:
    """The smallest unsigned type for a position in a window of f x f."""
    if f <= 16:
        return cnp.NPY_UINT8
    return cnp.NPY_UINT16 if f <= 256 else cnp.NPY_UINT64


cdef Pooling extents(ndarray A_prev, Py_ssize_t f, Py_ssize_t stride) except *:
    cdef Pooling p
    cdef npy_intp[4] images
    take_shape(A_prev, 4, images)
    p.m, p.height, p.width, p.channels = images[0], images[1], images[2], images[3]
    p.f, p.stride, p.storage = f, stride, storage(A_prev)
    p.n_H, p.n_W = (p.height - f) // stride + 1, (p.width - f) // stride + 1
    return p


cdef double work(const Pooling* p) noexcept:
    """Operations of a call, either way."""
    return <double>p.m * p.channels * (<double>p.n_H * p.n_W * p.f * p.f + <double>p.height * p.width)


cdef tuple pooled(ndarray A_prev, const Pooling* p, bint is_max, real kind):
    """(A, argmax), where argmax is None for an average."""
    cdef npy_intp[4] shape
    shape[0], shape[1], shape[2], shape[3] = p.m, p.n_H, p.n_W, p.channels
    cdef ndarray A = empty(A_prev, 4, shape)
    cdef int taps = tap_type(p.f), failures
    cdef object argmax = cnp.PyArray_EMPTY(4, shape, taps, 0) if is_max else None
    cdef object _held = None if brief(work(p)) else held(A_prev)
    cdef const real* x = <const real*>memory(A_prev, cnp.PyArray_TYPE(A), p.m * p.height * p.width * p.channels)
    cdef real* out = <real*>cnp.PyArray_DATA(A)
    cdef void* positions = cnp.PyArray_DATA(<ndarray>argmax) if is_max else NULL
    cdef PyThreadState* state = let_go(work(p))
    failures = pool_taps(p, x, out, positions, taps, is_max)
    take_back(state)
    if failures:
        fail("pool_forward: no memory for a row of windows")
    return A, argmax


cdef tuple pooled_of(ndarray A_prev, const Pooling* p, bint is_max):
    """`pooled`, of any dtype."""
    if is_double(A_prev):
        return pooled(A_prev, p, is_max, <double>0)
    return pooled(A_prev, p, is_max, <float>0)


cdef ndarray unpooled(ndarray da, ndarray kept, ndarray like, const Pooling* p, real kind):
    """``dA_prev`` of a maximum whose positions were `kept`, or of an average."""
    cdef npy_intp[4] shape
    cdef Py_ssize_t windows = p.m * p.n_H * p.n_W * p.channels
    shape[0], shape[1], shape[2], shape[3] = p.m, p.height, p.width, p.channels
    cdef ndarray out = empty(like, 4, shape)
    cdef int taps = tap_type(p.f), failures
    cdef object _held = None if brief(work(p)) else held(da, kept)
    cdef void* positions = NULL if kept is None else memory(kept, taps, windows)
    cdef const real* da_data = <const real*>memory(da, cnp.PyArray_TYPE(out), windows)
    cdef real* out_data = <real*>cnp.PyArray_DATA(out)
    cdef PyThreadState* state = let_go(work(p))
    failures = unpool_taps(p, da_data, positions, taps, out_data)
    take_back(state)
    if failures:
        fail("pool_backward: no memory for a row of pixels")
    return out


cdef bint usable(object argmax, ndarray dA, const Pooling* p):
    """Whether `argmax` is what `pool_forward` left for these extents."""
    if type(argmax) is not tuple or len(<tuple>argmax) != 3:
        return False
    cdef object positions = (<tuple>argmax)[0]
    if type((<tuple>argmax)[1]) is not int or type((<tuple>argmax)[2]) is not int:
        return False
    return (
        (<tuple>argmax)[1] == p.f
        and (<tuple>argmax)[2] == p.stride
        and type(positions) is ndarray
        and cnp.PyArray_TYPE(<ndarray>positions) == tap_type(p.f)
        and cnp.PyArray_IS_C_CONTIGUOUS(<ndarray>positions)
        and cnp.PyArray_SAMESHAPE(<ndarray>positions, dA)
    )


cdef object positions_of(object kept, ndarray dA, ndarray A_prev, object window):
    """What `pool_forward` left for this window, or the same from `A_prev`."""
    # Two dictionaries: an `==` of the caller's own would be given this one, which says where the kernel reads.
    if type(kept) is tuple and len(<tuple>kept) == 2 and type((<tuple>kept)[1]) is dict and (<tuple>kept)[1] == window:
        if window_pool.usable((<tuple>kept)[0], dA, window):
            return (<tuple>kept)[0]
    return window_pool.pooled(A_prev, window, True)[1]


cdef PoolWindow dense_window(ndarray A_prev, Py_ssize_t f, Py_ssize_t stride) except *:
    """A square window without padding as `window_pool` takes it."""
    cdef PoolWindow p
    cdef npy_intp[4] images
    take_shape(A_prev, 4, images)
    p.h.n, p.w.n = images[1], images[2]
    p.h.f = p.w.f = f
    p.h.stride = p.w.stride = stride
    p.h.dilation = p.w.dilation = 1
    p.h.before = p.h.after = p.w.before = p.w.after = 0
    p.n_H, p.n_W, p.counted = (p.h.n - f) // stride + 1, (p.w.n - f) // stride + 1, True
    return p


def pool_forward(A_prev, hparameters=None, mode="max", **keywords):
    """Pool images.

    Parameters
    ----------
    A_prev : array_like, shape (m, n_H_prev, n_W_prev, n_C)
        Images; half and float32 keep their dtype, everything else computes in float64.
    hparameters : mapping, optional
        ``{"f": window size, "stride": stride}``, both at least 1, an integer or a pair (h, w); and, as in PyTorch:

        pad : int, (h, w), ((top, bottom), (left, right)), "same", "same_lower" or "valid"; default 0
            As a number at most half of `f` on each side. The words are those of `conv_forward`.
        dilation : int or (h, w), default 1
            Distance between two taps; 1 in mode "average".
        ceil_mode : bool, default False
            Round n_H and n_W up. A last window starts inside the image or the padding before it.
        count_include_pad : bool, default True
            Whether an average counts the padding; True in mode "max". What lies beyond the padding is never counted.
    mode : {"max", "average"}, optional
        Maximum or mean of each window; the mean of finite values is finite.
    **keywords
        The keys of `hparameters` one by one, in its place.

    Returns
    -------
    A : ndarray, shape (m, n_H, n_W, n_C)
        ``n_H = (n_H_prev + top + bottom - dilation * (f - 1) - 1) // stride + 1``, and n_W alike.
    cache : PoolCache
        `A_prev` and `hparameters`, for `pool_backward`.

    Raises
    ------
    TypeError
        If `A_prev` does not hold floats of 16 to 64 bits, integers or booleans, `hparameters` is no mapping of
        integers, or `mode` no string.
    ValueError
        If `A_prev` is not four-dimensional, the window is larger than the padded image, a key of `hparameters` is
        missing or unknown, a value is out of range or does not go with `mode`.
    MemoryError
        If the result cannot be allocated.

    References
    ----------
    "R for Deep Learning (IV)", ``pool_forward``.

    Examples
    --------
    >>> A_prev = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> A, cache = cnnref.pool_forward(A_prev, {"f": 2, "stride": 2})
    >>> A[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    >>> cnnref.pool_forward(A_prev, f=2, stride=2, mode="average")[0][0, :, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    cdef ndarray a
    cdef Py_ssize_t f, stride
    cdef bint is_max
    hparameters = asked("pool_forward", hparameters, keywords, "f=2, stride=2")
    a, f, stride, _, _, is_max, window = check_pool_forward(A_prev, hparameters, mode)
    cdef Pooling p
    if window is None:
        p = extents(a, f, stride)
        A, argmax = pooled_of(a, &p, is_max)
        kept = (argmax, f, stride)
    else:
        A, argmax = window_pool.pooled(a, window, is_max)
        kept = (argmax, window)
    cache = named(PoolCache, (a, hparameters))
    if is_max:
        cache._argmax = kept
    return A, cache


def pool_backward(dA, cache, mode="max"):
    """Gradient of `pool_forward`.

    Parameters
    ----------
    dA : array_like, shape (m, n_H, n_W, n_C)
        Gradient with respect to the output.
    cache : PoolCache
        As `pool_forward` returned it; or a tuple or mapping with its fields.
    mode : {"max", "average"}, optional
        The mode to differentiate; it need not be the one that made the cache.

    Returns
    -------
    ndarray, shape (m, n_H_prev, n_W_prev, n_C)
        ``dA_prev``.

    Raises
    ------
    TypeError
        If an array does not hold floats of 16 to 64 bits, integers or booleans, or `cache` or `mode` has a wrong type.
    ValueError
        If `dA` does not have the shape of the output, or the cache's fields or `mode` a wrong value.
    MemoryError
        If the result cannot be allocated.

    References
    ----------
    "R for Deep Learning (IV)", ``pool_backward``.

    Examples
    --------
    >>> A_prev = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> A, cache = cnnref.pool_forward(A_prev, {"f": 2, "stride": 2})
    >>> cnnref.pool_backward(np.ones_like(A), cache)[0, :, :, 0]
    array([[0., 0., 0., 0.],
           [0., 1., 0., 1.],
           [0., 0., 0., 0.],
           [0., 1., 0., 1.]])
    """
    cdef object kept = getattr(cache, "_argmax", None) if isinstance(cache, PoolCache) else None
    da, a, f, stride, is_max, window = check_pool_backward(dA, cache, mode)
    return unpooled_of(da, a, f, stride, is_max, window, kept)


cdef object unpooled_of(
    ndarray da, ndarray a, Py_ssize_t f, Py_ssize_t stride, bint is_max, object window, object kept
):
    """``dA_prev`` of checked arguments; `kept` is what a cache carries beside its fields."""
    cdef ndarray g, x
    if window is not None:
        g, x = wide(da), wide(a)
        return rounded(window_pool.unpooled(g, x, window, positions_of(kept, g, x, window) if is_max else None), a)
    cdef Pooling p = extents(a, f, stride)
    cdef ndarray positions = None
    if is_max:
        positions = kept[0] if usable(kept, da, &p) else pooled_of(a, &p, True)[1]
    if is_double(a):
        return unpooled(da, positions, a, &p, <double>0)
    return unpooled(da, positions, a, &p, <float>0)


def post_pool_backward(dA, cache, mode="max"):
    """`pool_backward` as the post has it: every maximum of a window takes all of the window's gradient."""
    da, a, f, stride, is_max, window = check_pool_backward(dA, cache, mode)
    if not is_max:
        return unpooled_of(da, a, f, stride, is_max, window, None)
    if window is None:
        window = dense_window(a, f, stride)
    return rounded(window_pool.unpooled(wide(da), wide(a), window, None, True), a)
