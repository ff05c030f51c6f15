"""Convolution of NHWC images with HWIO filters (a cross-correlation, as everywhere in deep learning), and its transpose.

    Z[i, y, x, j] = (sum over (r, q, c) of
        A_pad[i, y*stride_h + r*dilation_h, x*stride_w + q*dilation_w, c0(j) + c] * W[r, q, c, j]) + b[j]

where ``c`` runs over the ``n_C_prev / groups`` input channels of the filter's group, which start at ``c0(j)``. Order of
summation, the same for every thread count, batch and instruction set:

- ``Z``: one chain of fused multiply-adds from 0, over (r, q, c) in C order, then ``b[j]`` is added; what lies in the
  padding is left out.
- ``dA_prev``: one chain from 0 for each pixel, over the windows that contain it in C order of (y, x), then over
  the filters of its group.
- ``dW``, ``db``: see ``kernels/wgrad/chunks.pxd``.

The transposed convolution is the gradient of a convolution with respect to its input, as a layer. ``W`` holds the filters
of that forward convolution: it takes an image of the output's extents and ``n_C`` channels to one of the input's with
``n_C_prev`` channels. Order of summation:

- ``Z``: the chain of that convolution's ``dA_prev``, then ``b[j]`` is added.
- ``dA_prev``: the chain of its output, from 0.
- ``dW``: as its gradient (see ``kernels/wgrad/chunks.pxd`` and ``kernels/depthwise/wgrad_driver.pxd``).
- ``db``: rows of pixels one after the other, each summed in order, then added in order.

Which kernel computes it depends on the shape: `cnnref.kernel_for` names it, ``kernels/README.md`` leads to it.

Source: "R for Deep Learning (IV)", ``conv_single_step``, ``conv_forward``, ``conv_backward``; it has no transposed one.
"""

cimport numpy as cnp
from cpython.pystate cimport PyThreadState
from libc.stdlib cimport free
from libc.string cimport memset
from numpy cimport ndarray, npy_intp

from cnnref.checks.arrays cimport elements, empty, held, is_double, memory, take_shape
from cnnref.checks.conv cimport check_conv_backward, check_conv_forward, check_conv_single_step
from cnnref.checks.fields cimport asked, named
from cnnref.checks.half cimport rounded, storage, wide
from cnnref.checks.hyper cimport Window, outputs
from cnnref.kernels.base.half cimport AS_COMPUTED, Storage
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.conv cimport backward_filters, backward_input, forward, single_step
from cnnref.kernels.conv.correlations cimport Shape, filter_size, input_size, output_size, work
from cnnref.kernels.conv.half cimport by_samples
from cnnref.threads cimport brief, fail, let_go, take_back

from cnnref.caches import ConvCache, ConvTransposeCache

cnp.import_array()


cdef Shape shape_of(bint transpose, ndarray A_prev, ndarray W, const Window* window, Py_ssize_t groups) except *:
    """The convolution; of a transposed one that which it is the transpose of, whose input is its output."""
    cdef Shape s
    cdef npy_intp[4] images
    cdef npy_intp[4] filters
    take_shape(A_prev, 4, images)
    take_shape(W, 4, filters)
    s.m, s.h, s.w, s.groups = images[0], window.h, window.w, groups
    if transpose:
        s.n_C_prev, s.n_C, s.n_H, s.n_W = filters[2] * groups, images[3], images[1], images[2]
    else:
        s.n_C_prev, s.n_C, s.n_H, s.n_W = images[3], filters[3], outputs(&window.h), outputs(&window.w)
    return s


cdef ndarray images_of(const Shape* s, bint at_input, ndarray like):
    """An array for the convolution's input or output."""
    cdef npy_intp[4] shape
    shape[0], shape[1], shape[2], shape[3] = s.m, s.n_H, s.n_W, s.n_C
    if at_input:
        shape[1], shape[2], shape[3] = s.h.n, s.w.n, s.n_C_prev
    return empty(like, 4, shape)


cdef ndarray scores(const Shape* s, bint transpose, ndarray A_prev, ndarray W, ndarray b, real kind):
    """`Z` of checked arguments."""
    cdef ndarray Z = images_of(s, transpose, A_prev)
    cdef object _held = None if brief(work(s)) else held(A_prev, W, b)
    cdef int typenum = cnp.PyArray_TYPE(Z), status
    cdef Storage stored = storage(Z)
    cdef const real* a_data = <const real*>memory(A_prev, typenum, output_size(s) if transpose else input_size(s))
    cdef const real* w_data = elements(W, filter_size(s), kind)
    cdef const real* b_data = elements(b, s.n_C_prev if transpose else s.n_C, kind)
    cdef real* z_data = <real*>memory(Z, typenum, input_size(s) if transpose else output_size(s))
    cdef PyThreadState* state = let_go(work(s))
    if real is float and stored != AS_COMPUTED:
        status = by_samples(stored, False, s, transpose, <const char*>a_data, w_data, b_data, <char*>z_data)
    elif transpose:
        status = backward_input(s, a_data, w_data, b_data, z_data)
    else:
        status = forward(s, a_data, w_data, b_data, z_data)
    take_back(state)
    if status < 0:
        fail(f"conv{'_transpose' if transpose else ''}_forward: no memory for the packed filters and the padded rows")
    return Z


cdef int add_pixels(const Shape* s, const real* dZ, real* db) noexcept nogil:
    """``db`` of a transposed convolution: the sum over all rows of pixels; -1 where memory ran out."""
    cdef real* row = <real*>allocate(s.n_C_prev, sizeof(real))
    cdef Py_ssize_t line, pixel, j
    if row == NULL:
        return -1
    memset(db, 0, s.n_C_prev * sizeof(real))
    for line in range(s.m * s.h.n):
        memset(row, 0, s.n_C_prev * sizeof(real))
        for pixel in range(s.w.n):
            for j in range(s.n_C_prev):
                row[j] += dZ[(line * s.w.n + pixel) * s.n_C_prev + j]
        for j in range(s.n_C_prev):
            db[j] += row[j]
    free(row)
    return 0


cdef int input_gradient(
    Storage stored, const Shape* s, bint transpose, const real* dZ, const real* W, real* dA_prev
) noexcept nogil:
    if real is float and stored != AS_COMPUTED:
        return by_samples(stored, True, s, not transpose, <const char*>dZ, W, <real*>NULL, <char*>dA_prev)
    if transpose:
        return forward(s, dZ, W, <real*>NULL, dA_prev)
    return backward_input(s, dZ, W, <real*>NULL, dA_prev)


cdef int all_gradients(
    Storage stored, const Shape* s, bint transpose, const real* dZ, const real* A_prev, const real* W, real* dA_prev,
    real* dW, real* db,
) noexcept nogil:
    """`dA_prev`, which may be half, `dW` and `db`; -1 where memory ran out."""
    cdef real* spare  # the sums of `A_prev`, which the kernel of ``dW`` makes too
    cdef int status
    if not transpose:
        status = input_gradient(stored, s, False, dZ, W, dA_prev)
        return status if status < 0 else backward_filters(s, dZ, A_prev, dW, db)
    spare = <real*>allocate(s.n_C, sizeof(real))
    status = -1 if spare == NULL else input_gradient(stored, s, True, dZ, W, dA_prev)
    if status == 0:
        status = backward_filters(s, A_prev, dZ, dW, spare)
    free(spare)
    return status if status < 0 else add_pixels(s, dZ, db)


cdef tuple gradients(
    const Shape* s, bint transpose, ndarray dZ, ndarray A_prev, ndarray W, ndarray like, real kind
):
    """(dA_prev, dW, db) of checked arguments; `dA_prev` in the dtype of `like`."""
    cdef npy_intp[4] shape
    cdef ndarray dA_prev = images_of(s, not transpose, like)
    cdef Storage stored = storage(like)
    take_shape(W, 4, shape)
    cdef ndarray dW = empty(A_prev, 4, shape)
    shape[0], shape[1], shape[2], shape[3] = 1, 1, 1, s.n_C_prev if transpose else s.n_C
    cdef ndarray db = empty(A_prev, 4, shape)
    cdef object _held = None if brief(2 * work(s)) else held(dZ, A_prev, W)
    cdef const real* g_data = elements(dZ, input_size(s) if transpose else output_size(s), kind)
    cdef const real* a_data = elements(A_prev, output_size(s) if transpose else input_size(s), kind)
    cdef const real* w_data = elements(W, filter_size(s), kind)
    cdef real* dA_prev_data = <real*>cnp.PyArray_DATA(dA_prev)
    cdef real* dW_data = elements(dW, filter_size(s), kind)
    cdef real* db_data = <real*>cnp.PyArray_DATA(db)
    cdef PyThreadState* state = let_go(2 * work(s))
    cdef int status = all_gradients(stored, s, transpose, g_data, a_data, w_data, dA_prev_data, dW_data, db_data)
    take_back(state)
    if status < 0:
        fail(f"conv{'_transpose' if transpose else ''}_backward: no memory for the packed filters and the padded rows")
    return dA_prev, dW, db


cdef tuple forward_of(bint transpose, type kind, object A_prev, object W, object b, dict hparameters, bint post=False):
    """(Z, cache); as the `post` has it, the bias is added once for each of the window's terms."""
    cdef ndarray a, w, bias, added
    cdef Window window
    cdef Py_ssize_t groups
    cdef str function = "conv_transpose_forward" if transpose else "conv_forward"
    a, w, bias = check_conv_forward(function, transpose, A_prev, W, b, hparameters, &window, &groups)
    cdef Shape s = shape_of(transpose, a, w, &window, groups)
    added = wide(bias)
    if post:
        added = added * added.dtype.type(s.h.f * s.w.f * (s.n_C_prev // groups))
    if is_double(a):
        Z = scores(&s, transpose, a, w, added, <double>0)
    else:
        Z = scores(&s, transpose, a, wide(w), added, <float>0)
    return Z, named(kind, (a, w, bias, hparameters))


cdef tuple backward_of(bint transpose, object dZ, object cache):
    cdef ndarray g, a, w
    cdef Window window
    cdef Py_ssize_t groups
    g, a, w = check_conv_backward(
        "conv_transpose_backward" if transpose else "conv_backward", transpose, dZ, cache, &window, &groups
    )
    cdef Shape s = shape_of(transpose, a, w, &window, groups)
    if is_double(a):
        return gradients(&s, transpose, g, a, w, a, <double>0)
    dA_prev, dW, db = gradients(&s, transpose, wide(g), wide(a), wide(w), a, <float>0)
    return dA_prev, rounded(dW, a), rounded(db, a)


cdef double one_output(ndarray a, ndarray w, double bias, real kind) except? -1:
    cdef Py_ssize_t n = cnp.PyArray_SIZE(a)
    return single_step(elements(a, n, kind), elements(w, n, kind), <real>bias, n)


def conv_single_step(a_slice_prev, W, b):
    """Apply one filter to one window of the input.

    Parameters
    ----------
    a_slice_prev : array_like, shape (f_h, f_w, n_C_prev)
        A window of the padded input.
    W : array_like, shape (f_h, f_w, n_C_prev)
        One filter.
    b : array_like with one element
        Its bias.

    Returns
    -------
    float
        The sum of the products plus ``b``, in the order that `conv_forward` uses: the bits are those of `conv_forward`
        for the promoted dtype.

    Raises
    ------
    ValueError
        If the shapes differ or `b` has more than one element.
    TypeError
        If an argument is not real-valued.

    References
    ----------
    "R for Deep Learning (IV)", ``conv_single_step``.

    Examples
    --------
    >>> cnnref.conv_single_step(np.ones((2, 2, 3)), np.full((2, 2, 3), 0.5), 1.0)
    7.0
    """
    cdef ndarray a, w
    cdef double bias
    a, w, bias = check_conv_single_step(a_slice_prev, W, b)
    if is_double(a):
        return one_output(a, w, bias, <double>0)
    return rounded(one_output(wide(a), wide(w), bias, <float>0), a)


def conv_forward(A_prev, W, b, hparameters=None, **keywords):
    """Convolve a batch of images with a set of filters.

    Parameters
    ----------
    A_prev : array_like, shape (m, n_H_prev, n_W_prev, n_C_prev)
        The input, channels last.
    W : array_like, shape (f_h, f_w, n_C_prev / groups, n_C)
        The filters: ``n_C / groups`` of each group, one group after the other.
    b : array_like, shape (1, 1, 1, n_C)
        The biases, each added once to every output.
    hparameters : mapping, optional
        In pixels, an integer for both axes or a pair ``(h, w)``:

        ``"stride"``
            The distance of neighbouring windows, at least 1.
        ``"pad"``
            Zeros on each side; also ``((top, bottom), (left, right))``, ``"valid"`` (none), ``"same"`` or
            ``"same_lower"``: as many as give ``ceil(n_H_prev / stride)`` outputs, with the odd zero at the bottom
            and right (TensorFlow, ONNX's SAME_UPPER, PyTorch) or at the top and left (ONNX's SAME_LOWER).
        ``"dilation"``, optional
            The distance of neighbouring taps of a window, 1 where not given.

        And ``"groups"``, optional, an integer: the input channels are cut into so many groups and each filter sees those of
        its own. With ``groups = n_C_prev`` the convolution is depthwise, with ``n_C / n_C_prev`` filters a channel.
    **keywords
        The keys of `hparameters` one by one, in its place.

    Returns
    -------
    Z : ndarray, shape (m, n_H, n_W, n_C)
        With ``n_H = (n_H_prev + top + bottom - dilation * (f_h - 1) - 1) // stride + 1``, in the promoted dtype of
        the arguments: half, float32 or float64.
    cache : ConvCache
        ``(A_prev, W, b, hparameters)`` for `conv_backward`.

    Raises
    ------
    ValueError
        If shapes do not fit together, a key is missing or unknown, the channels do not divide into the groups, or the window
        is larger than the padded input.
    TypeError
        If an argument has the wrong type.
    MemoryError
        If the result cannot be allocated.

    References
    ----------
    "R for Deep Learning (IV)", ``conv_forward``.

    Examples
    --------
    >>> A_prev, W, b = np.ones((1, 4, 4, 3)), np.ones((3, 3, 3, 2)), np.zeros((1, 1, 1, 2))
    >>> Z, cache = cnnref.conv_forward(A_prev, W, b, {"stride": 1, "pad": "same"})
    >>> Z.shape
    (1, 4, 4, 2)
    >>> Z[0, :, :, 0]
    array([[12., 18., 18., 12.],
           [18., 27., 27., 18.],
           [18., 27., 27., 18.],
           [12., 18., 18., 12.]])
    >>> cnnref.conv_forward(A_prev, W, b, stride=2, pad=1)[0].shape
    (1, 2, 2, 2)
    """
    return forward_of(
        False, ConvCache, A_prev, W, b, asked("conv_forward", hparameters, keywords, "stride=1, pad=0")
    )


def post_conv_forward(A_prev, W, b, hparameters=None, **keywords):
    """`cnnref.conv_forward` with the bias added once for each of the window's terms; the cache holds `b` as given."""
    return forward_of(
        False, ConvCache, A_prev, W, b, asked("conv_forward", hparameters, keywords, "stride=1, pad=0"), True
    )


def conv_backward(dZ, cache):
    """Gradients of a convolution with respect to its input, filters and biases.

    Parameters
    ----------
    dZ : array_like, shape (m, n_H, n_W, n_C)
        Gradient of the cost with respect to the output of `conv_forward`.
    cache : ConvCache, tuple or mapping
        ``(A_prev, W, b, hparameters)`` as `conv_forward` returned it.

    Returns
    -------
    dA_prev : ndarray, shape (m, n_H_prev, n_W_prev, n_C_prev)
    dW : ndarray, shape (f_h, f_w, n_C_prev / groups, n_C)
        Summed over the batch.
    db : ndarray, shape (1, 1, 1, n_C)
        Summed over the batch and the pixels.

    Raises
    ------
    ValueError
        If `dZ` does not have the shape of the forward output, or the cache is not one of `conv_forward`.
    TypeError
        If an argument has the wrong type.
    MemoryError
        If a result cannot be allocated.

    References
    ----------
    "R for Deep Learning (IV)", ``conv_backward``; the true gradient, as PyTorch autograd gives it.

    Examples
    --------
    >>> A_prev, W, b = np.ones((1, 4, 4, 3)), np.ones((3, 3, 3, 2)), np.zeros((1, 1, 1, 2))
    >>> Z, cache = cnnref.conv_forward(A_prev, W, b, {"stride": 1, "pad": 0})
    >>> dA_prev, dW, db = cnnref.conv_backward(np.ones_like(Z), cache)
    >>> dA_prev.shape, dW.shape
    ((1, 4, 4, 3), (3, 3, 3, 2))
    >>> db
    array([[[[4., 4.]]]])
    """
    return backward_of(False, dZ, cache)


def conv_transpose_forward(A_prev, W, b, hparameters=None, **keywords):
    """Transposed convolution of a batch of images ("deconvolution", "fractionally strided convolution").

    Every input pixel adds its value times the filters to the output, `stride` apart.

    Parameters
    ----------
    A_prev : array_like, shape (m, n_H_prev, n_W_prev, n_C_prev)
        The input, channels last.
    W : array_like, shape (f_h, f_w, n_C / groups, n_C_prev)
        The filters of the forward convolution whose transpose this is; PyTorch's ``conv_transpose2d`` has them as
        ``(n_C_prev, n_C / groups, f_h, f_w)``: ``W.transpose(3, 2, 0, 1)``.
    b : array_like, shape (1, 1, 1, n_C)
        The biases, each added once to every output.
    hparameters : mapping, optional
        ``"stride"`` and ``"pad"`` of the forward convolution, in pixels: an integer or a pair ``(h, w)``; ``pad`` also as
        ``((top, bottom), (left, right))``. It takes so many rows and columns off the output. Optional are

        ``"output_padding"``
            Rows and columns more at the bottom and right of the output, 0 where not given: it says which of the
            extents that the forward convolution takes to ``n_H_prev`` is meant. Below the stride or the dilation.
        ``"dilation"``
            The distance of neighbouring taps, 1 where not given.
        ``"groups"``
            An integer: channels are cut into so many groups, as in `conv_forward`.
    **keywords
        The keys of `hparameters` one by one, in its place.

    Returns
    -------
    Z : ndarray, shape (m, n_H, n_W, n_C)
        With ``n_H = (n_H_prev - 1) * stride - top - bottom + dilation * (f_h - 1) + output_padding + 1``, in the
        promoted dtype of the arguments: half, float32 or float64.
    cache : ConvTransposeCache
        ``(A_prev, W, b, hparameters)`` for `conv_transpose_backward`.

    Raises
    ------
    ValueError
        If shapes do not fit together, a key is missing or unknown, the output would have no rows or columns, or
        ``output_padding`` is not below the stride or the dilation.
    TypeError
        If an argument has the wrong type.
    MemoryError
        If the result cannot be allocated.

    References
    ----------
    V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", chapter 4. The post has no such layer.

    Examples
    --------
    >>> A_prev, W, b = np.ones((1, 2, 2, 3)), np.ones((2, 2, 1, 3)), np.zeros((1, 1, 1, 1))
    >>> Z, cache = cnnref.conv_transpose_forward(A_prev, W, b, {"stride": 2, "pad": 0})
    >>> Z.shape
    (1, 4, 4, 1)
    >>> Z[0, :2, :, 0]
    array([[3., 3., 3., 3.],
           [3., 3., 3., 3.]])
    >>> cnnref.conv_transpose_forward(A_prev, W, b, stride=2, pad=0, output_padding=1)[0].shape
    (1, 5, 5, 1)
    """
    return forward_of(
        True, ConvTransposeCache, A_prev, W, b, asked("conv_transpose_forward", hparameters, keywords, "stride=2, pad=0")
    )


def conv_transpose_backward(dZ, cache):
    """Gradients of a transposed convolution with respect to its input, filters and biases.

    Parameters
    ----------
    dZ : array_like, shape (m, n_H, n_W, n_C)
        Gradient of the cost with respect to the output of `conv_transpose_forward`.
    cache : ConvTransposeCache, tuple or mapping
        ``(A_prev, W, b, hparameters)`` as `conv_transpose_forward` returned it.

    Returns
    -------
    dA_prev : ndarray, shape (m, n_H_prev, n_W_prev, n_C_prev)
    dW : ndarray, shape (f_h, f_w, n_C / groups, n_C_prev)
        Summed over the batch.
    db : ndarray, shape (1, 1, 1, n_C)
        Summed over the batch and the pixels.

    Raises
    ------
    ValueError
        If `dZ` does not have the shape of the forward output, or the cache is not one of `conv_transpose_forward`.
    TypeError
        If an argument has the wrong type.
    MemoryError
        If a result cannot be allocated.

    Examples
    --------
    >>> A_prev, W, b = np.ones((1, 2, 2, 3)), np.ones((2, 2, 1, 3)), np.zeros((1, 1, 1, 1))
    >>> Z, cache = cnnref.conv_transpose_forward(A_prev, W, b, {"stride": 2, "pad": 0})
    >>> dA_prev, dW, db = cnnref.conv_transpose_backward(np.ones_like(Z), cache)
    >>> dA_prev[0, :, :, 0]
    array([[4., 4.],
           [4., 4.]])
    >>> db
    array([[[[16.]]]])
    """
    return backward_of(True, dZ, cache)
