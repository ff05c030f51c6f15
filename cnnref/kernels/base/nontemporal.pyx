"""When results are written past the caches: see ``nontemporal.pxd``.

A result that the last-level cache keeps is better left there for its reader. What a call reads and writes is taken
together, because the one pushes out the other. Measured with a cache of 32 MiB, plain stores' time over streaming ones',
for one array read and one written, and for two read and one written:

    MiB together    one thread      two threads
    16, 18          0.8, 1.1        0.5-0.8, 0.6
    24              1.1, 1.2        0.6-0.8, 0.8-1.2
    30, 32          1.3, 1.2        0.8-0.9, 1.2
    48, 64          1.3, 1.2        1.3, 1.2

A reader who comes at once pays for it where part of the result would have stayed: 16 MiB, written with as much read
twice, were then read in 0.24 ms after plain stores and 0.43 ms after streaming ones.
"""

from cnnref.kernels.base.caches cimport last_level

from cnnref.kernels.base.caches import take, taken

# Of the cache's size, what one thread's call and a team's may take together before results are streamed: two threads
# write more plain stores at a time than one, but no more streaming ones.
cdef double ALONE = 1
cdef double TEAM = 1.25


cdef bint past_caches(double bytes, int threads) noexcept nogil:
    """Whether a call on so many threads that reads and writes so many bytes, all told, is to stream its result."""
    return bytes >= last_level() * (ALONE if threads == 1 else TEAM)


def set_cache_size(size):
    """Take the last-level cache to hold `size` bytes, and return what it was taken to hold; no result depends on it."""
    second, _ = taken()
    return take(second, size)[1]
