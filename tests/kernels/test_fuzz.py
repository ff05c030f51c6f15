"""Every public function on random arguments: the contract's exceptions or the right answer, nothing else."""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import cnnref
from conformance.adapters import numpy_loops
from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.cases.operation import WORDS
from conformance.cases.window import possible, window_of
from conformance.generation.arrays import array_shapes
from conformance.implementations.calls import ask, named
from conformance.implementations.implementation import Implementation
from conformance.operations import OPERATIONS, having
from conformance.operations.call import resolved

MINE = Implementation("cnnref", cnnref, Arithmetic(), options=cnnref.options)
ORACLE = Implementation("numpy_loops", numpy_loops, Arithmetic(), options=numpy_loops.options)

#: Sums of small whole numbers are exact in any order; these functions also divide or take an exponential,
#: and are held to a few hundred roundings of the largest value instead.
INEXACT = {*having("inexact"), "global_average_pool_forward", "global_average_pool_backward"}

GOOD = ("<f4", "<f8", ">f4", ">f8", "i1", "<u2", "<i8", ">i4", "?")
BAD = ("<c8", "O", "U3", "S2", "M8[s]", "m8[s]", "V4", "<f16")
NUMBERS = (-1, 0, 2**31, 2**32 + 1, 2**62, 2**63 - 1, 2**63, -(2**70), 10**30)
JUNK = (None, "two", 1.0, True, b"1", [1], {}, object(), float("nan"), np.float64(2), 1j)
LAYOUTS = ("C", "F", "every second", "reversed", "swapped", "read-only", "list", "off by one byte")


class Asked:
    """As much of a case as the calls look at, with any values."""

    def __init__(self, op, params):
        self.op, self.params, self.operation = op, dict(params), OPERATIONS[op]

    def __getitem__(self, name):
        return self.params[name] if name in self.params else self.operation.option[name].default

    word = value = __getitem__


def laid_out(array, layout):
    if layout == "F":
        return np.asfortranarray(array)
    if layout == "every second":
        wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), 77).astype(array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]
    if layout == "reversed":
        return np.ascontiguousarray(array[::-1])[::-1]
    if layout == "swapped":
        return np.ascontiguousarray(np.swapaxes(array, 0, -1)).swapaxes(0, -1)
    if layout == "read-only":
        array = array.copy()
        array.setflags(write=False)
    if layout == "list" and array.size:
        return array.tolist()
    if layout == "off by one byte":
        memory = np.zeros(array.nbytes + 1, np.uint8)
        other = memory[1:].view(array.dtype).reshape(array.shape) if array.nbytes else array
        other[...] = array
        return other
    return array


def boxed(value):
    """A scalar's place holds a 0-d array, of which the calls hand over the element."""
    box = np.empty((), object)
    box[()] = value
    return box


@st.composite
def calls(draw):
    """(case, arguments, the same as plain float64 arrays, whether the contract takes it)."""
    op = draw(st.sampled_from(sorted(OPERATIONS)))
    params = {}
    for name in OPERATIONS[op].parameters:
        low, high = {"m": (0, 4), "p": (0, 3), "s": (1, 4), "c": (1, 9)}.get(name, (1, 6))
        params[name] = draw(st.sampled_from(WORDS[name]) if name in WORDS else st.integers(low, high))
    case = plain_case = Case.of(op, "f64", params, "small", 0)
    for option in OPERATIONS[op].options:
        if draw(st.booleans()):
            kind = draw(st.sampled_from(sorted(option.kinds)))
            pool = option.pool(kind)
            params |= option.drawn(
                kind, params, draw(st.integers(0, 99) if pool is None else st.sampled_from(pool))
            )
    case = Case.of(op, "f64", params, "small", 0)
    if MINE.lacks(case) or ORACLE.lacks(case):
        case = plain_case
    params = dict(case.params)
    fits = True
    if "s" in params:
        together = not any({*pair} <= {*case.levels.items()} for pair in OPERATIONS[op].apart)
        # What the suite does not draw together may exist: output padding at stride 1, dilated.
        fits = possible(case) if together else None
        # Between no taps a dilation that the mode excludes may be refused or not.
        window = window_of(case)
        if not fits and any(axis.f == 1 < axis.d for axis in (window.rows, window.columns)):
            fits = None
    if op.startswith("batch_norm") and params["statistics"] == "training":
        fits = params["m"] * params["h"] * params["w"] != 1
    try:
        shapes = array_shapes(case)
    except ValueError:
        shapes = {}
    if min((n for shape in shapes.values() for n in shape), default=0) < 0 or not shapes:
        fits, shapes = False, {n: (2, 3, 3, 2) for n in OPERATIONS[op].arrays}
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    given_arrays, plain = {}, {}
    for name, shape in shapes.items():
        values = rng.integers(0, 2, shape) if name == "AL" else rng.integers(-3, 4, shape)
        dtype = draw(st.sampled_from(GOOD))
        if name == "Y":
            values = rng.integers(0, max(params.get("n", 1), 1), shape)
            dtype = draw(st.sampled_from(("<i8", "<i4", "u1")))
        elif name == "AL":
            values, dtype = (values + 1) / 4, "<f8"
        elif name == "running_var":
            values = abs(values)
        elif dtype in ("<u2", "?"):
            values = abs(values) if dtype == "<u2" else values > 0
        array = np.asarray(values).astype(dtype)
        plain[name] = array.astype(np.int64 if name == "Y" else np.float64)
        layout = draw(st.sampled_from(LAYOUTS)) if array.ndim else "C"
        given_arrays[name] = laid_out(array, layout)
    good, asked = fits, Asked(op, params)
    change = draw(st.sampled_from(("none", "none", "none", "dtype", "shape", "number", "junk", "array")))
    names = sorted(given_arrays)
    if change == "dtype":
        name = draw(st.sampled_from(names))
        given_arrays[name] = plain[name].astype("<i4").astype(draw(st.sampled_from(BAD)))
        # A scalar is handed over as a Python object; those may be numbers whatever array they came from.
        good = False if plain[name].ndim else None
    elif change == "shape":
        name = draw(st.sampled_from(names))
        shape = tuple(draw(st.lists(st.integers(0, 5), max_size=5)))
        given_arrays[name] = plain[name] = rng.integers(0, 3, shape).astype(plain[name].dtype)
        good = None
    elif change == "array":
        name, junk = draw(st.sampled_from(names)), draw(st.sampled_from(JUNK))
        given_arrays[name] = junk if plain[name].ndim else boxed(junk)
        if isinstance(junk, (float, bool, list)):
            plain[name] = np.asarray(junk, np.float64)
        good = None
    elif change in ("number", "junk"):
        name = draw(st.sampled_from([n for n in params if n in ("s", "f", "p", *WORDS)] or ["m"]))
        # "same" makes room for any window, and the oracle a table of it: two thousand million taps.
        windows = op.startswith("pool") and "same" not in str(params.get("p"))
        if name in ("s", "p", "mode", "activation") or (name == "f" and windows):
            asked.params[name] = draw(st.sampled_from(NUMBERS if change == "number" else JUNK))
        good = None
    return asked, given_arrays, plain, good


def answer(implementation, asked, arrays):
    with np.errstate(all="ignore"):
        request = resolved(OPERATIONS, asked, implementation.has, arrays)
        return named(request, ask(implementation, request, arrays))


EXAMPLES = int(os.environ.get("CNNREF_FUZZ", "1500"))
REFUSED = (ValueError, TypeError, MemoryError)
COUNTS = {"accepted": 0, "refused": 0}


@pytest.mark.filterwarnings("ignore")
@seed(20)
@settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(calls())
def test_the_answer_is_right_or_refused(call):
    asked, arrays, plain, good = call
    copies = {n: a.tobytes() for n, a in arrays.items() if isinstance(a, np.ndarray) and a.dtype != object}
    try:
        found = answer(MINE, asked, arrays)
    except REFUSED as error:
        COUNTS["refused"] += 1
        if good or not str(error):
            pytest.fail(f"{asked.op} {asked.params} refused: {error!r}")
        return
    COUNTS["accepted"] += 1
    assert good is not False, f"{asked.op} {asked.params} accepted"
    assert all(arrays[n].tobytes() == before for n, before in copies.items()), f"{asked.op} changed an input"
    expected = answer(ORACLE, asked, plain)
    for name, want in expected.items():
        got, want = np.asarray(found[name]), np.asarray(want)
        assert got.shape == want.shape, f"{asked.op} {asked.params} {name}"
        sigmoid = asked.params.get("activation") == "sigmoid"
        if asked.op in INEXACT or sigmoid or asked.params.get("mode") == "average":
            # A loss of float32 is a Python float.
            single = np.float32 in (got.dtype, *(np.asarray(x).dtype for x in arrays.values()))
            eps = 2.0**-23 if single else 2.0**-52
            scale = np.abs(want[np.isfinite(want)]).max(initial=1.0)
            limit = 256 * eps * scale
            close = np.isclose(got, want, rtol=0, atol=limit, equal_nan=True)
            assert close.all(), f"{asked.op} {asked.params} {name}"
        else:
            assert np.array_equal(got, want, equal_nan=True), f"{asked.op} {asked.params} {name}"


def test_the_fuzz_did_both():
    if sum(COUNTS.values()) == 0:
        pytest.skip("the fuzz itself was not run")
    print(COUNTS)
    assert COUNTS["accepted"] > 300
    assert COUNTS["refused"] > 300


# ------------------------------------------------------------------------------------ extents beyond 32 bits


def repeated(shape, dtype="i1", value=1):
    """An array of one repeated element: any extents, one element of memory."""
    return np.lib.stride_tricks.as_strided(np.full(1, value, dtype), shape, (0,) * len(shape))


HUGE = 2**31 + 1
ONE = np.ones((1, 1, 1, 1))


@pytest.mark.parametrize(
    "call",
    [
        lambda: cnnref.relu(repeated((2**31, 2**31, 1, 1))),
        lambda: cnnref.pad3d(np.ones((1, 2, 2, 1)), 2**62),
        lambda: cnnref.pad3d(repeated((2**20, 2**20, 2**20, 1)), 2**10),
        lambda: cnnref.conv_forward(np.ones((1, 2, 2, 1)), ONE, ONE, {"stride": 1, "pad": 2**31}),
        lambda: cnnref.conv_forward(repeated((2**40, 1, 1, 1)), ONE, ONE, {"stride": 1, "pad": 2**12}),
        lambda: cnnref.affine_forward(repeated((2**40, 1)), repeated((1, 2**40)), repeated((1, 2**40))),
        lambda: cnnref.pool_forward(repeated((2**31, 2**31, 2, 2)), {"f": 1, "stride": 1}),
        lambda: cnnref.distribute_value(1.0, (2**31, 2**33)),
        lambda: cnnref.arr2col(repeated((2**16, 2**16, 2**16, 2**14))),
        lambda: cnnref.softmax(repeated((2**31, 2**31))),
    ],
)
def test_results_too_large_are_refused_at_once(call):
    with pytest.raises((ValueError, MemoryError)) as caught:
        call()
    assert str(caught.value)


def test_extents_over_32_bits_of_what_is_small_enough():
    """Strides beyond any extent, and a pooled image of more than 2**31 pixels of which 4 are used."""
    x = repeated((1, 2, 3, 1), "<f8")
    Z, _ = cnnref.conv_forward(x, ONE, ONE, {"stride": HUGE, "pad": 0})
    assert Z.shape == (1, 1, 1, 1)
    A, _ = cnnref.pool_forward(x, {"f": 1, "stride": 2**62}, "max")
    assert A.shape == (1, 1, 1, 1)
    empty = np.empty((0, 2**31 + 5, 3, 1))
    assert cnnref.relu(empty)[0].shape == empty.shape
    assert cnnref.pad3d(empty, 1).shape == (0, 2**31 + 7, 5, 1)
    A, cache = cnnref.pool_forward(empty, {"f": 2, "stride": 2})
    assert A.shape == (0, 2**30 + 2, 1, 1)
    assert cnnref.pool_backward(A, cache).shape == empty.shape
