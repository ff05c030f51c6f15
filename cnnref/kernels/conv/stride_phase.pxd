"""One axis of a gradient with respect to an input: which taps touch which pixels.

Output `y` of a window holds pixel ``x = y * stride + tap * dilation - before``. So the pixels of one remainder modulo the
stride are touched by every `tap_step`-th tap only, and for neighbours among them, or neighbouring such taps, the outputs are
a fixed distance apart: their gradient is a dense (or dilated) correlation of the outputs' with those taps, in reverse::

    stride 2, dilation 1, 3 taps       pixels 0 2 4 ..: taps 0, 2       pixels 1 3 5 ..: tap 1
    stride 2, dilation 2, 3 taps       pixels 0 2 4 ..: taps 0, 1, 2    pixels 1 3 5 ..: none

Source: the transposed convolution of "Deep Learning" (Goodfellow, Bengio, Courville), chapter 9, by remainders.
"""

from cnnref.checks.hyper cimport Axis
from cnnref.kernels.base.integers cimport divisor


cdef struct Phase:
    # Pixels `first`, ``first + stride``, ...; taps `tap`, ``tap + tap_step``, ...
    Py_ssize_t first
    Py_ssize_t pixels
    Py_ssize_t tap
    Py_ssize_t tap_step
    Py_ssize_t taps
    # The first pixel's window over the outputs starts at ``-before``, its taps `dilation` apart.
    Py_ssize_t before
    Py_ssize_t dilation


cdef inline Py_ssize_t phases(const Axis* axis) noexcept nogil:
    """How many of the remainders have taps: phase `i` is that of tap `i`."""
    return min(axis.stride // divisor(axis.stride, axis.dilation), axis.f)


cdef inline bint covers(const Axis* axis) noexcept nogil:
    """Whether every remainder has taps."""
    return phases(axis) == axis.stride


cdef inline Phase phase(const Axis* axis, Py_ssize_t tap) noexcept nogil:
    """The pixels that tap `tap` touches, with all taps that touch them."""
    cdef Phase found
    cdef Py_ssize_t common = divisor(axis.stride, axis.dilation)
    cdef Py_ssize_t last
    found.tap = tap
    found.tap_step = axis.stride // common
    found.taps = (axis.f - tap + found.tap_step - 1) // found.tap_step
    found.dilation = axis.dilation // common
    found.first = (tap * axis.dilation - axis.before) % axis.stride
    if found.first < 0:
        found.first += axis.stride
    found.pixels = max((axis.n - found.first + axis.stride - 1) // axis.stride, <Py_ssize_t>0)
    last = tap + (found.taps - 1) * found.tap_step
    found.before = (last * axis.dilation - axis.before - found.first) // axis.stride
    return found
