"""Caches and hyperparameters: the fields of a named tuple, the keys of a mapping, exactly those of the contract.

Each is read once, into references of the call's own: what a key's ``__eq__`` or a mapping's methods change meanwhile
changes nothing that was read. A tuple's fields are those that it holds, whatever its class says of them.
"""

from collections.abc import Mapping

from cpython.object cimport PyObject

from cnnref.checks.mistakes import described, meant, refuse_keywords, refuse_pair

cdef extern from "Python.h":
    ctypedef struct PyTypeObject:
        object (*tp_alloc)(PyTypeObject* kind, Py_ssize_t count)

    void Py_INCREF(object x)
    void PyTuple_SET_ITEM(object x, Py_ssize_t i, object value)
    PyObject* PyDict_GetItemWithError(dict mapping, object key) except? NULL
    tuple PyTuple_GetSlice(object values, Py_ssize_t begin, Py_ssize_t end)


cdef object named(type kind, tuple values):
    """A named tuple of `kind` with so many fields, without the arguments of a call."""
    cdef object made = (<PyTypeObject*>kind).tp_alloc(<PyTypeObject*>kind, len(values))
    cdef Py_ssize_t i
    for i in range(len(values)):
        Py_INCREF(values[i])
        PyTuple_SET_ITEM(made, i, values[i])
    return made


def named_tuple(type kind, tuple values):
    """`named`, for Python callers."""
    return named(kind, values)


cdef tuple fields(str function, object cache, tuple names):
    """The values of `names` in a cache: a tuple with these fields in this order, or a mapping with these keys."""
    cdef tuple values
    if type(cache) is tuple:
        refuse_pair(function, cache)
    if isinstance(cache, tuple):
        if len(<tuple>cache) != len(names):
            raise ValueError(
                f"{function}: cache must have the {len(names)} fields ({', '.join(names)}),"
                f" got a tuple of {len(<tuple>cache)}"
            )
        return cache if type(cache) is tuple else PyTuple_GetSlice(cache, 0, len(names))
    cache = _copy(function, "cache", cache, "a cache of the forward function, a tuple or a mapping")
    values = _required(function, "cache", cache, names)
    if len(<dict>cache) != len(names):
        raise _too_many(function, "cache", cache, names)
    return values


cdef dict own(str function, object hparameters, str usual=""):
    """A copy of `hparameters`: what a mapping of the caller's own making is read as; `usual` is an example of keywords."""
    cdef str otherwise = f"; or give its keys as keywords, as in {usual}" if usual else ""
    return _copy(function, "hparameters", hparameters, "a mapping", otherwise)


cdef dict asked(str function, object hparameters, dict keywords, str usual):
    """What a cache keeps: a copy of `hparameters`, or in its place the call's `keywords`; `usual` is an example of these."""
    if len(keywords) == 0 and hparameters is not None:
        return own(function, hparameters, usual)
    if len(keywords) == 0 or hparameters is not None:
        refuse_keywords(function, keywords, usual)
    return keywords


cdef dict _copy(str function, str name, object mapping, str expected, str otherwise=""):
    if type(mapping) is not dict and not isinstance(mapping, dict) and not isinstance(mapping, Mapping):
        raise TypeError(f"{function}: {name} must be {expected}, got {described(mapping)}{otherwise}")
    return dict(mapping)


cdef tuple entries(str function, object hparameters, tuple names, tuple optional=(), tuple defaults=()):
    """The values of `names` in `hparameters`, then those of `optional`, with `defaults` for what is not given.

    `hparameters` has no other key.
    """
    cdef dict mapping = hparameters if type(hparameters) is dict else own(function, hparameters)
    cdef tuple required = _required(function, "hparameters", mapping, names)
    cdef list rest
    cdef Py_ssize_t others = len(mapping) - len(names)
    cdef PyObject* found
    cdef int j
    if others == 0:
        return required + defaults
    rest = list(defaults)
    for j in range(len(optional)):
        found = PyDict_GetItemWithError(mapping, optional[j])
        if found != NULL:
            rest[j] = <object>found
            others -= 1
    if others != 0:
        raise _too_many(function, "hparameters", mapping, names + optional)
    return required + tuple(rest)


cdef tuple _required(str function, str name, dict mapping, tuple names):
    """The values of `names`; each is owned before the next is looked for, which may run a key's ``__eq__``."""
    cdef PyObject* found
    cdef object first, second
    cdef list values
    if len(names) == 2:  # a window's: the usual ones
        found = PyDict_GetItemWithError(mapping, names[0])
        if found != NULL:
            first = <object>found
            found = PyDict_GetItemWithError(mapping, names[1])
            if found != NULL:
                second = <object>found
                return first, second
    values = []
    for key in names:
        found = PyDict_GetItemWithError(mapping, key)
        if found == NULL:
            raise ValueError(
                f"{function}: {name} must have the keys {', '.join(names)},"
                f" got {', '.join(map(str, list(mapping))) or 'none'} ({key} is missing)"
                + meant([other for other in list(mapping) if other not in names], (key,))
            )
        values.append(<object>found)
    return tuple(values)


cdef object _too_many(str function, str name, dict mapping, tuple names):
    cdef list others = [key for key in list(mapping) if key not in names]
    return ValueError(
        f"{function}: {name} must have only the keys {', '.join(names)},"
        f" got also {', '.join(map(str, others))}" + meant(others, names)
    )
