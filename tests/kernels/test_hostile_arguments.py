"""Every public function with arguments whose own code works against the call: the process lives."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import hostile_support
import numpy as np
import pytest
from child import run

import cnnref

CALLS = 130
FUNCTIONS = hostile_support.functions()
#: Arguments by function; one without is a test that fails.
RECIPES = hostile_support.recipes()
BATCHES = [sorted(FUNCTIONS)[i::8] for i in range(8)]
#: Memory that is given back leaves the process, and what stays is filled with other bytes.
STRICT = {"MALLOC_MMAP_THRESHOLD_": "1024", "MALLOC_PERTURB_": "165"}
#: What a call with wrong arguments may end in: its own error, or what the caller's code raised.
ALLOWED = {
    "returned",
    "TypeError",
    "ValueError",
    "RuntimeError",
    "MemoryError",
    "HookedError",
    "KeyError",
    "AttributeError",
    "OverflowError",
}


def test_every_public_function_has_a_recipe():
    assert not set(FUNCTIONS) - set(RECIPES)
    assert len(FUNCTIONS) > 80


@pytest.mark.parametrize("names", BATCHES, ids=lambda names: names[0])
def test_hostile_arguments_leave_the_process_alive(names):
    program = [sys.executable, str(Path(hostile_support.__file__)), "1", str(CALLS), *names]
    done = subprocess.run(
        program, env={**os.environ, **STRICT}, capture_output=True, text=True, timeout=600, check=False
    )
    *made, outcomes = done.stdout.splitlines() or [""]
    assert done.returncode == 0, f"{outcomes} ended the process: {done.returncode}\n{done.stderr[-2000:]}"
    counts = eval(outcomes)  # a dictionary of strings and numbers that this test's own program wrote
    print(len(made), "hostile calls:", counts)
    assert len(made) == sum(counts.values()) >= CALLS * (len(names) - 1)  # get_num_threads takes no argument
    assert not {name for name in counts if name not in ALLOWED and not name.endswith("MemoryError")}, counts
    assert min(counts["returned"], counts["TypeError"], counts["ValueError"]) > len(made) // 50


def test_there_are_ten_thousand_of_them():
    assert CALLS * (len(FUNCTIONS) - 2) >= 10_000


# ------------------------------------------------------------------------ one at a time, and what comes of it


class Index:
    """A number that does something when it is read."""

    def __init__(self, value, action):
        self.value, self.action = value, action

    def __index__(self):
        self.action()
        return self.value


IMAGE = (1, 32, 32, 2)
FILTERS = np.ones((3, 3, 2, 2)), np.ones((1, 1, 1, 2))


def test_an_index_that_reshapes_the_image_is_read_before_the_image():
    def action():
        image.shape = (32 * 32, 1, 1, 2)

    image = np.ones(IMAGE)
    Z, _ = cnnref.conv_forward(image, *FILTERS, {"stride": Index(8, action), "pad": 1})
    np.testing.assert_array_equal(Z, cnnref.conv_forward(image, *FILTERS, {"stride": 8, "pad": 1})[0])
    image = np.ones(IMAGE)
    with pytest.raises(ValueError, match="larger than A_prev of 1x1"):
        cnnref.pool_forward(image, {"f": 2, "stride": Index(2, action)})
    image = np.ones(IMAGE)
    assert cnnref.pad3d(image, Index(1, action)).shape == (1024, 3, 3, 2)


def test_an_index_that_shrinks_the_image_is_read_before_the_image():
    image = np.ones(IMAGE)
    asked = {"stride": Index(1, lambda: image.resize((1, 4, 4, 2), refcheck=False)), "pad": 1}
    assert cnnref.conv_forward(image, *FILTERS, asked)[0].shape == (1, 4, 4, 2)


def test_a_cache_is_what_it_holds_not_what_its_class_says():
    class Empty(tuple):
        def __iter__(self):
            return iter(())

        def __len__(self):
            return 0

    _, cache = cnnref.conv_forward(np.ones(IMAGE), *FILTERS, {"stride": 1, "pad": 1})
    expected = cnnref.conv_backward(np.ones(IMAGE), cache)
    for one, other in zip(cnnref.conv_backward(np.ones(IMAGE), Empty(cache)), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_key_whose_comparison_takes_a_value_away_changes_nothing():
    """A value that was read is the call's own, even where the mapping has lost it since."""

    class Stride:
        def __init__(self, value):
            self.value = value

        def __index__(self):
            return self.value

    class Key:
        def __hash__(self):
            return hash("pad")

        def __eq__(self, other):
            if armed:
                armed.clear()
                asked["stride"] = 1  # the last reference to Stride(1) goes, and its memory is taken by others
                others.extend(Stride(7) for _ in range(100))
                asked.pop(key)
            return False

    armed, others, key, asked = [], [], Key(), {}
    _, cache = cnnref.conv_forward(np.ones(IMAGE), *FILTERS, {"stride": 1, "pad": 1})
    expected = cnnref.conv_backward(np.ones(IMAGE), cache)
    asked |= {"stride": Stride(1), key: 1, "pad": 1}
    armed.append(True)
    found = cnnref.conv_backward(np.ones(IMAGE), (*cache[:3], asked))
    assert not armed
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_words_of_a_class_of_their_own_are_what_they_hold():
    class Word(str):
        def __eq__(self, other):
            return True

        __hash__ = str.__hash__

    with pytest.raises(ValueError, match="mode must be 'max' or 'average', got 'min'"):
        cnnref.pool_forward(np.ones(IMAGE), {"f": 2, "stride": 2}, Word("min"))
    with pytest.raises(ValueError, match="got 'erf'"):
        cnnref.gelu(np.ones(3), Word("erf"))
    with pytest.raises(ValueError, match="got 'elu'"):
        cnnref.affine_activation_forward(np.ones((2, 2)), np.ones((2, 2)), np.ones((1, 2)), Word("elu"))
    with pytest.raises(ValueError, match=r"hparameters\['pad'\] must be .* got 'full'"):
        cnnref.conv_forward(np.ones(IMAGE), *FILTERS, {"stride": 1, "pad": Word("full")})


@pytest.mark.parametrize("answer", ["3", 3.0, None, np.ones(2)])
def test_an_index_that_is_no_integer_is_named(answer):
    with pytest.raises(
        TypeError, match=r"conv_forward: hparameters\['stride'\] must be an integer, got Index"
    ):
        cnnref.conv_forward(np.ones(IMAGE), *FILTERS, {"stride": Index(answer, int), "pad": 1})
    with pytest.raises(TypeError, match="set_num_threads: n must be an integer, got Index"):
        cnnref.set_num_threads(Index(answer, int))


def test_numbers_that_python_does_not_write_out():
    for huge in (10**5000, -(10**5000)):
        with pytest.raises(ValueError, match=r"pad3d: stride is out of range, got an integer of 16610 bits"):
            cnnref.pad3d(np.ones(IMAGE), huge)
        with pytest.raises(ValueError, match="leaky_relu: negative_slope must be finite, got an integer"):
            cnnref.leaky_relu(np.ones(3), huge)
        with pytest.raises(ValueError, match="cross_entropy_cost: ignore_index is out of range"):
            cnnref.cross_entropy_cost(np.ones((2, 2)), [0, 1], ignore_index=huge)
        with pytest.raises(ValueError, match="set_num_threads: n must be between 1 and 1024, got an integer"):
            cnnref.set_num_threads(huge)


# -------------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    "labels", [["a", "b"], [b"a", b"b"], [None, 1], np.zeros(2, "M8[s]"), [2**70, 0], [0.0, 1.0]]
)
def test_labels_that_are_no_integers_hear_what_labels_are(labels):
    with pytest.raises(
        TypeError, match=r"Y must hold class labels: integers from 0, .* shape \(m,\) or \(m, 1\), got"
    ):
        cnnref.cross_entropy_cost(np.ones((2, 2)), labels)


def test_shapes_are_looked_at_before_values():
    many = np.broadcast_to(np.int8(1), (2**62, 1))
    code = (
        "import numpy as np, cnnref\n"
        "many = np.broadcast_to(np.int8(1), (2**62, 1))\n"
        "pairs = np.broadcast_to(np.int8(1), (2**61, 2))\n"
        "for call in (lambda: cnnref.cross_entropy_cost(np.ones((2, 2)), many),\n"
        "             lambda: cnnref.blog.cross_entropy_cost(np.ones((2, 2)), many),\n"
        "             lambda: cnnref.cross_entropy_backward((np.ones((2, 2)), pairs))):\n"
        "    try: call()\n"
        "    except ValueError as error: print('must have shape' in str(error))"
    )
    assert many.shape == (2**62, 1)
    assert run(code, timeout=120).split() == ["True"] * 3


def delays(call):
    """Seconds, from early to late, after which a handler may come within `call`, and what that returns.

    Of several calls the shortest counts: the first one starts threads. A call had better last longer than the
    0.1 s between two looks for signals (`LOOK` in cnnref/threads.pyx).
    """
    started = [time.perf_counter()]
    for _ in range(3):
        result = call()
        started.append(time.perf_counter())
    return np.linspace(0, np.diff(started).min(), 20, endpoint=False)[1:], result


def during(call, action, after):
    """The result of `call`, within which a signal's handler runs `action`, and how often that was."""
    ran = []

    def handler(*_):
        ran.append(within)
        action()

    within, before = True, signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, after)
        result = call()
        within = False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return result, ran


@pytest.mark.parametrize("act", ["resize", "reshape"])
def test_a_handler_within_a_call_cannot_take_the_memory_away(act):
    """Within the kernel NumPy refuses to resize; the shape may change, and is not looked at again."""
    refused = []

    def action():
        try:
            image.resize((1, 1, 1, 1), refcheck=False) if act == "resize" else setattr(
                image, "shape", (-1, 1, 1, 1)
            )
        except ValueError as error:
            refused.append(str(error))

    made = np.arange(8 * 600.0 * 600).reshape(8, 600, 600, 1)
    weights, bias, asked = np.ones((25, 25, 1, 8)), np.ones((1, 1, 1, 8)), {"stride": 1, "pad": 12}
    after, (expected, _) = delays(lambda: cnnref.conv_forward(made, weights, bias, asked))
    for seconds in after:
        image = made.copy()
        (Z, _), ran = during(partial(cnnref.conv_forward, image, weights, bias, asked), action, seconds)
        if Z.shape != expected.shape:  # the handler came before the image was read
            continue
        np.testing.assert_array_equal(Z, expected)
        if ran == [True] and (refused or act == "reshape"):
            break
    else:
        pytest.fail("in no call the handler ran while the memory was held")
    assert len(refused) == (act == "resize")


def test_labels_that_a_handler_overwrites_are_those_that_were_checked():
    m = 16_000_000
    AL, labels = np.full((m, 1), 0.5), np.zeros(m, np.int64)
    after, (expected, _) = delays(lambda: cnnref.cross_entropy_cost(AL, labels, label_smoothing=0.1))
    for seconds in after:
        labels.fill(0)
        try:
            (loss, cache), ran = during(
                lambda: cnnref.cross_entropy_cost(AL, labels, label_smoothing=0.1),
                lambda: labels.fill(2**40),
                seconds,
            )
        except ValueError:  # the handler came before the labels were checked
            continue
        assert loss == expected
        if ran == [True]:
            break
    else:
        pytest.fail("in no call the handler ran within it")
    assert not cache.Y_index[:, 1].any()


def test_labels_that_a_thread_overwrites():
    """For a second or so: an error for the labels, or a number, and the process lives."""
    m, stop = 20_000, threading.Event()
    AL, labels = np.full((m, 4), 0.25), np.zeros(m, np.int64)
    pairs = np.stack([np.arange(m), labels], 1)

    def overwrite():
        while not stop.is_set():
            labels[-100:] = pairs[-100:, 1] = 2**40
            labels[-100:] = pairs[-100:, 1] = 0

    thread = threading.Thread(target=overwrite)
    thread.start()
    try:
        end, done = time.monotonic() + 1.5, 0
        while time.monotonic() < end or done < 5:
            for call in (
                lambda: cnnref.cross_entropy_cost(AL, labels),
                lambda: cnnref.cross_entropy_backward((AL, pairs)),
                lambda: cnnref.softmax_cross_entropy_backward((AL, pairs)),
            ):
                try:
                    call()
                except ValueError as error:
                    assert str(2**40) in str(error)  # noqa: PT017  (either may come)
                done += 1
    finally:
        stop.set()
        thread.join()


def test_pages_that_may_not_be_read_are_where_they_should_be():
    """The program's own arrays end at one, which is what kills a call that reads too far."""
    array = hostile_support.at_a_page(np.arange(7.0))
    assert (array.ctypes.data + array.nbytes) % os.sysconf("SC_PAGE_SIZE") == 0
    code = (
        "import sys; sys.path.insert(0, 'tests'); import hostile_support, numpy as np, ctypes\n"
        "array = hostile_support.at_a_page(np.arange(7.0))\n"
        "ctypes.string_at(array.ctypes.data, 57)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False, capture_output=True
    )
    assert done.returncode != 0, done
    assert ctypes.string_at(array.ctypes.data, 56)
