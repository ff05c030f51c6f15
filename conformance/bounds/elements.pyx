"""One pass over the elements of an output: how far each is off, and which one is worst.

Everything is float64 and rounded operation by operation, as NumPy rounds it.
"""

cimport numpy as cnp
from libc.math cimport INFINITY, fabs, isfinite, isinf, isnan
from libc.stdint cimport uint64_t
from libc.string cimport memcpy
from numpy cimport ndarray

import numpy as np

cnp.import_array()

ctypedef fused real:
    float
    double

cdef extern from *:
    """
    #define EXPONENT 0x7FF0000000000000ULL
    /* More than two roundings below 1: what is below a product by that is below it without them. */
    #define LESS (1 - 0x1p-50)
    """
    const uint64_t EXPONENT
    const double LESS


cdef struct Grid:
    # The numbers of a dtype: its smallest normal number, the power of two at or below its largest, epsilon, and
    # from where on a true value with its limit may be infinite in it.
    double tiny, top, eps, overflow


cdef struct Found:
    # Elements, and what was found of them; `foreign` and the places are flat, -1 where there is none.
    Py_ssize_t unequal, foreign, worst, exceeding, suspect
    double ulps, share, suspicion


cdef inline double spacing(double size, Grid* grid) noexcept nogil:
    """The distance between neighbouring numbers at `size`; see `bounds.storage.spacing`."""
    cdef double power
    cdef uint64_t bits
    memcpy(&bits, &size, sizeof(double))
    bits &= EXPONENT  # the exponent alone is the power of two at or below a number
    memcpy(&power, &bits, sizeof(double))
    if power < grid.tiny:
        power = grid.tiny
    if power > grid.top:
        power = grid.top
    return power * grid.eps


cdef inline double sign(double x) noexcept nogil:
    return (x > 0) - (x < 0)


cdef inline bint strange(double got, double expected, double limit, double overflow) noexcept nogil:
    """Whether NaN or an infinity stands on one side only, of two that are not equal.

    An infinity is right where the true value, or one within the limit of it, is beyond the largest number of the
    dtype: rounding to nearest gives it then.
    """
    if isfinite(got) and isfinite(expected) or isnan(got) and isnan(expected):
        return False
    # Where a partial sum may overflow, so may it on both sides: inf - inf.
    if isinf(limit) and isfinite(expected):
        return False
    if isinf(got) and fabs(expected) + limit >= overflow:
        return not (sign(got) == sign(expected) or limit >= overflow)
    return True


cdef void look(
    real* got, double* expected, Py_ssize_t size, double* limit, Py_ssize_t step, double* random, Py_ssize_t stride,
    Grid* grid, Found* found,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double value, wanted, error, share, unit, most
    for i in range(size):
        value, wanted = got[i], expected[i]
        if value == wanted:
            continue
        found.unequal += 1
        error, most = fabs(value - wanted), known(limit[i * step])
        if not error < INFINITY:  # equal infinities, NaN where NaN belongs, or neither
            if strange(value, wanted, most, grid.overflow):
                found.foreign = i
                return
            continue
        found.exceeding += error > most
        if not error < found.share * most * LESS:
            share = error / most
            if share > found.share:
                found.share, found.worst = share, i
        unit = spacing(wanted, grid)
        if error >= found.ulps * unit and error / unit > found.ulps:
            found.ulps = error / unit
        if not random:
            continue
        most = known(random[i * stride])
        if not error < found.suspicion * most * LESS:
            share = error / most
            if share > found.suspicion:
                found.suspicion, found.suspect = share, i


cdef inline bint lies(object x, int typenum):
    """Whether `x` is an array of that dtype, one element after the other."""
    return (
        cnp.PyArray_Check(x) and cnp.PyArray_TYPE(<ndarray> x) == typenum
        and cnp.PyArray_IS_C_CONTIGUOUS(<ndarray> x) and cnp.PyArray_ISNOTSWAPPED(<ndarray> x)
        and cnp.PyArray_ISALIGNED(<ndarray> x)
    )


cdef ndarray plain(object x):
    """`x` in float64, one element after the other."""
    return x if lies(x, cnp.NPY_DOUBLE) else np.array(x, np.float64, order="C")


cdef ndarray like(ndarray x):
    """New float64 memory of the shape of `x`."""
    return cnp.PyArray_EMPTY(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.NPY_DOUBLE, 0)


cdef double greatest_number(ndarray x):
    """The largest element that is no NaN, at least 0: a row of NaN says nothing of the others."""
    cdef double* of = data(x)
    cdef double found = 0
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_SIZE(x)):
        if of[i] > found:
            found = of[i]
    return found


cdef double greatest(ndarray x):
    """The largest element, at least 0; NaN if there is one."""
    cdef double* of = data(x)
    cdef double found = 0
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_SIZE(x)):
        if of[i] > found or isnan(of[i]):
            found = of[i]
            if isnan(found):
                break
    return found


cdef ndarray readable(object x):
    """`x` in float32 if it is that, else in float64, one element after the other."""
    return x if lies(x, cnp.NPY_FLOAT) else plain(x)


cdef Numbers numbers(ndarray x):
    """The elements of what `readable` gives."""
    return Numbers(cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT, cnp.PyArray_DATA(x))


cdef tuple place(ndarray x, Py_ssize_t flat):
    """The index of an element."""
    cdef int axis
    index = []
    for axis in range(cnp.PyArray_NDIM(x) - 1, -1, -1):
        index.append(flat % cnp.PyArray_DIM(x, axis))
        flat //= cnp.PyArray_DIM(x, axis)
    return tuple(index[::-1])


cdef ndarray limits(object limit, ndarray expected):
    """`limit` in float64: one number, or one for each element of `expected`."""
    cdef ndarray found = plain(limit)
    if cnp.PyArray_NDIM(found) and not cnp.PyArray_SAMESHAPE(found, expected):
        return plain(np.broadcast_to(found, (<object> expected).shape))
    return found


def compared(object got, object expected, object limit, object statistical, tuple grid):
    """How far the elements of an output are off.

    Parameters
    ----------
    got : ndarray or float
        An output, of at least one element.
    expected : ndarray of float64
        The right one, of that shape.
    limit : ndarray of float64
        The largest error of each element; broadcasts.
    statistical : ndarray of float64 or None
        A second limit.
    grid : tuple of four float
        Of the dtype: its smallest normal number, the power of two at or below its largest, epsilon, and from
        where on a true value with its limit may be infinite in it.

    Returns
    -------
    unequal : int
        How many are not equal.
    exceeding : int
        How many of them are beyond the limit; -1 if NaN or an infinity stands on one side only.
    ulps, share : float
        The largest error in spacings of the dtype, and the largest share of the limit, where 0 / 0 is 0.
    index : tuple of int
        Where that is; or where NaN or the infinity stands first.
    expected, got : float
        The two values there.
    suspicion : tuple of (float, tuple of int, float, float) or None
        The largest share of the second limit, where it is, and the two values there.
    """
    cdef ndarray wanted = plain(expected), most = limits(limit, wanted), values = readable(got), random
    cdef Py_ssize_t size = cnp.PyArray_SIZE(wanted), at
    cdef Found found = Found(0, -1, 0, 0, 0, 0.0, 0.0, 0.0)
    cdef Grid of_dtype = Grid(grid[0], grid[1], grid[2], grid[3])
    cdef Numbers have = numbers(values)
    cdef double* first = <double*> cnp.PyArray_DATA(most)
    cdef double* second = NULL
    cdef Py_ssize_t step = cnp.PyArray_NDIM(most) > 0, stride = 0
    if not cnp.PyArray_SAMESHAPE(values, wanted):
        raise ValueError(f"compared: shape is {(<object> values).shape}, expected {(<object> wanted).shape}")
    if statistical is not None:
        random = limits(statistical, wanted)
        second, stride = <double*> cnp.PyArray_DATA(random), cnp.PyArray_NDIM(random) > 0
    if have.single:
        look(
            <float*> have.data, <double*> cnp.PyArray_DATA(wanted), size, first, step, second, stride,
            &of_dtype, &found,
        )
    else:
        look(
            <double*> have.data, <double*> cnp.PyArray_DATA(wanted), size, first, step, second, stride,
            &of_dtype, &found,
        )
    at = found.foreign if found.foreign >= 0 else found.worst
    suspicion = None
    if second and found.foreign < 0:
        suspicion = (found.suspicion, place(wanted, found.suspect), *both(wanted, have, found.suspect))
    return (
        found.unequal, found.exceeding if found.foreign < 0 else -1, found.ulps, found.share, place(wanted, at),
        *both(wanted, have, at), suspicion,
    )


cdef tuple both(ndarray wanted, Numbers have, Py_ssize_t at):
    """The two values at a flat place."""
    return (<double*> cnp.PyArray_DATA(wanted))[at], number(have, at)
