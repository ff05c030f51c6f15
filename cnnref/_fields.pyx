"""Caches and hyperparameters: the fields of a named tuple, the keys of a mapping, exactly those of the contract."""

from collections.abc import Mapping

from cpython.object cimport PyObject

from cnnref._mistakes import refuse_pair

cdef extern from "Python.h":
    ctypedef struct PyTypeObject:
        object (*tp_alloc)(PyTypeObject* kind, Py_ssize_t count)

    void Py_INCREF(object x)
    void PyTuple_SET_ITEM(object x, Py_ssize_t i, object value)
    PyObject* PyDict_GetItemWithError(dict mapping, object key) except? NULL


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
    if type(cache) is tuple:
        refuse_pair(function, cache)
    if isinstance(cache, tuple):
        if len(<tuple>cache) != len(names):
            raise ValueError(
                f"{function}: cache must have the {len(names)} fields ({', '.join(names)}),"
                f" got a tuple of {len(<tuple>cache)}"
            )
        return cache if type(cache) is tuple else tuple(cache)
    return _by_key(function, "cache", cache, names, "a cache of the forward function, a tuple or a mapping")


cdef tuple entries(str function, object hparameters, tuple names, tuple optional=(), tuple defaults=()):
    """The values of `names` in `hparameters`, then those of `optional`, with `defaults` for what is not given.

    `hparameters` has no other key.
    """
    cdef tuple required = _required(function, "hparameters", hparameters, names, "a mapping")
    cdef list rest
    cdef Py_ssize_t others = len(hparameters) - len(names)
    cdef int j
    if others == 0:
        return required + defaults
    rest = list(defaults)
    for j in range(len(optional)):
        if optional[j] in hparameters:
            rest[j] = hparameters[optional[j]]
            others -= 1
    if others != 0:
        raise _too_many(function, "hparameters", hparameters, names + optional)
    return required + tuple(rest)


cdef tuple _by_key(str function, str name, object mapping, tuple names, str expected):
    cdef tuple values = _required(function, name, mapping, names, expected)
    if len(mapping) != len(names):
        raise _too_many(function, name, mapping, names)
    return values


cdef tuple _of_dict(dict mapping, tuple names):
    """The values of `names`, or None if one is missing."""
    cdef PyObject* first
    cdef PyObject* second
    if len(names) == 2:  # a window's: the usual ones
        first = PyDict_GetItemWithError(mapping, names[0])
        second = PyDict_GetItemWithError(mapping, names[1])
        return None if first == NULL or second == NULL else (<object>first, <object>second)
    for key in names:
        if key not in mapping:
            return None
    return tuple([mapping[key] for key in names])


cdef tuple _required(str function, str name, object mapping, tuple names, str expected):
    cdef str key
    cdef list values
    if type(mapping) is dict:
        found = _of_dict(mapping, names)
        if found is not None:
            return found
    values = []
    if not (isinstance(mapping, dict) or isinstance(mapping, Mapping)):
        raise TypeError(f"{function}: {name} must be {expected}, got {type(mapping).__name__}")
    for key in names:
        if key not in mapping:
            raise ValueError(
                f"{function}: {name} must have the keys {', '.join(names)},"
                f" got {', '.join(map(str, mapping)) or 'none'} ({key} is missing)"
            )
        values.append(mapping[key])
    return tuple(values)


cdef object _too_many(str function, str name, object mapping, tuple names):
    return ValueError(
        f"{function}: {name} must have only the keys {', '.join(names)},"
        f" got also {', '.join(str(key) for key in mapping if key not in names)}"
    )
