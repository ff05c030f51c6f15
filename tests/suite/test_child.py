"""The process that holds an implementation: what is in it, what goes to it and what comes back."""

import os
import signal
import textwrap
import time

import msgspec
import numpy as np
import pytest

from conformance.cases.case import Case
from conformance.cases.request import Array, Cache, Made, Number, Output, Request, Step
from conformance.generation.effort import size_of
from conformance.generation.generate import generate
from conformance.implementations.child import Child, LostError, filled
from conformance.implementations.dialects import Reading
from conformance.implementations.implementation import here, load
from conformance.implementations.loading import LoadError
from conformance.implementations.perform import performed
from conformance.implementations.wire import (
    Block,
    Segment,
    Sender,
    WireError,
    Writer,
    heard,
    request_of,
    taken,
    told,
)
from conformance.operations import OPERATIONS
from conformance.runs.workers import CAP, Workers, batches
from conformance.verdict.judge import Judge, Trial

RELU = Request((Step("relu", (Array("Z"),)),), ("A",), cached=True)
NAN = filled([np.nan], np.dtype("f4"))
Z = {"Z": np.array([[-1.0, 2.0, 3.0]], np.float32)}


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    """A ReLU that does one thing or another, by the first number that it is given."""
    path = tmp_path_factory.mktemp("child") / "kernels.py"
    path.write_text(
        textwrap.dedent(
            """
            import os, sys, time
            import numpy as np
            __version__, build = "7", "for testing"
            options = ("conv_*.groups",)
            differs = {"relu": {lambda seen: seen.got == 1: "one"}}
            kept = []
            def modules(Z):
                wrong = ("operations", "oracle", "bounds", "verdict", "generation", "faults", "conventions")
                return [m for m in sys.modules if m.split(".")[1:2] and m.split(".")[1] in wrong
                        and m.split(".")[0] == "conformance"]
            ANSWERS = {
                1: lambda Z: (np.array([len(modules(Z))], "f"), Z), 2: lambda Z: os._exit(3),
                3: lambda Z: time.sleep(60), 4: lambda Z: os.kill(os.getpid(), 11),
                5: lambda Z: (np.float32(2), Z), 6: lambda Z: (None, Z), 7: lambda Z: ("text", Z),
                8: lambda Z: ([[1.0]], Z), 9: lambda Z: (np.broadcast_to(np.float32(1), (1 << 40,)), Z),
                10: lambda Z: (np.array([1.0, None], object), Z), 11: lambda Z: Z,
                12: lambda Z: exec("Z[:] = 5") or (Z, Z),
                13: lambda Z: (kept.append(Z) or Z, Z), 14: lambda Z: (np.array([os.getpid()]), Z),
                15: lambda Z: (np.array([int(os.environ["MALLOC_PERTURB_"])]), Z),
            }
            def relu(Z):
                return ANSWERS.get(int(Z.flat[0]), lambda Z: (np.maximum(Z, 0), Z))(Z)
            def sigmoid(Z):
                raise NotImplementedError("later")
            """
        )
    )
    return str(path)


@pytest.fixture(scope="module")
def child(module):
    held = Child(module, ("relu", "sigmoid", "tanh"), 1.0)
    yield held
    held.close()


def answer(child, first=None):
    given = Z if first is None else {"Z": np.array([[first]], np.float32)}
    return child.heard(child.ask(RELU, "NHWC", given, [given["Z"].size], NAN))[0]


def test_nothing_of_a_judge_is_there(child):
    """After a case was served; what is right, how far one may be off, and what a function means."""
    answer(child)
    assert answer(child, 1).outputs["A"].tolist() == [0]


def test_what_a_module_says_of_itself_is_plain(child, module):
    said = child.declares
    assert list(said.functions) == ["relu", "sigmoid"]
    assert said.version == "7, for testing"
    assert said.declared["differs"] == {"relu": [[True, 0, "one"]]}
    assert load(module).options == ("conv_*.groups",)
    assert (child.has("relu"), child.has("tanh")) == (True, False)


def test_a_declared_difference_is_asked_of_a_process_of_its_own(module):
    implementation = load(module)
    assert implementation.target._pid
    trial = Trial(implementation, Case.parse("relu:f32:m1h2w3c4:small:0"))
    (explains,) = (what for what in implementation.differs["relu"] if callable(what))
    from conformance.implementations.declared import Seen

    got = np.array([1.0, 2.0])
    mask = explains(Seen(trial.case, "A", trial.arrays, np.zeros(2), got, np.zeros(2)))
    assert mask.tolist() == [True, False]
    assert answer(implementation.target, 1).outputs["A"].tolist() == [
        0
    ]  # the one that answers knows of nothing


@pytest.mark.parametrize(
    ("first", "why", "code"),
    [
        (2, "the process died of exit status 3 in", 3),
        (3, "no answer within 1 seconds from", None),
        (4, "the process died of signal 11 (SIGSEGV) in", -11),
    ],
)
def test_what_it_dies_of_is_held_against_one_request(child, first, why, code):
    """Those before it and behind it are answered, however far ahead they were asked."""
    given = [{"Z": np.array([[x]], np.float32)} for x in (20, 21, first, 22, 23)]
    tickets = [child.ask(RELU, "NHWC", arrays, [1], NAN) for arrays in given]
    with pytest.raises(LostError) as lost:
        child.heard(tickets[2])
    assert (lost.value.why, lost.value.code) == (why, code)
    for at, value in ((4, 23), (0, 20), (3, 22), (1, 21)):
        assert child.heard(tickets[at])[0].outputs["A"].tolist() == [[value]]


def test_a_process_that_is_killed_while_it_has_nothing_to_do_is_no_failure(child):
    first = answer(child, 14).outputs["A"][0]
    os.kill(int(first), signal.SIGKILL)
    time.sleep(0.1)
    assert answer(child, 14).outputs["A"][0] != first


@pytest.mark.parametrize(
    ("first", "kind"), [(5, "numpy.float32"), (6, "NoneType"), (7, "str"), (8, "list"), (10, "numpy.ndarray")]
)
def test_what_is_no_array_of_numbers_is_what_it_is(child, module, first, kind):
    """By its type, its bytes and what NumPy makes of it: as an implementation in this process gives it."""
    there = answer(child, first).outputs["A"]
    given = {"Z": np.array([[first]], np.float32)}
    mine = performed(here(module), RELU, given, [1], NAN)[0].outputs["A"]
    name = type(there)
    assert kind == (name.__name__ if name.__module__ == "builtins" else f"{name.__module__}.{name.__name__}")
    assert (type(mine).__module__, type(mine).__name__) == (name.__module__, name.__name__)
    if kind in ("numpy.float32", "list"):
        assert np.array_equal(np.asarray(there), np.asarray(mine))


def test_an_answer_too_large_to_be_right_is_only_described(child):
    started = time.monotonic()
    found = answer(child, 9).outputs["A"]
    assert (found.shape, found.dtype) == ((1 << 40,), np.float32)
    assert time.monotonic() - started < 1


def test_the_form_and_the_inputs_are_told(child):
    assert answer(child, 11).text == "returned one array of shape (1, 1), expected (A, cache)"
    assert answer(child, 12).changed == ("Z",)
    sigmoid = Request((Step("sigmoid", (Array("Z"),)),), ("A",))
    later = child.heard(child.ask(sigmoid, "NHWC", Z, [3], NAN))[0]
    assert (later.kind, later.text) == ("refused", "NotImplementedError: later")


def test_memory_holds_another_byte_each_time(module):
    found = {
        int(answer(Child(module, ("relu",), 5.0, read=Reading("contract")), 15).outputs["A"][0])
        for _ in range(3)
    }
    assert found <= set(range(1, 256))
    assert len(found) > 1


def test_requests_come_over_whole():
    cache = Made("Cache", {"Z": Array("Z"), "n": 3, "none": None})
    step = Step(
        "f", (Array("Z"), Number("a"), Output("f"), Cache("f"), cache, (1, [2.5, "x"]), np.float64(0.5)),
        {"k": True}, {"stride": (1, 2), "pad": ((0, 1), (2, 3))}, "max", False,
    )  # fmt: skip
    request = Request((step,), ("A", "B"), True, {"B": 1}, 4)
    sender = Sender()
    wire = msgspec.msgpack.decode(msgspec.msgpack.encode(sender.request(request)))
    (read,) = request_of(wire).steps
    assert request_of(wire)._replace(steps=()) == request._replace(steps=())
    assert read._replace(arguments=()) == step._replace(arguments=())
    assert read.arguments[:-1] == step.arguments[:-1]
    assert sender.arrays[read.arguments[-1].name] == 0.5
    with pytest.raises(TypeError, match="cannot hold a set"):
        Sender().request(Request((Step("f", ({1},)),), ("A",)))


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", ">f4", "i8", "?", "c16", "U3", "bfloat16"])
def test_arrays_come_over_bit_by_bit(dtype):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    segment, array = Segment(), np.arange(12).reshape(3, 4).astype(dtype)[:, ::2]
    writer = Writer(segment.descriptor)
    value, empty = told(array, writer), told(array[:0], writer)
    writer.write()
    assert not heard(empty, segment.descriptor).size
    found = heard(msgspec.msgpack.decode(msgspec.msgpack.encode(value)), segment.descriptor)
    assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())


@pytest.mark.parametrize(
    "block",
    [
        Block("f4", (3,), 0), Block("f4", (1,), 1 << 40), Block("f4", (-1,), 0), Block("f4", (1,), -8),
        Block("O", (1,), 0), Block("V8", (1,), 0), Block("nonsense", (1,), 0), Block("f4", (1 << 61,), 0),
        Block("f4", (1,) * 40, 0),
    ],
)  # fmt: skip
def test_what_is_no_array_of_a_segment_is_refused(block):
    segment = Segment()
    os.pwrite(segment.descriptor, bytes(8), 0)
    with pytest.raises(WireError):
        taken(segment.descriptor, block)


@pytest.mark.parametrize(
    "value", [[], ["v"], ["v", "text"], ["v", [1]], ["q", 1], ["a", 3], ["f", "m"], ["x", "O", [1]]]
)
def test_what_is_no_value_is_refused(value):
    with pytest.raises(WireError):
        heard(value, Segment().descriptor)


def test_a_module_that_dies_when_it_is_loaded_is_said_so(tmp_path):
    path = tmp_path / "dies.py"
    path.write_text("import os\nos._exit(9)\n")
    with pytest.raises(LoadError, match="the process died of exit status 9 in loading it"):
        load(str(path))


def test_a_module_that_dies_in_every_case_is_given_up(module, tmp_path):
    path = tmp_path / "dies.py"
    path.write_text("import os\ndef relu(Z): os._exit(9)\n")
    cases = [Case.parse(f"relu:f32:m1h2w3c4:small:{i}") for i in range(2 * CAP)]
    found = {n: records[0] for n, _, records in Workers(str(path), 1).judge_batches(batches(cases))}
    assert {record.status for record in found.values()} == {"failed"}
    reasons = [found[n].reason for n in sorted(found)]
    assert reasons[:CAP] == ["the process died of exit status 9 in this case"] * CAP
    assert (
        reasons[CAP:] == [f"not called: the process was lost in {CAP} of {CAP} cases of relu before it"] * CAP
    )


def test_a_module_that_dies_is_called_once_for_each_case(tmp_path):
    """A size of a network is asked for by a call, which waits for those before it."""
    path, calls = tmp_path / "dies.py", tmp_path / "calls"
    path.write_text(f"import os\ndef relu(Z):\n    open({str(calls)!r}, 'a').write('.')\n    os._exit(9)\n")
    cases = [Case.parse(f"relu:f32:m1h2w3c4:small:{i}") for i in range(6)]
    cases.append(next(case for case in generate([OPERATIONS["relu"]], ["f32"], 100, 0) if size_of(case)))
    found = [records[0].status for _, _, records in Workers(str(path), 1).judge_batches(batches(cases))]
    assert found == ["failed"] * 7
    assert len(calls.read_text()) <= 2 + 7 + 1  # to tell the dialect, each case, a sixteenth of the size


def test_torch_is_not_loaded_for_what_computes_with_numpy():
    implementation = load("numpy_loops")
    assert implementation.target.declares.imported == []
    implementation.close()


def test_records_do_not_depend_on_the_process():
    cases = [Case.parse(f"conv_backward:f32:m{m}h9w7c3_f3k4_s2p1:normal:{m}") for m in range(1, 5)]
    for spec in ("numpy_loops", "cnnref.blog"):
        lines = [[r.line() for c in cases for r in Judge(i)(c)] for i in (load(spec), here(spec))]
        assert lines[0] == lines[1]
