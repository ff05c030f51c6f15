"""The caches of this processor, taken once at import, that blocks of working memory are cut for.

Where they end decides how fast a call is and nothing else: sums are kept between blocks, so no bit depends on it.
"""

from cnnref._limits import cache_sizes

cdef enum:
    # Of the second level, what blocks are cut for at the least and at the most.
    LEAST = 131072
    MOST = 4194304

cdef Py_ssize_t _second = 0
cdef Py_ssize_t _last = 0


cdef Py_ssize_t second_level() noexcept nogil:
    """Bytes of a core's second-level cache."""
    return _second


cdef Py_ssize_t last_level() noexcept nogil:
    """Bytes of the last cache before memory."""
    return _last


def taken():
    """What blocks are cut for: (second level, last level)."""
    return _second, _last


def take(second, last):
    """Take the caches to be as large as this, in bytes, and return what they were taken to be; no result depends on it."""
    global _second, _last
    before = taken()
    _second, _last = max(LEAST, min(second, MOST)), last
    return before


take(*cache_sizes())
