"""The inline functions of ``kernels/vmath/{scalar,exp}.pxd`` and ``kernels/base/nontemporal.pxd`` for tests alone."""

cimport numpy as cnp
from numpy cimport ndarray

from cnnref.checks.elements cimport check_activation
from cnnref.kernels.base cimport nontemporal
from cnnref.kernels.base.types cimport real
from cnnref.kernels.vmath cimport elementwise, exp as _exp_lanes, scalar

cnp.import_array()

cdef enum Function:
    EXP
    EXP_NONPOSITIVE
    LOG
    EXP_LANES
    EXP_MINUS


cdef void apply(
    int function, const real* x, const real* unused, real* out, Py_ssize_t n, double option, double other
) noexcept nogil:
    cdef Py_ssize_t i
    cdef int step = _exp_lanes.lanes(<real>0)
    if function == EXP:
        for i in range(n):
            out[i] = scalar.exp(x[i])
    elif function == EXP_NONPOSITIVE:
        for i in range(n):
            out[i] = scalar.exp_nonpositive(x[i])
    elif function == LOG:
        for i in range(n):
            out[i] = <real>scalar.log(x[i])
    elif function == EXP_LANES:
        for i in range(n // step):
            _exp_lanes.exp_lanes(x + i * step, out + i * step)
    else:
        for i in range(n // step):
            if _exp_lanes.any_far(x + i * step):
                _exp_lanes.exp_minus(x + i * step, out + i * step, True)
            else:
                _exp_lanes.exp_minus(x + i * step, out + i * step, False)


cdef ndarray run(Function function, str name, object x):
    cdef ndarray values = check_activation(name, x)
    return elementwise.run(apply[float], apply[double], function, values, None, 0, 0)


def exp(x):
    """e^x, as `softmax` of the post and its sigmoid use it."""
    return run(EXP, "exp", x)


def exp_nonpositive(x):
    """e^x for x <= 0, as `softmax` and `sigmoid` use it."""
    return run(EXP_NONPOSITIVE, "exp_nonpositive", x)


def exp_lanes(x):
    """`exp` for several vectors at a time; `x` has a multiple of 64 elements."""
    return run(EXP_LANES, "exp_lanes", x)


def exp_minus(x):
    """e^-x for x >= 0, as sigmoid, tanh and softmax use it; `x` has a multiple of 64 elements."""
    return run(EXP_MINUS, "exp_minus", x)


def log(x):
    """Natural logarithm, computed in double, as `cross_entropy_cost` uses it."""
    return run(LOG, "log", x)


def stream(out, source):
    """Copy the bytes of one array to another past the caches."""
    cdef ndarray to = out, values = source
    nontemporal.stream(cnp.PyArray_DATA(to), cnp.PyArray_DATA(values), cnp.PyArray_NBYTES(to))
    nontemporal.settle()
