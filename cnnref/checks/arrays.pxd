"""Arrays and numbers at the door, for the checks and the operation modules."""

from numpy cimport ndarray, npy_intp

# Kinds of dtypes that compute alike; those of several arrays are joined by `|`.
cdef enum:
    SINGLE = 1  # float32
    DOUBLE = 2  # float64, integers, booleans
    FLOAT16 = 4
    BFLOAT16 = 8
    HALF = FLOAT16 | BFLOAT16

cdef object given(str function, str name, object value)
cdef ndarray array(str function, str name, object value, int ndim, str axes)
cdef ndarray plain(ndarray x, int typenum)
cdef int take_shape(ndarray x, int ndim, npy_intp* shape) except -1
cdef void* memory(ndarray x, int typenum, Py_ssize_t count) except? NULL
cdef void* elements(ndarray x, bint is_single, Py_ssize_t count) except? NULL
cdef object held(ndarray x, ndarray y=*, ndarray z=*)
cdef bint single(ndarray x) noexcept
cdef int kind_of(ndarray x) noexcept
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
