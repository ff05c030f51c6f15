"""Caches and hyperparameters at the door, for the checks and the operation modules."""

cdef tuple fields(str function, object cache, tuple names)
cdef dict asked(str function, object hparameters, dict keywords, str usual)
cdef tuple entries(str function, object hparameters, tuple names, tuple optional=*, tuple defaults=*)
cdef object named(type kind, tuple values)
