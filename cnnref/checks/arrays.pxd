"""Arrays and numbers at the door, for the checks and the operation modules; `arrays.pyx` has the rule."""

cimport numpy as cnp
from numpy cimport ndarray, npy_intp

from cnnref.kernels.base.types cimport real

cdef extern from "numpy/arrayobject.h":
    bint PyArray_CheckExact(object x)
    bint PyArray_ISCARRAY_RO(ndarray x)

# Kinds of dtypes that compute alike; those of several arrays are joined by `|`.
cdef enum:
    SINGLE = 1  # float32
    DOUBLE = 2  # float64, integers, booleans
    FLOAT16 = 4
    BFLOAT16 = 8
    HALF = FLOAT16 | BFLOAT16

cdef object converted(str function, str name, object value)
cdef ndarray checked(str function, str name, object value, int ndim, str axes)
cdef ndarray made_plain(ndarray x, int typenum)
cdef int changed() except -1
cdef object held(ndarray x, ndarray y=*, ndarray z=*)
cdef int other_kind(ndarray x) noexcept
cdef int common(int kinds) noexcept
cdef int same_shape(str function, str name, ndarray x, str other, ndarray y) except -1
cdef ndarray empty(ndarray like, int ndim, npy_intp* shape)
cdef ndarray zeros(ndarray like, int ndim, npy_intp* shape)
cdef str word(object value)
cdef str shown(object number)
cdef object index(str function, str name, object value, str expected=*)
cdef Py_ssize_t integer(str function, str name, object value, Py_ssize_t least) except -1
cdef double real_number(str function, str name, object value) except? -1
cdef Py_ssize_t padded(str function, Py_ssize_t n, Py_ssize_t pad, str name) except -1
cdef int addressable(str function, int ndim, Py_ssize_t* shape, Py_ssize_t itemsize) except -1

# What follows stands here to be inlined: a small call goes through each of them several times.


cdef inline object given(str function, str name, object value):
    """`value` as an ndarray, whatever it holds: `array` runs none of the caller's code then."""
    return value if PyArray_CheckExact(value) else converted(function, name, value)


cdef inline bint single(ndarray x) noexcept:
    """Whether `x` is float32."""
    return cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT


cdef inline bint is_double(ndarray x) noexcept:
    """Whether `x` is float64: of what was checked all else is computed in float32."""
    return cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE


cdef inline ndarray array(str function, str name, object value, int ndim, str axes):
    """`value` as an ndarray of real numbers with `ndim` dimensions (any number if negative).

    `axes` names the dimensions in the error message.
    """
    if (
        PyArray_CheckExact(value)
        and (cnp.PyArray_TYPE(<ndarray>value) == cnp.NPY_FLOAT or cnp.PyArray_TYPE(<ndarray>value) == cnp.NPY_DOUBLE)
        and (ndim < 0 or cnp.PyArray_NDIM(<ndarray>value) == ndim)
    ):
        return <ndarray>value
    return checked(function, name, value, ndim, axes)


cdef inline ndarray plain(ndarray x, int typenum):
    """`x` itself if it is C-contiguous, aligned, native and of type `typenum`, else such a copy of it."""
    return x if cnp.PyArray_TYPE(x) == typenum and PyArray_ISCARRAY_RO(x) else made_plain(x, typenum)


cdef inline int kind_of(ndarray x) noexcept:
    """The kind of the dtype of an array that `array` let pass."""
    if single(x):
        return SINGLE
    return DOUBLE if cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE else other_kind(x)


cdef inline int take_shape(ndarray x, int ndim, npy_intp* shape) except -1:
    """Take the extents of checked `x` into the call's own variables, all at once."""
    cdef int axis
    if cnp.PyArray_NDIM(x) != ndim:
        changed()
    for axis in range(ndim):
        shape[axis] = cnp.PyArray_DIM(x, axis)
    return 0


cdef inline void* memory(ndarray x, int typenum, Py_ssize_t count) except? NULL:
    """The memory of `x` if that is `count` elements of type `typenum` in C order; for a kernel that starts next."""
    if cnp.PyArray_TYPE(x) != typenum or cnp.PyArray_SIZE(x) != count or not PyArray_ISCARRAY_RO(x):
        changed()
    return cnp.PyArray_DATA(x)


cdef inline real* elements(ndarray x, Py_ssize_t count, real kind) except? NULL:
    """`memory` of float32, or of float64, as `kind` is."""
    return <real*>memory(x, cnp.NPY_FLOAT if real is float else cnp.NPY_DOUBLE, count)
