# cython: boundscheck=False, wraparound=False, cdivision=True
"""``swish(z) = z / (1 + exp(-z))`` and its gradient, on the exponential of cnnref.

The exponential is a handful of fused multiply-adds that the compiler puts into vectors, so its bits do not
depend on the C library; each element is computed alone, so those of the results do not depend on threads.
"""

from cython.parallel cimport prange

from cnnref.kernels.base.types cimport real
from cnnref.kernels.vmath.scalar cimport exp_nonpositive
from cnnref.threads cimport team_size

cdef double WORK = 8  # operations for each element, as `team_size` counts them


cdef inline real logistic(real z) noexcept nogil:
    """``1 / (1 + exp(-z))`` from ``exp(-|z|)``, which cannot overflow."""
    cdef real t = exp_nonpositive(-z if z > 0 else z)
    return (t if z < 0 else <real>1) / (<real>1 + t)


def swish(const real[::1] Z, real[::1] A):
    """Write ``swish(Z)`` into `A`."""
    cdef Py_ssize_t i, n = Z.shape[0]
    for i in prange(n, nogil=True, num_threads=team_size(n * WORK), schedule="static"):
        A[i] = Z[i] * logistic(Z[i])


def swish_backward(const real[::1] dA, const real[::1] Z, real[::1] dZ):
    """Write the gradient at `Z` into `dZ`."""
    cdef Py_ssize_t i, n = Z.shape[0]
    cdef real s
    for i in prange(n, nogil=True, num_threads=team_size(n * WORK), schedule="static"):
        s = logistic(Z[i])
        dZ[i] = dA[i] * (s + Z[i] * s * (<real>1 - s))
