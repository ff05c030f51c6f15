"""Results that start at a cache line: a memory handler for NumPy (NumPy enhancement proposal 49).

NumPy's own memory starts at any multiple of 16 bytes, so that most vectors of 64 bytes lie across two cache lines,
each of which costs a read or write of its own. The handler asks NumPy's own for a line more. It is in force while a
result is made, unless the caller has set another one: then that one is asked, as for any array.
"""

cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from libc.stdint cimport uint8_t, uintptr_t
from libc.string cimport memmove, strcpy
from numpy cimport PyDataMem_GetHandler, PyDataMem_SetHandler, ndarray, npy_intp

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    # Again, because NumPy's own declarations leave out that these neither need the interpreter nor raise.
    ctypedef struct PyDataMemAllocator:
        void* ctx
        void* (*malloc)(void* ctx, size_t size) noexcept nogil
        void* (*calloc)(void* ctx, size_t count, size_t size) noexcept nogil
        void* (*realloc)(void* ctx, void* place, size_t size) noexcept nogil
        void (*free)(void* ctx, void* place, size_t size) noexcept nogil

    ctypedef struct PyDataMem_Handler:
        char* name
        uint8_t version
        PyDataMemAllocator allocator

cdef enum:
    LINE = 64
    # Elements of a result that is worth the change of handlers (0.1 us).
    LEAST = 2048
    MOST_AXES = 64


cdef void* _placed(void* whole) noexcept nogil:
    """The first line within `whole`; what stands before it says where `whole` starts."""
    cdef void* place
    if whole == NULL:
        return NULL
    # NumPy's memory starts at least as aligned as a pointer, so there is room for one.
    place = <void*>((<uintptr_t>whole + LINE) & ~<uintptr_t>(LINE - 1))
    (<void**>place - 1)[0] = whole
    return place


cdef void* _malloc(void* inner, size_t size) noexcept nogil:
    cdef PyDataMem_Handler* theirs = <PyDataMem_Handler*>inner
    return _placed(theirs.allocator.malloc(theirs.allocator.ctx, size + LINE))


cdef void* _calloc(void* inner, size_t count, size_t size) noexcept nogil:
    cdef PyDataMem_Handler* theirs = <PyDataMem_Handler*>inner
    # NumPy has checked the product.
    return _placed(theirs.allocator.calloc(theirs.allocator.ctx, 1, count * size + LINE))


cdef void* _realloc(void* inner, void* place, size_t size) noexcept nogil:
    cdef PyDataMem_Handler* theirs = <PyDataMem_Handler*>inner
    cdef void* whole
    cdef void* moved
    cdef Py_ssize_t before
    if place == NULL:
        return _malloc(inner, size)
    whole = (<void**>place - 1)[0]
    before = <char*>place - <char*>whole
    whole = theirs.allocator.realloc(theirs.allocator.ctx, whole, size + LINE)
    if whole == NULL:
        return NULL
    moved = <void*>((<uintptr_t>whole + LINE) & ~<uintptr_t>(LINE - 1))
    memmove(moved, <char*>whole + before, size)
    return _placed(whole)


cdef void _free(void* inner, void* place, size_t size) noexcept nogil:
    cdef PyDataMem_Handler* theirs = <PyDataMem_Handler*>inner
    if place != NULL:
        theirs.allocator.free(theirs.allocator.ctx, (<void**>place - 1)[0], size + LINE)


cdef PyDataMem_Handler _handler
cdef object _plain = PyDataMem_GetHandler()
cdef object _aligning = PyCapsule_New(&_handler, "mem_handler", NULL)

strcpy(_handler.name, "cnnref_aligned")
_handler.version = 1
_handler.allocator.ctx = PyCapsule_GetPointer(_plain, "mem_handler")
_handler.allocator.malloc = _malloc
_handler.allocator.calloc = _calloc
_handler.allocator.realloc = _realloc
_handler.allocator.free = _free


cdef ndarray aligned_empty(int ndim, npy_intp* shape, int typenum):
    """A new uninitialised C-contiguous array, at a cache line where it is large.

    `shape` may be that of an array of the caller's, whose code a change of handlers can run: it is copied before.
    """
    cdef object others
    cdef npy_intp[MOST_AXES] extents
    cdef int axis
    if cnp.PyArray_MultiplyList(shape, ndim) < LEAST:
        return cnp.PyArray_EMPTY(ndim, shape, typenum, 0)
    for axis in range(ndim):
        extents[axis] = shape[axis]
    others = PyDataMem_SetHandler(_aligning)
    if others is not _plain:
        PyDataMem_SetHandler(others)
        return cnp.PyArray_EMPTY(ndim, extents, typenum, 0)
    try:
        return cnp.PyArray_EMPTY(ndim, extents, typenum, 0)
    finally:
        PyDataMem_SetHandler(_plain)
