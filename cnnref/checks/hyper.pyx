"""The forms that a window's hyperparameters may have, and what they come to in pixels.

``stride``, ``dilation`` and pooling's ``f`` are an integer or a pair ``(h, w)``. ``pad`` is one of

- an integer: so many zeros on each side;
- a pair ``(h, w)``: h above and below, w left and right;
- ``((top, bottom), (left, right))``;
- ``"valid"``: none;
- ``"same"``: as many as give ``ceil(n / stride)`` outputs, half of them before the input; where their number is odd the
  extra zero comes after it, at the bottom and on the right. This is TensorFlow's rule and ONNX's SAME_UPPER, and
  PyTorch's for stride 1;
- ``"same_lower"``: the same number with the extra zero before the input, ONNX's SAME_LOWER.

Error texts follow ``pool_affine.pyx``: function, argument, what was expected, what came.

The values are `settled` before any array's extents are looked at: ``__index__`` and the methods of a list's own class are
the caller's code.
"""

from cnnref.checks.arrays cimport index, integer, word

from cnnref.checks.mistakes import word_meant

import numpy as np

cdef Py_ssize_t LARGEST = (<size_t>-1) >> 1


cdef extern from "Python.h":
    tuple PyTuple_GetSlice(object values, Py_ssize_t begin, Py_ssize_t end)
    tuple PyList_AsTuple(object values)


cdef bint _is_sequence(object value) noexcept:
    return type(value) is tuple or isinstance(value, (tuple, list)) or (
        isinstance(value, np.ndarray) and value.ndim > 0
    )


cdef object settled(str function, str name, object value, int depth=2):
    """`value` as an exact int, bool or str, or as a tuple of them: all of the caller's code runs here.

    A sequence of another length than two comes back unread, for `pair` and `_read_pad` to refuse.
    """
    cdef tuple items
    if type(value) is int or type(value) is bool:
        return value
    if isinstance(value, str):
        return word(value)
    if depth > 0 and isinstance(value, np.ndarray):
        value = np.asarray(value)
        if 0 < value.ndim <= 2 and value.shape[0] == 2 and value.size <= 4:  # no list of 2^31 empty ones
            value = value.tolist()
    if depth == 0 or not isinstance(value, (tuple, list)):
        return value if depth > 0 and _is_sequence(value) else index(function, name, value)
    if isinstance(value, tuple):
        items = PyTuple_GetSlice(value, 0, len(<tuple>value))
    else:
        items = PyList_AsTuple(value)
    if len(items) != 2:
        return items
    return (
        settled(function, name + "[0]", items[0], depth - 1), settled(function, name + "[1]", items[1], depth - 1)
    )


cpdef Pair pair(str function, str name, object value, Py_ssize_t least) except *:
    """`value`, an integer or a pair of them, as a pair (h, w) of integers that are at least `least`."""
    cdef Pair found
    if type(value) is not int and _is_sequence(value):
        if len(value) != 2:
            raise TypeError(f"{function}: {name} must be an integer or a pair (h, w) of them, got {value}")
        found.h = integer(function, name + "[0]", value[0], least)
        found.w = integer(function, name + "[1]", value[1], least)
    else:
        found.h = found.w = integer(function, name, value, least)
    return found


cdef int _check_room(str function, const Axis* axis, object pad) except -1:
    """Refuse padding that makes an extent too large for an index."""
    if axis.before > LARGEST - axis.n or axis.after > LARGEST - axis.n - axis.before:
        raise ValueError(f"{function}: hparameters['pad'] is too large to address, got {pad}")
    return 0


cdef void _same(Axis* axis, bint lower) noexcept:
    """Zeros such that there are ``ceil(n / stride)`` outputs."""
    cdef Py_ssize_t windows = axis.n // axis.stride + (axis.n % axis.stride > 0)
    cdef Py_ssize_t total = max((windows - 1) * axis.stride + span(axis) - axis.n, <Py_ssize_t>0)
    axis.before = (total + lower) // 2
    axis.after = total - axis.before


cdef int _read_pad(str function, object value, bint words, Window* window) except -1:
    cdef Pair sides
    cdef str forms = "an integer, a pair (h, w) or ((top, bottom), (left, right))"
    if words:
        forms = "an integer, a pair (h, w), ((top, bottom), (left, right)), 'same', 'same_lower' or 'valid'"
    if isinstance(value, str):
        if not words or value not in ("same", "same_lower", "valid"):
            raise ValueError(
                f"{function}: hparameters['pad'] must be {forms}, got {value!r}"
                + (word_meant(value, ("same", "same_lower", "valid")) if words else "")
            )
        if value != "valid":
            _same(&window.h, value == "same_lower")
            _same(&window.w, value == "same_lower")
        else:
            window.h.before = window.h.after = window.w.before = window.w.after = 0
        return 0
    if type(value) is not int and _is_sequence(value):
        if len(value) != 2 or _is_sequence(value[0]) != _is_sequence(value[1]):
            raise TypeError(f"{function}: hparameters['pad'] must be {forms}, got {value}")
        if _is_sequence(value[0]):
            if len(value[0]) != 2 or len(value[1]) != 2:
                raise TypeError(f"{function}: hparameters['pad'] must be {forms}, got {value}")
            sides = pair(function, "hparameters['pad'][0]", value[0], 0)
            window.h.before, window.h.after = sides.h, sides.w
            sides = pair(function, "hparameters['pad'][1]", value[1], 0)
            window.w.before, window.w.after = sides.h, sides.w
            return 0
    sides = pair(function, "hparameters['pad']", value, 0)
    window.h.before = window.h.after = sides.h
    window.w.before = window.w.after = sides.w
    return 0


cdef int _read_dilation(str function, Axis* axis, Py_ssize_t dilation) except -1:
    axis.dilation = dilation if axis.f > 1 else 1
    if axis.f > 1 and dilation > (LARGEST - 1) // (axis.f - 1):
        raise ValueError(f"{function}: hparameters['dilation'] is too large to address, got {dilation}")
    return 0


cdef int read_window(
    str function, Py_ssize_t n_h, Py_ssize_t n_w, Pair f, object stride, object pad, object dilation, bint words,
    Window* window,
) except -1:
    """Fill `window` from the values of ``hparameters['stride']``, ``['pad']`` and ``['dilation']``.

    `words` says whether ``pad`` may be a word. Whether the window fits into the padded input is for the caller to see (its
    extent and `span` do not overflow); so is the order of checks between arguments. A stride beyond the padded input
    makes no difference and is cut down to it, a dilation of a single tap to 1: no product of an index with them overflows.
    """
    cdef Pair steps
    window.h.n, window.h.f = n_h, f.h
    window.w.n, window.w.f = n_w, f.w
    steps = pair(function, "hparameters['stride']", stride, 1)
    window.h.stride, window.w.stride = steps.h, steps.w
    if type(dilation) is int and dilation == 1:
        window.h.dilation = window.w.dilation = 1
    else:
        steps = pair(function, "hparameters['dilation']", dilation, 1)
        _read_dilation(function, &window.h, steps.h)
        _read_dilation(function, &window.w, steps.w)
    if type(pad) is int:
        window.h.before = window.h.after = window.w.before = window.w.after = integer(
            function, "hparameters['pad']", pad, 0
        )
    else:
        _read_pad(function, pad, words, window)
    _check_room(function, &window.h, pad)
    _check_room(function, &window.w, pad)
    window.h.stride = min(window.h.stride, max(padded_extent(&window.h), <Py_ssize_t>1))
    window.w.stride = min(window.w.stride, max(padded_extent(&window.w), <Py_ssize_t>1))
    return 0


cpdef Window window(
    str function, Py_ssize_t n_h, Py_ssize_t n_w, object f, object stride, object pad, object dilation=1, bint words=True
) except *:
    """`read_window` for Python callers and tests, which get a mapping; `f` is an integer or a pair."""
    cdef Window found
    read_window(
        function, n_h, n_w, pair(function, "hparameters['f']", f, 1), stride, pad, dilation, words, &found
    )
    return found
