"""Cross entropy of class probabilities and its gradients.

    loss = -(1/m) sum_i log(AL[i, y_i])
    dAL[i, y_i] = (-1/m) / AL[i, y_i], and 0 elsewhere
    dx = (p - onehot(y)) / m, the gradient through a softmax

With label smoothing e, the target of row i is ``t = (1 - e) onehot(y_i) + e/n`` instead of onehot(y_i), of n classes:

    loss = -(1/m) sum_i ((1 - e) log(AL[i, y_i]) + e/n sum_k log(AL[i, k]))
    dAL = (-1/m) t / AL, dx = (p - t) / m

Rows of an ignored label are left out of the sums and of m, the number of rows; their gradients are 0.

The loss is a double sum over chunks of 256 rows, in order within and between them, whatever the dtype of AL, of the
logarithm of the probability as a double; the sum over classes runs in 16 accumulators, class k in accumulator
``k % 16``, which are then added in order. The order is the same for every thread count and instruction set.

Sources: "R for Deep Learning (IV)", ``cross_entropy_cost``; Szegedy et al. 2015, "Rethinking the Inception
Architecture", section 7, for the smoothing; ``torch.nn.CrossEntropyLoss``. The gradients are not in the post.
"""

cimport numpy as cnp
from numpy cimport ndarray, npy_intp

from cnnref.checks.arrays cimport elements, empty, held, is_double, zeros
from cnnref.checks.fields cimport named
from cnnref.checks.half cimport rounded, wide
from cnnref.checks.loss cimport check_cross_entropy, check_cross_entropy_cache
from cnnref.kernels.base.types cimport real
from cnnref.kernels.vmath.cross_entropy cimport Labels, gradient, mean_loss
from cnnref.threads cimport fail

from cnnref.caches import CrossEntropyCache
from cnnref.checks.probability import warn_of_no_probabilities

cnp.import_array()


cdef Labels labels_of(ndarray index, double smoothing, bint ignoring, Py_ssize_t ignored):
    """From an array of labels of the call's own, or of (row, label)."""
    cdef Labels y
    y.step = cnp.PyArray_NDIM(index)
    y.columns = <const npy_intp*>cnp.PyArray_DATA(index) + y.step - 1
    y.smoothing, y.ignoring, y.ignored, y.logarithms = smoothing, ignoring, ignored, False
    return y


def cross_entropy_cost(AL, Y, batch_size=None, label_smoothing=0.0, ignore_index=None):
    """Mean cross entropy of probabilities and class indices.

    Parameters
    ----------
    AL : array_like, shape (m, n)
        Probabilities of each class.
    Y : array_like of int, shape (m,) or (m, 1)
        Class indices from 0 to n - 1.
    batch_size : int, optional
        The number of rows m, where given.
    label_smoothing : float, optional
        The part of each target, from 0 to 1, that all classes share equally.
    ignore_index : int, optional
        A label, a class or any other integer, whose rows do not count.

    Returns
    -------
    loss : float
        The mean over the rows that count: without smoothing, of ``-log(AL[i, Y[i]])``; inf where a probability is 0,
        NaN where it is below 0 or if no row counts, as in PyTorch.
    cache : CrossEntropyCache
        `AL` and `Y_index`, an (m, 2) array of (row, label). It does not hold the options: the backward functions are
        given them again.

    Raises
    ------
    TypeError
        If `AL` does not hold floats of 16 to 64 bits, integers or booleans, `Y`, `batch_size` or `ignore_index` no integers,
        or `label_smoothing` is no number.
    ValueError
        If a shape is wrong, a class index or `label_smoothing` is out of range, or `batch_size` is not the number of
        rows.

    Warns
    -----
    ProbabilityWarning
        Once a call, if the probability at a label is below 0, or above 1 by more than rounding makes it (1/64): `AL` are
        logits, which go through `softmax` first. Of up to 1024 elements all are looked at. The loss is what the formula
        gives, and ``warnings.simplefilter("error", cnnref.ProbabilityWarning)`` makes an error of the warning.

    References
    ----------
    "R for Deep Learning (IV)", ``cross_entropy_cost``.

    Examples
    --------
    >>> loss, cache = cnnref.cross_entropy_cost([[0.5, 0.5], [0.25, 0.75]], [0, 1])
    >>> round(loss, 4)
    0.4904
    """
    cdef ndarray al, index
    cdef Py_ssize_t n
    cdef bint outside = False
    cdef Labels labels
    cdef double loss
    al, n, index, smoothing, ignoring, ignored = check_cross_entropy(
        "cross_entropy_cost", "AL", AL, Y, batch_size, label_smoothing, ignore_index
    )
    labels = labels_of(index, smoothing, ignoring, ignored)
    if is_double(al):
        loss = loss_of(al, index.shape[0], n, &labels, &outside, <double>0)
    else:
        loss = loss_of(wide(al), index.shape[0], n, &labels, &outside, <float>0)
    if outside:
        warn_of_no_probabilities(al, index, ignored if ignoring else None)
    return loss, named(CrossEntropyCache, (al, index))


def loss_of_logarithms(ndarray logp, ndarray index, double smoothing, bint ignoring, Py_ssize_t ignored):
    """The loss of logarithms of probabilities, for `softmax_cross_entropy`, which has checked what it was given."""
    cdef Labels labels = labels_of(index, smoothing, ignoring, ignored)
    cdef bint outside = False
    labels.logarithms = True
    if is_double(logp):
        return loss_of(logp, logp.shape[0], logp.shape[1], &labels, &outside, <double>0)
    return loss_of(logp, logp.shape[0], logp.shape[1], &labels, &outside, <float>0)


cdef double loss_of(
    ndarray al, Py_ssize_t m, Py_ssize_t n, const Labels* labels, bint* outside, real kind
) except? -1:
    """The loss of checked arguments, and whether something `outside` of probabilities was seen."""
    cdef double loss = 0
    cdef int status
    cdef object _held = held(al)
    cdef const real* al_data = elements(al, m * n, kind)
    with nogil:
        status = mean_loss(al_data, labels, m, n, &loss, outside)
    if status < 0:
        fail("softmax_cross_entropy: stopped" if labels.logarithms else "cross_entropy_cost: stopped")
    return loss


cdef ndarray gradient_of(ndarray al, Py_ssize_t m, Py_ssize_t n, const Labels* labels, bint of_logits, real kind):
    """The gradient by the logits, or by the probabilities, of checked arguments."""
    cdef npy_intp[2] shape
    shape[0], shape[1] = m, n
    cdef ndarray out = empty(al, 2, shape) if of_logits else zeros(al, 2, shape)
    cdef int status
    cdef object _held = held(al)
    cdef const real* al_data = elements(al, m * n, kind)
    cdef real* out_data = <real*>cnp.PyArray_DATA(out)
    with nogil:
        status = gradient(al_data, labels, out_data, m, n, of_logits)
    if status < 0:
        fail("softmax_cross_entropy_backward: stopped" if of_logits else "cross_entropy_backward: stopped")
    return out


cdef object backward(bint of_logits, object cache, object label_smoothing, object ignore_index):
    cdef ndarray al, columns
    cdef Py_ssize_t n
    al, n, columns, smoothing, ignoring, ignored = check_cross_entropy_cache(
        "softmax_cross_entropy_backward" if of_logits else "cross_entropy_backward", cache, label_smoothing, ignore_index
    )
    cdef Labels labels = labels_of(columns, smoothing, ignoring, ignored)
    if is_double(al):
        return gradient_of(al, columns.shape[0], n, &labels, of_logits, <double>0)
    return rounded(gradient_of(wide(al), columns.shape[0], n, &labels, of_logits, <float>0), al)


def cross_entropy_backward(cache, label_smoothing=0.0, ignore_index=None):
    """Gradient of `cross_entropy_cost` with respect to the probabilities.

    Parameters
    ----------
    cache : CrossEntropyCache
        As `cross_entropy_cost` returned it; or a tuple or mapping with its fields.
    label_smoothing, ignore_index : optional
        As `cross_entropy_cost` was given them.

    Returns
    -------
    ndarray, shape (m, n)
        ``dAL``: ``(-1/m) / AL`` at each label (computed in double, then rounded), 0 elsewhere; with smoothing
        ``(-1/m) t / AL``, t the smoothed target, and m the number of rows that count. 0 in the other rows.

    Raises
    ------
    TypeError
        If `cache` is no such cache, or holds arrays of a wrong type, or an option has a wrong type.
    ValueError
        If a field is missing or has a wrong shape, `Y_index` does not hold each row in order with a column in range
        (or the ignored label), or `label_smoothing` is out of range.

    Examples
    --------
    >>> loss, cache = cnnref.cross_entropy_cost([[0.5, 0.5], [0.25, 0.75]], [0, 1])
    >>> cnnref.cross_entropy_backward(cache)
    array([[-1.    ,  0.    ],
           [ 0.    , -0.6667]])
    """
    return backward(False, cache, label_smoothing, ignore_index)


def softmax_cross_entropy_backward(cache, label_smoothing=0.0, ignore_index=None):
    """Gradient of `cross_entropy_cost` of `softmax` with respect to the logits.

    Parameters
    ----------
    cache : CrossEntropyCache
        As `cross_entropy_cost` returned it for the output of `softmax`; or a tuple or mapping with its fields.
    label_smoothing, ignore_index : optional
        As `cross_entropy_cost` was given them.

    Returns
    -------
    ndarray, shape (m, n)
        ``dX = (probs - onehot) / m``, with the smoothed target for onehot, and m the number of rows that count. 0 in
        the other rows.

    Raises
    ------
    TypeError
        If `cache` is no such cache, or holds arrays of a wrong type, or an option has a wrong type.
    ValueError
        If a field is missing or has a wrong shape, `Y_index` does not hold each row in order with a column in range
        (or the ignored label), or `label_smoothing` is out of range.

    Examples
    --------
    >>> loss, cache = cnnref.cross_entropy_cost([[0.5, 0.5], [0.25, 0.75]], [0, 1])
    >>> cnnref.softmax_cross_entropy_backward(cache)
    array([[-0.25 ,  0.25 ],
           [ 0.125, -0.125]])
    """
    return backward(True, cache, label_smoothing, ignore_index)
