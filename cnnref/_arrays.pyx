"""Arrays and numbers at the door: what a caller may pass, made uniform.

An argument that is a C-contiguous, aligned, native float `numpy.ndarray` of 16 to 64 bits passes untouched and
costs a few nanoseconds. Everything else that NumPy can make an array of real numbers is converted once:
float16, bfloat16 and float32 keep their dtype, float64, integers and booleans become float64. Every other kind of
number is refused rather than rounded.
"""

import sys
from numbers import Real

import numpy as np

cimport numpy as cnp
from numpy cimport ndarray, npy_intp

from cnnref._aligned cimport aligned_empty

from cnnref._mistakes import refuse_mistakes

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    bint PyArray_CheckExact(object x)
    bint PyArray_ISCARRAY_RO(ndarray x)
    ndarray PyArray_FROMANY(object x, int typenum, int least, int most, int flags)
    int NPY_ARRAY_CARRAY_RO
    int NPY_ARRAY_ENSUREARRAY
    int NPY_HALF
    int NPY_USERDEF

cdef Py_ssize_t LARGEST = (<size_t>-1) >> 1
cdef int bfloat16 = -1  # its number, once there was such an array


cdef bint _is_half(ndarray x):
    """Whether `x` is float16, or bfloat16 of `ml_dtypes`, which is imported where there is such an array."""
    global bfloat16
    cdef int number = cnp.PyArray_TYPE(x)
    if number == NPY_HALF or number == bfloat16:
        return True
    if number < NPY_USERDEF or (<object>x).dtype.type is not getattr(
        sys.modules.get("ml_dtypes"), "bfloat16", None
    ):
        return False
    bfloat16 = number
    return True


cdef ndarray array(str function, str name, object value, int ndim, str axes):
    """`value` as an ndarray of real numbers with `ndim` dimensions (any number if negative).

    `axes` names the dimensions in the error message.
    """
    cdef ndarray x
    cdef int kind
    if PyArray_CheckExact(value):
        x = value
    else:
        x = _converted(function, name, value)
    kind = cnp.PyArray_TYPE(x)
    if (
        kind != cnp.NPY_FLOAT
        and kind != cnp.NPY_DOUBLE
        and not (cnp.NPY_BOOL <= kind <= cnp.NPY_ULONGLONG)
        and not _is_half(x)
    ):
        raise TypeError(
            f"{function}: {name} must hold float16, bfloat16, float32, float64, integers or booleans,"
            f" got dtype {(<object>x).dtype}"
        )
    if ndim >= 0 and cnp.PyArray_NDIM(x) != ndim:
        raise ValueError(
            f"{function}: {name} must have {ndim} dimensions {axes}, got shape {(<object>x).shape}"
        )
    return x


cdef ndarray _converted(str function, str name, object value):
    refuse_mistakes(function, name, value)
    try:
        return np.asarray(value)
    except (MemoryError, RecursionError):
        raise
    except ValueError as error:  # a ragged list, for example
        raise ValueError(f"{function}: {name} cannot be made an array: {error}") from error
    except Exception as error:  # whatever __array__ raised: a tensor that requires its gradient, for example
        raise TypeError(
            f"{function}: {name} must be an array, got {type(value).__name__} ({error})"
        ) from error


cdef ndarray plain(ndarray x, int typenum):
    """`x` itself if it is C-contiguous, aligned, native and of type `typenum`, else such a copy of it."""
    if cnp.PyArray_TYPE(x) == typenum and PyArray_ISCARRAY_RO(x):
        return x
    return PyArray_FROMANY(x, typenum, 0, 0, NPY_ARRAY_CARRAY_RO | NPY_ARRAY_ENSUREARRAY)


cdef bint single(ndarray x) noexcept:
    """Whether `x` is float32."""
    return cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT


cdef int kind_of(ndarray x) noexcept:
    """The kind of the dtype of an array that `array` let pass."""
    cdef int number = cnp.PyArray_TYPE(x)
    if number == cnp.NPY_FLOAT:
        return SINGLE
    if number == NPY_HALF:
        return FLOAT16
    return BFLOAT16 if number == bfloat16 else DOUBLE


cdef int common(int kinds) noexcept:
    """The type of the result for arrays of these kinds: that of all of them, else float32 or float64."""
    if kinds == SINGLE:
        return cnp.NPY_FLOAT
    if kinds & DOUBLE:
        return cnp.NPY_DOUBLE
    if kinds == FLOAT16:
        return NPY_HALF
    return bfloat16 if kinds == BFLOAT16 else cnp.NPY_FLOAT


cdef int same_shape(str function, str name, ndarray x, str other, ndarray y) except -1:
    cdef int axis
    cdef bint same = cnp.PyArray_NDIM(x) == cnp.PyArray_NDIM(y)
    if same:
        for axis in range(cnp.PyArray_NDIM(x)):
            same = same and cnp.PyArray_DIM(x, axis) == cnp.PyArray_DIM(y, axis)
    if not same:
        raise ValueError(
            f"{function}: {name} must have the shape of {other}, {(<object>y).shape}, got {(<object>x).shape}"
        )
    return 0


cdef ndarray empty(ndarray like, int ndim, npy_intp* shape):
    """A new uninitialised C-contiguous array of the dtype of `like`, at a cache line where it is large."""
    return aligned_empty(ndim, shape, cnp.PyArray_TYPE(like))


cdef ndarray zeros(ndarray like, int ndim, npy_intp* shape):
    """A new C-contiguous array of zeros of the dtype of `like`."""
    return cnp.PyArray_ZEROS(ndim, shape, cnp.PyArray_TYPE(like), 0)


cdef Py_ssize_t integer(str function, str name, object value, Py_ssize_t least) except -1:
    """`value` as an index that is at least `least` (which is not negative)."""
    cdef object index
    cdef Py_ssize_t n
    if type(value) is not int:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{function}: {name} must be an integer, got {type(value).__name__}")
        try:
            index = value.__index__()
        except (AttributeError, TypeError):
            raise TypeError(f"{function}: {name} must be an integer, got {type(value).__name__}") from None
    else:
        index = value
    try:
        n = index
    except OverflowError:
        raise ValueError(f"{function}: {name} is out of range, got {index}") from None
    if n < least:
        raise ValueError(f"{function}: {name} must be at least {least}, got {n}")
    return n


cdef double real_number(str function, str name, object value) except? -1:
    """`value` as a finite double."""
    cdef double x
    if type(value) is float:
        x = value
        if x - x == 0:
            return x
    # `isinstance` of an abstract class runs Python code; of a tuple of classes Cython forgets what that raises.
    if type(value) is not float and (
        isinstance(value, (bool, np.bool_)) or not (isinstance(value, np.number) or isinstance(value, Real))
    ):
        raise TypeError(f"{function}: {name} must be a number, got {type(value).__name__}")
    x = float(value)
    if x - x != 0:
        raise ValueError(f"{function}: {name} must be finite, got {x}")
    return x


cdef Py_ssize_t padded(str function, Py_ssize_t n, Py_ssize_t pad, str name) except -1:
    """``n + 2 * pad``, which the argument `name` may make too large."""
    if pad > (LARGEST - n) // 2:
        raise ValueError(f"{function}: {name} is too large to address, got {pad}")
    return n + 2 * pad


cdef int addressable(str function, int ndim, Py_ssize_t* shape, Py_ssize_t itemsize) except -1:
    """Refuse a result of more bytes than an index can address."""
    cdef Py_ssize_t left = LARGEST // itemsize
    cdef int axis
    for axis in range(ndim):
        if shape[axis] > 0:
            left //= shape[axis]
    if left == 0:
        raise ValueError(
            f"{function}: a result of shape {tuple([shape[axis] for axis in range(ndim)])} is too large to address"
        )
    return 0
