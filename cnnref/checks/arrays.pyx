"""Arrays and numbers at the door: what a caller may pass, made uniform.

An argument that is a C-contiguous, aligned, native float `numpy.ndarray` of 16 to 64 bits passes untouched and
costs a few nanoseconds. Everything else that NumPy can make an array of real numbers is converted once:
float16, bfloat16 and float32 keep their dtype, float64, integers and booleans become float64. Every other kind of
number is refused rather than rounded.

Check once, use what was checked. An argument may run its owner's code (``__array__``, ``__index__``, ``__float__``, a
key's ``__eq__``, a mapping's or a class's own methods), and that code, another thread or a signal's handler may change
any array that the call was given. So every public function goes through four steps, in this order:

1. All of the caller's code runs: arrays are made of what is none (`given`), caches and mappings are copied
   (`cnnref.checks.fields`), numbers and words become exact ones (`index`, `real_number`, `word`).
2. What came of it is checked, and converted where it must be; nothing of the caller's is called.
3. Extents are taken into the call's own variables (`take_shape`), results are made after them, and labels, which are
   used as places, are copied while they are checked.
4. `elements` gives the memory of each array only if that still is as large as those variables say, and nothing runs
   between it and the kernel. A kernel that lets go of the interpreter's lock has its arguments `held`: NumPy then
   refuses to move their memory.

What is changed later than that changes numbers, at worst: no kernel reads or writes outside.
"""

import sys
from numbers import Real

import numpy as np

cimport numpy as cnp
from cpython.number cimport PyNumber_Index
from cpython.object cimport PyObject
from cpython.weakref cimport PyWeakref_NewRef
from numpy cimport ndarray, npy_intp

from cnnref.checks.aligned cimport aligned_empty

from cnnref.checks.mistakes import described, dimensions, refuse_mistakes

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    ndarray PyArray_FROMANY(object x, int typenum, int least, int most, int flags)
    int NPY_ARRAY_CARRAY_RO
    int NPY_ARRAY_ENSUREARRAY
    int NPY_HALF
    int NPY_USERDEF
    PyObject* PyArray_BASE(ndarray x)

cdef extern from "Python.h":
    str PyUnicode_FromObject(object text)

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


cdef ndarray checked(str function, str name, object value, int ndim, str axes):
    """What `array` gives."""
    cdef ndarray x = given(function, name, value)
    cdef int kind = cnp.PyArray_TYPE(x)
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
            + dimensions(name, (<object>x).shape, ndim, axes)
        )
    return x


cdef object converted(str function, str name, object value):
    """What `given` gives of what is no ndarray."""
    refuse_mistakes(function, name, value)
    try:
        return np.asarray(value)
    except (MemoryError, RecursionError):
        raise
    except ValueError as error:  # a ragged list, for example
        raise ValueError(f"{function}: {name} cannot be made an array: {error}") from error
    except Exception as error:  # whatever __array__ raised: a tensor that requires its gradient, for example
        raise TypeError(
            f"{function}: {name} must be an array, got {described(value)} ({error})"
        ) from error


cdef ndarray made_plain(ndarray x, int typenum):
    """The copy that `plain` gives."""
    return PyArray_FROMANY(x, typenum, 0, 0, NPY_ARRAY_CARRAY_RO | NPY_ARRAY_ENSUREARRAY)


cdef int changed() except -1:
    """Refuse an array that is no more what was checked."""
    raise RuntimeError("cnnref: an array was changed by other code while the function that it was given to read it")


cdef object _hold(ndarray x):
    """A weak reference to the array that owns the memory of `x`: while there is one, NumPy refuses to resize it."""
    cdef ndarray owner = x
    cdef object base
    while PyArray_BASE(owner) != NULL:
        base = <object>PyArray_BASE(owner)
        if type(base) is memoryview:
            base = base.obj
        if not isinstance(base, ndarray):
            break
        owner = base
    return PyWeakref_NewRef(owner, None)


cdef object held(ndarray x, ndarray y=None, ndarray z=None):
    """What keeps the memory of these arrays where it is, as long as it is kept itself."""
    return _hold(x), None if y is None else _hold(y), None if z is None else _hold(z)


cdef int other_kind(ndarray x) noexcept:
    """`kind_of` what is neither float32 nor float64."""
    if cnp.PyArray_TYPE(x) == NPY_HALF:
        return FLOAT16
    return BFLOAT16 if cnp.PyArray_TYPE(x) == bfloat16 else DOUBLE


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


cdef str word(object value):
    """`value`, a string, as an exact one: a class of its own may have any idea of what it is equal to."""
    return <str>value if type(value) is str else PyUnicode_FromObject(value)


cdef str shown(object number):
    """`number` as an error message has it; Python does not write out an integer of thousands of digits."""
    try:
        return str(number)
    except ValueError:
        return f"an integer of {number.bit_length()} bits"


cdef object index(str function, str name, object value, str expected="an integer"):
    """`value` as an exact int."""
    if type(value) is int:
        return value
    if type(value) is not bool and type(value) is not np.bool_:
        try:
            found = PyNumber_Index(value)
            return found if type(found) is int else int.__int__(found)
        except (AttributeError, TypeError):
            pass
    raise TypeError(f"{function}: {name} must be {expected}, got {described(value)}")


cdef Py_ssize_t integer(str function, str name, object value, Py_ssize_t least) except -1:
    """`value` as an index that is at least `least` (which is not negative)."""
    cdef object found = index(function, name, value)
    cdef Py_ssize_t n
    try:
        n = found
    except OverflowError:
        raise ValueError(f"{function}: {name} is out of range, got {shown(found)}") from None
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
        type(value) is bool or type(value) is np.bool_
        or not (isinstance(value, np.number) or isinstance(value, Real))
    ):
        raise TypeError(f"{function}: {name} must be a number, got {described(value)}")
    try:
        x = float(value)
    except OverflowError:
        raise ValueError(f"{function}: {name} must be finite, got {shown(value)}") from None
    except (AttributeError, TypeError):
        raise TypeError(f"{function}: {name} must be a number, got {described(value)}") from None
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
