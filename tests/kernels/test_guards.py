"""Memory round the arguments: nothing before or after them is read into a result, nothing is written."""

import mmap
from functools import partial

import bits_table
import numpy as np
import pytest

import cnnref
from conformance.cases.case import Case
from conformance.generation.arrays import draw
from conformance.generation.generate import generate
from conformance.implementations.implementation import here
from conformance.operations import OPERATIONS

PATTERN = 0xA5


class Guarded:
    """A copy of an array between guard bytes, `offset` bytes off alignment."""

    def __init__(self, array, offset, fill):
        self.size, self.room = array.nbytes, 256
        self.memory = np.full(self.size + 2 * self.room, fill, np.uint8)
        base = -self.memory.ctypes.data % 64 + 64 + offset
        self.base, self.fill = base, fill
        self.array = self.memory[base : base + self.size].view(array.dtype).reshape(array.shape)
        self.array[...] = array

    def whole(self):
        before, after = self.memory[: self.base], self.memory[self.base + self.size :]
        return bool((before == self.fill).all() and (after == self.fill).all())


def cases():
    yield from (c for c in generate(OPERATIONS.values(), ("f32", "f64"), 25, 11) if 0 not in extents(c))


def extents(case):
    return [value for name, value in case.params if isinstance(value, int) and name in "mhwcfkion"]


class Raw:
    """cnnref with its arrays as they come: `Implementation.call` would copy them into memory of its own."""

    def __init__(self):
        self.implementation = here("cnnref")

    def __call__(self, case, arrays):
        from conformance.implementations.calls import ask, named

        request = self.implementation.request(case, arrays)
        return named(request, ask(self.implementation, request, arrays))


def called():
    """(what, arrays, function of the arrays that gives the outputs by name) of each case."""
    call = Raw()
    for case in cases():
        yield str(case), draw(case), partial(call, case)


def digests(run, arrays):
    return {name: bits_table.digest(x) for name, x in run(arrays).items()}


@pytest.mark.parametrize("offset", [0, 4, 8, 1, 7, 36])
def test_guard_bytes_stay_and_do_not_matter(offset):
    for what, arrays, run in called():
        expected = digests(run, arrays)
        # 0xFF is NaN in either dtype: one value read from outside would show.
        for fill in (PATTERN, 0xFF):
            guarded = {n: Guarded(a, offset, fill) for n, a in arrays.items() if a.ndim}
            given = {n: guarded[n].array if n in guarded else a for n, a in arrays.items()}
            assert digests(run, given) == expected, f"{what}, {offset} bytes off"
            assert all(g.whole() for g in guarded.values()), f"{what}: wrote outside an argument"
            assert all(np.array_equal(g.array, arrays[n], equal_nan=True) for n, g in guarded.items())


def at_the_end_of_a_page(array):
    """A copy that ends where readable memory ends; what follows kills the process that reads it."""
    import ctypes

    page = mmap.PAGESIZE
    room = (array.nbytes + page - 1) // page * page
    memory = mmap.mmap(-1, room + page)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(base + room), ctypes.c_size_t(page), 0) == 0
    start = room - array.nbytes
    copy = np.frombuffer(memory, array.dtype, array.size, start).reshape(array.shape)
    copy[...] = array
    return copy


@pytest.mark.skipif(not hasattr(mmap, "PROT_READ"), reason="no protected pages here")
def test_nothing_is_read_behind_the_last_element():
    """Arguments end at a page that may not be read; in a process of its own, since a fault would kill it."""
    import multiprocessing

    process = multiprocessing.get_context("spawn").Process(target=_protected, daemon=True)
    process.start()
    process.join(120)
    assert process.exitcode == 0


def _protected():
    for what, arrays, run in called():
        expected = digests(run, arrays)
        given = {n: at_the_end_of_a_page(a) if a.ndim else a for n, a in arrays.items()}
        assert digests(run, given) == expected, what


def test_outputs_are_memory_of_their_own():
    """Nothing returned, bar the cache, shares memory with an argument: writing to it changes no input."""
    for what, arrays, run in called():
        for name, value in run(arrays).items():
            if isinstance(value, np.ndarray):
                assert not any(np.shares_memory(value, a) for a in arrays.values()), f"{what} {name}"
                assert value.flags.c_contiguous
                assert value.flags.writeable


def test_the_guards_see_a_write_and_a_read():
    array = np.arange(8, dtype=np.float32)
    guarded = Guarded(array, 4, PATTERN)
    assert guarded.whole()
    assert guarded.array.ctypes.data % 8 == 4
    outside = guarded.memory[guarded.base + guarded.size :]
    outside[0] = 0
    assert not guarded.whole()
    assert np.isnan(Guarded(array, 0, 0xFF).memory[:64].view(np.float32)).all()


def test_more_threads_than_samples_or_rows():
    before = cnnref.get_num_threads()
    call, case = Raw(), Case.parse("conv_backward:f32:m1h45w43c3_f5k65_s2p2:normal:7")
    try:
        found = []
        for count in (1, 64):
            cnnref.set_num_threads(count)
            found.append({name: bits_table.digest(x) for name, x in call(case, draw(case)).items()})
        assert found[0] == found[1]
    finally:
        cnnref.set_num_threads(before)
