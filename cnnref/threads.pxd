"""The thread count, for kernels, and whether the call in progress is to stop."""

from cpython.pystate cimport PyThreadState

cdef extern from "Python.h":
    PyThreadState* PyEval_SaveThread() noexcept nogil
    void PyEval_RestoreThread(PyThreadState* state) noexcept nogil

# What a call does for those of its rows, images, ... from `begin` to `end`.
ctypedef void (*part_of)(const void* job, Py_ssize_t begin, Py_ssize_t end) noexcept nogil

cdef int team_size(double work) noexcept nogil
cdef int ready(int team) noexcept nogil
cdef Py_ssize_t pieces(double work, int threads) noexcept nogil
cdef int in_parts(part_of part, const void* job, Py_ssize_t count, double work, int threads) noexcept nogil


cdef inline bint brief(double work) noexcept nogil:
    """Whether a call with so many operations is over before letting go of the interpreter's lock would pay."""
    return work < 20e3


cdef inline PyThreadState* let_go(double work) noexcept nogil:
    """Let go of the interpreter's lock for a kernel of so many operations, unless it is `brief`.

    As ``with nogil``, which knows no condition: between this and `take_back` stand kernels alone.
    """
    return NULL if brief(work) else PyEval_SaveThread()


cdef inline void take_back(PyThreadState* state) noexcept nogil:
    if state != NULL:
        PyEval_RestoreThread(state)


cdef const int* watch() noexcept nogil
cdef bint stopped(const int* watched) noexcept nogil
cdef int fail(str message) except -1
