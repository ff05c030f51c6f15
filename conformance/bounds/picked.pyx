"""Single terms of sums, gathered for `conformance.bounds.terms`, and how many of them a limit lets us see.

A term comes with the flat place of the element that it is added to.
"""

cimport numpy as cnp
from libc.math cimport INFINITY, fabs, isfinite, isnan
from numpy cimport ndarray

from conformance.bounds.elements cimport Numbers, limits, number, numbers, plain, readable

cnp.import_array()

ctypedef Py_ssize_t Size


cdef struct Gathered:
    # Terms and their places, `count` so far.
    double* term
    cnp.int64_t* place
    Size count


cdef tuple room(Gathered* found, Size most):
    """Arrays for so many terms and places."""
    cdef cnp.npy_intp size = most
    cdef ndarray terms = cnp.PyArray_EMPTY(1, &size, cnp.NPY_DOUBLE, 0)
    cdef ndarray places = cnp.PyArray_EMPTY(1, &size, cnp.NPY_INT64, 0)
    found.term, found.place = <double*> cnp.PyArray_DATA(terms), <cnp.int64_t*> cnp.PyArray_DATA(places)
    found.count = 0
    return terms, places


cdef inline void add(Gathered* found, double term, Size place) noexcept nogil:
    found.term[found.count] = term
    found.place[found.count] = place
    found.count += 1


cdef tuple whole(tuple room, Gathered* found):
    """What of them is filled."""
    return room[0][: found.count], room[1][: found.count]


cdef inline double* steps(ndarray sequence) except NULL:
    """The quasi-random sequence: one row for each extent."""
    if cnp.PyArray_NDIM(sequence) != 2 or cnp.PyArray_TYPE(sequence) != cnp.NPY_DOUBLE:
        raise ValueError("the sequence has two axes of float64")
    return <double*> cnp.PyArray_DATA(sequence)


cdef ndarray of_size(str name, object x, Size size):
    cdef ndarray found = readable(x)
    if cnp.PyArray_SIZE(found) != size:
        raise ValueError(f"{name} has {cnp.PyArray_SIZE(found)} elements, expected {size}")
    return found


def convolution(
    ndarray sequence, tuple extents, tuple down, tuple across, Size channels, bint turned, object A_prev, object W,
    object dZ,
):
    """Terms of each output of a convolution.

    Parameters
    ----------
    sequence : ndarray of float64
        ``(7, terms)``, from 0 to 1.
    extents : tuple of int
        Samples, rows and columns of windows, rows and columns of taps, channels of a group, filters.
    down, across : tuple of int
        Of the rows and of the columns: stride, dilation, padding before, extent of what the windows read.
    channels : int
        Channels of what the windows read.
    turned : bool
        Whether the windows are written, and `A_prev` has an element for each of them.
    A_prev, W, dZ : ndarray
        `dZ` is None for a forward function.
    """
    cdef Size m, rows, columns, height, width, of_group, filters
    cdef Size s_down, d_down, before_down, n_down, s_across, d_across, before_across, n_across
    m, rows, columns, height, width, of_group, filters = extents
    s_down, d_down, before_down, n_down = down
    s_across, d_across, before_across, n_across = across
    cdef Size windows = m * rows * columns * filters, image = m * n_down * n_across * channels
    cdef Size group = max(filters * of_group // channels, 1), count = cnp.PyArray_DIM(sequence, 1), j
    cdef Size i, r, q, y, x, c, k, h, w, of_window, of_image, of_filter, source, target
    cdef double* at = steps(sequence)
    cdef bint backward = dZ is not None
    cdef ndarray a = of_size("A_prev", A_prev, windows if turned else image)
    cdef ndarray b = of_size("W", W, height * width * of_group * filters)
    cdef ndarray g = of_size("dZ", dZ, image if turned else windows) if backward else b
    cdef Numbers A = numbers(a), F = numbers(b), G = numbers(g)
    cdef double up
    cdef Gathered first, second, third
    cdef tuple firsts = room(&first, count), seconds = room(&second, count), thirds = room(&third, count)
    for j in range(count):
        r, y = <Size> (at[count + j] * rows), <Size> (at[3 * count + j] * height)
        h = r * s_down - before_down + y * d_down
        if h < 0 or h >= n_down:
            continue
        q, x = <Size> (at[2 * count + j] * columns), <Size> (at[4 * count + j] * width)
        w = q * s_across - before_across + x * d_across
        if w < 0 or w >= n_across:
            continue
        i, c, k = <Size> (at[j] * m), <Size> (at[5 * count + j] * of_group), <Size> (at[6 * count + j] * filters)
        of_window = ((i * rows + r) * columns + q) * filters + k
        of_image = ((i * n_down + h) * n_across + w) * channels + c + k // group * of_group  # the filter's group
        of_filter = ((y * width + x) * of_group + c) * filters + k
        source, target = (of_window, of_image) if turned else (of_image, of_window)
        if not backward:
            add(&first, number(A, source) * number(F, of_filter), target)
            continue
        up = number(G, target)
        add(&first, up * number(F, of_filter), source)
        add(&second, number(A, source) * up, of_filter)
        add(&third, up, c + k // group * of_group if turned else k)
    if backward:
        return {"dA_prev": whole(firsts, &first), "dW": whole(seconds, &second), "db": whole(thirds, &third)}
    return {"Z": whole(firsts, &first)}


def affine(ndarray sequence, tuple extents, object A_prev, object W, object upstream):
    """Terms of each output of the affine layer; `extents` are samples, inputs, outputs."""
    cdef Size samples, inputs, outputs, m, i, o, j, count = cnp.PyArray_DIM(sequence, 1)
    samples, inputs, outputs = extents
    cdef double* at = steps(sequence)
    cdef bint backward = upstream is not None
    cdef ndarray a = of_size("A_prev", A_prev, samples * inputs), b = of_size("W", W, inputs * outputs)
    cdef ndarray g = of_size("upstream", upstream, samples * outputs) if backward else b
    cdef Numbers A = numbers(a), F = numbers(b), G = numbers(g)
    cdef double up
    cdef Gathered first, second, third
    cdef tuple firsts = room(&first, count), seconds = room(&second, count), thirds = room(&third, count)
    for j in range(count):
        m, i, o = <Size> (at[j] * samples), <Size> (at[count + j] * inputs), <Size> (at[2 * count + j] * outputs)
        if not backward:
            add(&first, number(A, m * inputs + i) * number(F, i * outputs + o), m * outputs + o)
            continue
        up = number(G, m * outputs + o)
        add(&first, up * number(F, i * outputs + o), m * inputs + i)
        add(&second, number(A, m * inputs + i) * up, i * outputs + o)
        add(&third, up, o)
    if backward:
        return {"dA_prev": whole(firsts, &first), "dW": whole(seconds, &second), "db": whole(thirds, &third)}
    return {"Z": whole(firsts, &first)}


def pooling(
    ndarray sequence, tuple extents, tuple down, tuple across, object divisors, object A_prev, object dA
):
    """Terms of a pool or of its gradient.

    Parameters
    ----------
    sequence : ndarray of float64
        ``(6 or more, terms)``, from 0 to 1.
    extents : tuple of int
        Samples, rows and columns of windows, channels, rows and columns of taps.
    down, across : tuple of int
        Of the rows and of the columns: stride, dilation, padding before, extent of the image.
    divisors : ndarray or None
        ``(rows, columns)``: what an average divides by; None for a maximum.
    A_prev, dA : ndarray
        `dA` is None for a forward function.
    """
    cdef Size m, rows, columns, channels, height, width
    cdef Size s_down, d_down, before_down, n_down, s_across, d_across, before_across, n_across
    m, rows, columns, channels, height, width = extents
    s_down, d_down, before_down, n_down = down
    s_across, d_across, before_across, n_across = across
    cdef Size count = cnp.PyArray_DIM(sequence, 1), j, i, r, q, c, y, x, h, w, of_window, of_image, taken, tap
    cdef double* at = steps(sequence)
    cdef bint average = divisors is not None, backward = dA is not None
    cdef ndarray a = of_size("A_prev", A_prev, m * n_down * n_across * channels)
    cdef ndarray g = of_size("dA", dA, m * rows * columns * channels) if backward else a
    cdef ndarray by = plain(of_size("divisors", divisors, rows * columns)) if average else None
    cdef double* divisor = <double*> cnp.PyArray_DATA(by) if average else NULL
    cdef Numbers A = numbers(a), G = numbers(g)
    cdef double best, value, share
    cdef Gathered found
    cdef tuple gathered = room(&found, count)
    for j in range(count):
        i, r, q = <Size> (at[j] * m), <Size> (at[count + j] * rows), <Size> (at[2 * count + j] * columns)
        c = <Size> (at[3 * count + j] * channels)
        if average:
            y, x = <Size> (at[4 * count + j] * height), <Size> (at[5 * count + j] * width)
            share = 1.0 / divisor[r * columns + q]
        else:
            share, taken, best = 1.0, 0, -INFINITY
            for tap in range(height * width):
                h = r * s_down - before_down + tap // width * d_down
                w = q * s_across - before_across + tap % width * d_across
                if h < 0 or h >= n_down or w < 0 or w >= n_across:
                    continue
                value = number(A, ((i * n_down + h) * n_across + w) * channels + c)
                if value > best or isnan(value):
                    taken, best = tap, value
                    if isnan(value):
                        break
            y, x = taken // width, taken % width
        h = r * s_down - before_down + y * d_down
        w = q * s_across - before_across + x * d_across
        if h < 0 or h >= n_down or w < 0 or w >= n_across:
            continue
        of_window = ((i * rows + r) * columns + q) * channels + c
        of_image = ((i * n_down + h) * n_across + w) * channels + c
        if backward:
            add(&found, number(G, of_window) * share, of_image)
        else:
            add(&found, number(A, of_image) * share, of_window)
    return {"dA_prev" if backward else "A": whole(gathered, &found)}


def pixels(ndarray sequence, tuple extents, object A_prev):
    """Terms of global average pooling; `extents` are samples, rows, columns, channels."""
    cdef Size samples, rows, columns, channels, i, h, w, c, j, count = cnp.PyArray_DIM(sequence, 1)
    samples, rows, columns, channels = extents
    cdef double* at = steps(sequence)
    cdef ndarray a = of_size("A_prev", A_prev, samples * rows * columns * channels)
    cdef Numbers A = numbers(a)
    cdef Gathered found
    cdef tuple gathered = room(&found, count)
    for j in range(count):
        i, h = <Size> (at[j] * samples), <Size> (at[count + j] * rows)
        w, c = <Size> (at[2 * count + j] * columns), <Size> (at[3 * count + j] * channels)
        add(&found, number(A, ((i * rows + h) * columns + w) * channels + c) / (rows * columns), i * channels + c)
    return {"A": whole(gathered, &found)}


def seen(object terms, object limit, object results, object places, double least):
    """How many terms count, and how many of them are above their limit.

    Parameters
    ----------
    terms : ndarray
        They count if they are finite and above `least`, and their result is finite.
    limit, results : ndarray of float64
        Of each element that they go to; `limit` broadcasts.
    places : ndarray of int64 or None
        The flat place of that element; None if each term is an element's own, or there is one element.
    least : float
        What is rounded to zero.

    Returns
    -------
    counted, above : int
    """
    cdef ndarray values = plain(terms), whole = plain(results), most = limits(limit, whole), where
    cdef double* term = <double*> cnp.PyArray_DATA(values)
    cdef double* result = <double*> cnp.PyArray_DATA(whole)
    cdef double* bound = <double*> cnp.PyArray_DATA(most)
    cdef cnp.int64_t* place = NULL
    cdef Size step = cnp.PyArray_NDIM(most) > 0, i, at, size = cnp.PyArray_SIZE(values), elements, counted = 0, above = 0
    cdef double of
    elements = cnp.PyArray_SIZE(whole)
    if places is not None:
        where = places
        if cnp.PyArray_TYPE(where) != cnp.NPY_INT64 or not cnp.PyArray_IS_C_CONTIGUOUS(where):
            raise ValueError("seen: the places are int64, one after the other")
        place = <cnp.int64_t*> cnp.PyArray_DATA(where)
    if (cnp.PyArray_SIZE(where) != size) if place else (elements not in (1, size)):
        raise ValueError(f"seen: {size} terms, places for {cnp.PyArray_SIZE(where) if place else elements}")
    for i in range(size):
        at = place[i] if place else i if elements > 1 else 0
        if at < 0 or at >= elements:
            raise ValueError(f"seen: place {at} of {elements} elements")
        of = fabs(term[i])
        if of < INFINITY and of > least and isfinite(result[at]):
            counted += 1
            above += of > bound[at * step]
    return counted, above
