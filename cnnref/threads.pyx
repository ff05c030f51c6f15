"""How many threads a call may use.

The count starts as the number of processors this process may use: its affinity, its container's quota,
``OMP_NUM_THREADS`` (see ``_limits.py``). A count that the OpenMP runtime has been given since, as threadpoolctl
does, lowers it for the calling thread; a call from inside a parallel region runs on one thread. No result
depends on any of this. After ``fork()`` a child runs on one thread, because the OpenMP runtime's team does not
survive the fork.
"""

import os

from cnnref._limits import processors
from cnnref._processor import openmp

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #else
    static int omp_get_max_threads(void) { return 1; }
    static int omp_in_parallel(void) { return 0; }
    #endif
    """
    int omp_get_max_threads() noexcept nogil
    int omp_in_parallel() noexcept nogil

# Starting and joining a team costs a few microseconds; below this many operations (multiply-adds, or
# elements moved) one thread is done sooner.
cdef double WORK_PER_THREAD = 60e3

cdef int _num_threads = 1
cdef int _forked = 0
# The runtime's own count when this module was loaded: another one has been set on purpose since.
cdef int _runtime = omp_get_max_threads()


cdef int _limit() noexcept nogil:
    """The count set, or less where the calling thread's OpenMP runtime has been told so."""
    cdef int runtime
    if _forked or _num_threads < 2 or omp_in_parallel():
        return 1
    runtime = omp_get_max_threads()
    return runtime if runtime != _runtime and runtime < _num_threads else _num_threads


cdef int team_size(double work) noexcept nogil:
    """The number of threads that a call with `work` operations is worth, at most the count set."""
    cdef double most = work / WORK_PER_THREAD
    cdef int limit
    if most < 2.0:
        return 1
    limit = _limit()
    return <int>most if most < limit else limit


def get_num_threads():
    """Return the number of threads that a call may use.

    Returns
    -------
    int
        At least 1; 1 in a child process after ``fork()``, inside a parallel region and in a build without
        OpenMP.
    """
    return _limit()


def set_num_threads(n):
    """Set the number of threads that a call may use; no result depends on it.

    Parameters
    ----------
    n : int
        At least 1. A build without OpenMP, and a child process after ``fork()``, stay at 1.

    Raises
    ------
    TypeError
        If `n` is not an integer.
    ValueError
        If `n` is below 1 or above 1024.
    """
    global _num_threads
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"set_num_threads: n must be an integer, got {type(n).__name__}")
    n = n.__index__()
    if not 1 <= n <= 1024:
        raise ValueError(f"set_num_threads: n must be between 1 and 1024, got {n}")
    _num_threads = n if openmp() else 1


def _after_fork():
    global _forked
    _forked = 1


_num_threads = processors() if openmp() else 1
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
