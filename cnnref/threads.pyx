"""How many threads a call may use.

The count starts as the number of processors this process may use: its affinity, its container's quota,
``OMP_NUM_THREADS`` (see ``_limits.py``). A count that the OpenMP runtime has been given since, as threadpoolctl
does, lowers it for the calling thread; a call from inside a parallel region runs on one thread. No result
depends on any of this. After ``fork()`` a child runs on one thread, because the OpenMP runtime's team does not
survive the fork.

An OpenMP runtime ends the process where it cannot start a thread: few processes allowed (``RLIMIT_NPROC``, a control
group's ``pids.max``), little address space. So before a team grows, the threads that it lacks are started and joined
here (``_start.h``); the call runs on those that there were, down to one. One thread at a time does so, and has the
runtime start its own before another one may: the rest of the process cannot take what was found to be free. A few are
started at a time, as many as the C library keeps the stacks of: the runtime's threads are given those. Another process
can still take a place, and so can a thread of this one that allocates its memory in those microseconds. The runtime keeps a
team for each calling thread until a smaller one is opened; a team that it has costs no look. After a refusal nothing is
tried for a second.

A kernel that may run for long asks between pieces of work whether its call is to stop. In the main thread that lets
Python's signal handlers run, ten times a second; Ctrl-C then ends the call with KeyboardInterrupt and no result. Calls
from other threads are not stopped, as signals are the main thread's.
"""

import os
import threading

from cython.parallel cimport prange

from cnnref.checks.arrays cimport index, shown

from cnnref._limits import forget_unreadable, processors, stack_size
from cnnref._processor import openmp

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #else
    static int omp_get_max_threads(void) { return 1; }
    static int omp_in_parallel(void) { return 0; }
    #endif
    #include <time.h>
    #include <pythread.h>
    #ifdef CLOCK_MONOTONIC_COARSE
    #define CNNREF_CLOCK CLOCK_MONOTONIC_COARSE
    #else
    #define CNNREF_CLOCK CLOCK_MONOTONIC
    #endif
    static long long milliseconds(void) {
        struct timespec now;
        clock_gettime(CNNREF_CLOCK, &now);
        return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
    }
    static int read_flag(const int *flag) { return __atomic_load_n(flag, __ATOMIC_RELAXED); }
    static void write_flag(int *flag, int value) { __atomic_store_n(flag, value, __ATOMIC_RELAXED); }
    """
    int omp_get_max_threads() noexcept nogil
    int omp_in_parallel() noexcept nogil
    long long milliseconds() noexcept nogil
    unsigned long PyThread_get_thread_ident() noexcept nogil
    int read_flag(const int* flag) noexcept nogil
    void write_flag(int* flag, int value) noexcept nogil
    int PyErr_CheckSignals()
    int PyGILState_Check() noexcept nogil
    void* PyErr_Occurred()

cdef extern from "_start.h":
    int team_held
    void lock_start() noexcept nogil
    void unlock_start() noexcept nogil
    int started_at_once(size_t stack) noexcept nogil
    int startable(int wanted, size_t stack) noexcept nogil
    int open_team(int threads) noexcept nogil

# Starting and joining a team costs a few microseconds; below this many operations (multiply-adds, or
# elements moved) one thread is done sooner.
cdef double WORK_PER_THREAD = 60e3

cdef int _num_threads = 1
cdef int _forked = 0
_num_threads = processors() if openmp() else 1
forget_unreadable()  # before the runtime's first call
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
    """The number of threads that a call with `work` operations is worth, at most the count set; they are `ready`."""
    cdef double most = work / WORK_PER_THREAD
    cdef int limit
    if most < 2.0:
        return 1
    limit = _limit()
    return ready(<int>most if most < limit else limit)


cdef int ready(int team) noexcept nogil:
    """How many threads, at most `team`, a region may open now without the runtime having to start one.

    For a region that is not the next one after its `team_size`: between them another team may have been opened.
    """
    global team_held
    if team > team_held:
        return grown(team)
    if team > 1:
        team_held = team
    return team


cdef enum:
    # Milliseconds between looks for signals: the wait for the interpreter's lock is then lost in them.
    LOOK = 100
    # Milliseconds until threads are asked for again after they were refused.
    REFUSED = 1000

cdef size_t _stack = stack_size()
cdef long long _next_start = 0


cdef int grown(int team) noexcept nogil:
    """`ready` where the runtime's team of this thread is smaller."""
    global team_held, _next_start
    cdef int found = 1, most = started_at_once(_stack)
    lock_start()
    if milliseconds() >= _next_start:
        while team_held < team and found > 0:
            found = startable(min(most, team - team_held), _stack)
            if found > 0:
                team_held = open_team(team_held + found)
        if team_held < team:
            _next_start = milliseconds() + REFUSED
    unlock_start()
    return team_held

# Operations between looks at whether a call is to stop: a millisecond or so.
cdef double WORK_PER_PIECE = 4e6


cdef Py_ssize_t pieces(double work, int threads) noexcept nogil:
    """Into how many equal pieces, one `stopped` before each, a call of `work` operations on `threads` threads is cut.

    A multiple of the threads, so that each has as many; 1 for a call that one thread does at once.
    """
    return threads * (1 + <Py_ssize_t>(work / (threads * WORK_PER_PIECE)))


cdef unsigned long _main = 0
cdef int _stop = 0
cdef int _never = 0
cdef long long _next_look = 0


cdef const int* watch() noexcept nogil:
    """What `stopped` is to be asked with during a call; taken by the thread that was called.

    Of all calls in progress at most one is the main thread's, so that one flag is enough.
    """
    if PyThread_get_thread_ident() != _main:
        return &_never
    write_flag(&_stop, 0)
    return &_stop


cdef bint stopped(const int* watched) noexcept nogil:
    """Whether the call is to stop; its function then answers -1 and ends in `fail`. A few nanoseconds."""
    if watched == &_never:
        return False
    if read_flag(&_stop) == 0 and PyThread_get_thread_ident() == _main and milliseconds() >= _next_look:
        look()
    return read_flag(&_stop) != 0


cdef void look() noexcept nogil:
    """Run the handlers of signals that have come; the exception of one stays set, for `fail`."""
    global _next_look
    if PyGILState_Check():  # a brief call: the interpreter runs them as soon as it is over
        return
    with gil:
        if PyErr_CheckSignals() < 0:
            write_flag(&_stop, 1)
    _next_look = milliseconds() + LOOK


cdef inline Py_ssize_t share(Py_ssize_t count, Py_ssize_t piece, Py_ssize_t several) noexcept nogil:
    """Where a piece of several begins: ``count * piece // several`` without its product."""
    return count // several * piece + count % several * piece // several


cdef int in_parts(part_of part, const void* job, Py_ssize_t count, double work, int threads) noexcept nogil:
    """All `count` parts of a job of `work` operations, a piece at a time; -1 where the call is to stop."""
    cdef Py_ssize_t piece, several = pieces(work, threads)
    cdef const int* watched
    cdef int status = 0
    if several == 1:
        part(job, 0, count)
        return 0
    watched = watch()
    for piece in prange(several, num_threads=threads, use_threads_if=threads > 1, schedule="static"):
        if stopped(watched):
            status += -1
        else:
            part(job, share(count, piece, several), share(count, piece + 1, several))
    return status


cdef int fail(str message) except -1:
    """Raise why a kernel answered -1: what a signal's handler raised, or MemoryError."""
    if PyErr_Occurred() != NULL:
        return -1
    raise MemoryError(message)


def get_num_threads():
    """Return the number of threads that a call may use.

    Returns
    -------
    int
        At least 1; 1 in a child process after ``fork()``, inside a parallel region and in a build without
        OpenMP.

    Examples
    --------
    >>> cnnref.get_num_threads() >= 1
    True
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

    Examples
    --------
    >>> before = cnnref.get_num_threads()
    >>> cnnref.set_num_threads(1)
    >>> cnnref.get_num_threads()
    1
    >>> cnnref.set_num_threads(before)
    """
    global _num_threads
    n = index("set_num_threads", "n", n)
    if not 1 <= n <= 1024:
        raise ValueError(f"set_num_threads: n must be between 1 and 1024, got {shown(n)}")
    _num_threads = n if openmp() else 1


def _after_fork():
    global _forked, _main
    _forked = 1
    _main = PyThread_get_thread_ident()


_main = threading.main_thread().ident
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
