"""How many threads a call may use.

The count starts as the number of processors this process may run on (its affinity), at most
``OMP_NUM_THREADS`` where that is set. No result depends on it. After ``fork()`` a child runs on one
thread, because the OpenMP runtime's team does not survive the fork.
"""

import os

from cnnref._processor import openmp

# Starting and joining a team costs a few microseconds; below this many operations (multiply-adds, or
# elements moved) one thread is done sooner.
cdef double WORK_PER_THREAD = 60e3

cdef int _num_threads = 1
cdef int _forked = 0


cdef int team_size(double work) noexcept nogil:
    """The number of threads that a call with `work` operations is worth, at most the count set."""
    cdef double most = work / WORK_PER_THREAD
    if _forked or most < 2.0 or _num_threads < 2:
        return 1
    if most < _num_threads:
        return <int>most
    return _num_threads


def _default():
    if not openmp():
        return 1
    try:
        processors = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        processors = os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if limit.isdigit() and int(limit) > 0:
        return min(processors, int(limit))
    return processors


def get_num_threads():
    """Return the number of threads that a call may use.

    Returns
    -------
    int
        At least 1; 1 in a child process after ``fork()`` and in a build without OpenMP.
    """
    return 1 if _forked else _num_threads


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


_num_threads = _default()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
