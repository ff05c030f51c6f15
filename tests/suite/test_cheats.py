"""Each cheat fails, or is of no effect, under the judge; and each succeeds where one defence is taken out.

The cheats are in `tests/planted/cheats`. What takes a defence out is here, and no command has it.
"""

import atexit
import os
import pickle
import signal
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from conformance.cases.case import Case
from conformance.conventions import Settings
from conformance.generation.arrays import draw
from conformance.generation.effort import size_of
from conformance.generation.generate import generate
from conformance.implementations import child, guard, nursery
from conformance.implementations.channel import Channel
from conformance.implementations.child import Ticket
from conformance.implementations.implementation import here, load
from conformance.implementations.processes import Question, context
from conformance.implementations.wire import Segment
from conformance.operations import select
from conformance.oracle import evaluate
from conformance.runs.options import SweepError
from conformance.runs.written import Written
from conformance.verdict import judge as judging
from conformance.verdict import right as rights
from conformance.verdict.compare import Verdict
from conformance.verdict.judge import Judge

FOLDER = Path(__file__).parents[1] / "planted" / "cheats"
CHEATS = sorted(path.stem for path in FOLDER.glob("*.py"))

#: Shapes that come again with other values, so that what is kept of an earlier call shows.
CASES = [Case.parse(f"relu:f32:m2h3w4c5:normal:{seed}") for seed in (11, 12)] + [
    Case.parse(f"relu:f32:m{m}h3w5c7:normal:{m}") for m in (1, 2, 3)
]
CASES.append(Case.parse("relu:f32:m2h3w4c5:normal:13"))
APART = [case for case in CASES if case["m"] != 2] + CASES[:1]
PUBLISHED = list(generate(select(["relu"]), ("f32",), 6, 0))
SMALL = [Case.parse("relu:f32:m2h3w4c5:subnormal:1")]


def path_of(name):
    return str(FOLDER / f"{name}.py")


def loaded(name):
    """The implementation in this process, called by nobody yet."""
    return here(path_of(name), Settings(dialect="contract"))


def statuses(judged):
    return [record.status for records in judged for record in records]


# Judges that lack a defence, and look no further than at one call of a case. Each runs in a process of its
# own, for what the cheat does to it.


def once(implementation):
    """A judge that looks at one call of a case."""
    judging.look = lambda *asked: None
    return Judge(implementation)


def together(name, cases):
    """The implementation in the judge's own process."""
    judge = once(loaded(name))
    try:
        return statuses(judge(case) for case in cases)
    finally:
        atexit._run_exitfuncs()  # as at the end of a program, while the channel is open


def ahead(name, cases):
    """As `together`, asked ahead: what was handed over is not copied."""
    return statuses(once(loaded(name)).each(cases))[:-1]


def loose(name, cases):
    """As `together`, with a comparison as many tests have it."""

    def close(got, expected, bound, *rest):
        wrong = (np.abs(got - expected) > 1e-6 * (1 + np.abs(expected))).any()
        return Verdict("failed" if wrong else "passed", bound.tier, 0.0, 0.0)

    rights.compare = close
    return together(name, cases)


def in_one_memory(name, cases):
    """Every call on the same array."""
    (case, *_), relu = cases, loaded(name).target.relu
    z = draw(case)["Z"]
    return ["passed" if (relu(z)[0] == evaluate(case, {"Z": z})["A"]).all() else "failed" for _ in range(6)]


def looked_at_later(name, cases):
    """What is right is computed from the input after the call had it."""
    relu, found = loaded(name).target.relu, []
    for case in cases:
        z = draw(case)["Z"]
        output = relu(z)[0]
        found.append("passed" if (output == evaluate(case, {"Z": z})["A"]).all() else "failed")
    return found


def freed_before(name, cases):
    """What is right was in memory that is free when the implementation is called."""
    relu, found = loaded(name).target.relu, []
    for case in cases:
        z = draw(case)["Z"]
        right = np.maximum(z, 0)
        expected = [float(x) for x in right.reshape(-1)]
        del right
        found.append("passed" if relu(z)[0].reshape(-1).tolist() == expected else "failed")
    return found


def unpickled(name, cases):
    """What the implementation answers is pickled, and read by the judge."""
    relu, found = loaded(name).target.relu, []
    for case in cases:
        trial = judging.Trial(here("numpy_loops"), case)
        got = pickle.loads(pickle.dumps(relu(trial.arrays["Z"].copy())[0]))
        verdict = rights.compare(got, trial.expected["A"], trial.limits["A"], trial.dtype("A"))
        found.append(verdict.status)
    return found


#: Of each cheat the judge that falls for it, and its cases.
TAKEN_OUT = {
    **dict.fromkeys(
        (
            "patched_compare", "patched_oracle", "patched_bounds", "patched_record", "patched_class",
            "patched_torch", "patched_numpy", "import_hook", "gc_objects", "callers_frames", "traced_calls",
            "thread_patches", "signal_patches", "exit_handler", "forged_answer", "ends_well",
        ),
        (together, CASES),
    ),
    "corrected_later": (ahead, CASES),
    "agreeable_array": (loose, CASES),
    "nan_wildcard": (loose, CASES),
    "zeros_where_small": (loose, SMALL),
    "keyed_by_pointer": (in_one_memory, CASES),
    "keyed_by_shape": (together, APART),
    "keyed_by_call": (together, CASES[:2]),
    "memory_of_the_right": (freed_before, CASES[:2]),
    "inputs_zeroed": (looked_at_later, CASES),
    "pickle_runs": (unpickled, CASES),
    "published_seed": (together, PUBLISHED),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN_OUT)
def test_a_cheat_succeeds_where_its_defence_is_taken_out(name):
    judge, cases = TAKEN_OUT[name]
    children = context()
    children.set_forkserver_preload(["conformance.verdict.judge"])
    child = Question(children, judge, name, cases)
    try:
        answer = child.answer(msgspec.msgpack.Decoder(list[str]), 60.0)
        if name == "ends_well":  # for who looks at the exit status
            assert answer is None
            assert child.exitcode(20.0) == 0
        else:
            assert answer
            assert set(answer) == {"passed"}
    finally:
        child.close()


def judged(name, cases=CASES, limit=20.0, wrapped=()):
    implementation = load(path_of(name), time_limit=limit, wrapped=wrapped)
    try:
        return statuses(Judge(implementation).each(cases))
    finally:
        implementation.close()


#: Cheats that are right in some cases, and the fewest in which they are not.
SOMETIMES = {"keyed_by_pointer": 1, "keyed_by_shape": 2, "keyed_by_call": 3}
#: Cheats that have a test of their own.
APART_TESTED = {
    "forked_copy_answers", "results_rewritten", "judges_memory", "judges_descriptors", "own_descriptors",
    "segment_overwritten", "survives_the_end", "slow_clock", "terminal_forged", "nursery_stopped",
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN_OUT)
def test_a_cheat_fails_under_the_judge(name):
    cases = SMALL if name == "zeros_where_small" else CASES
    found = judged(name, cases)
    assert len(found) == len(cases)
    assert found.count("failed") >= SOMETIMES.get(name, len(cases))
    assert statuses([Judge(here("numpy_loops"))(cases[0])]) == ["passed"]  # the judge is what it was


def test_every_cheat_is_tried():
    assert set(TAKEN_OUT) | APART_TESTED == set(CHEATS)
    assert len(CHEATS) >= 25


# Defences between processes, taken out on the judge's side or, by a command in front, on the other.


def without(*defences):
    """A command that takes defences out of the processes behind it."""
    lines = "\n".join(f"guard.{defence} = lambda: None" for defence in defences)
    text = (
        "import json, sys\nsys.path[:] = json.loads(sys.argv[5])\n"
        f"from conformance.implementations import guard\n{lines}\n"
        f"sys.argv = ['-c', *sys.argv[4:]]\nexec({nursery._PROGRAM!r})"
    )
    return (sys.executable, "-c", text)


def test_a_forked_copy_s_answer_is_none(monkeypatch):
    """It has the channel and its words, and is not the process that was asked."""
    assert judged("forked_copy_answers", CASES[:1], limit=1.0) == ["failed"]
    receive = Channel.receive
    monkeypatch.setattr(Channel, "receive", lambda self, sender, decoder: receive(self, None, decoder))
    assert judged("forked_copy_answers", CASES[:1], limit=5.0) == ["passed"]


@pytest.fixture
def open_judge(monkeypatch):
    """A judge that lets itself be read."""
    guard.readable()
    monkeypatch.setattr(guard, "unreadable", lambda: False)
    yield
    monkeypatch.undo()
    guard.unreadable()


@pytest.mark.parametrize("name", ["judges_memory", "judges_descriptors"])
def test_the_judge_is_not_read(name, tmp_path):
    with open(tmp_path / "cheat-target", "w"):
        assert set(judged(name)) == {"failed"}


@pytest.mark.parametrize("name", ["judges_memory", "judges_descriptors"])
def test_a_judge_that_lets_itself_be_read_is(name, tmp_path, open_judge):
    with open(tmp_path / "cheat-target", "w"):
        assert set(judged(name, wrapped=without("untracing"))) == {"passed"}


def test_no_descriptor_of_the_judge_is_passed_on(tmp_path, monkeypatch):
    with open(tmp_path / "cheat-target", "w") as file:
        os.set_inheritable(file.fileno(), True)
        assert set(judged("own_descriptors")) == {"failed"}
        start = nursery.subprocess.Popen
        monkeypatch.setattr(
            nursery.subprocess,
            "Popen",
            lambda *words, pass_fds, **named: start(*words, close_fds=False, **named),
        )
        monkeypatch.setattr(nursery, "_DYING", 0.2)  # for the judge holds the end that it waits for
        monkeypatch.setattr(nursery.socket, "socketpair", inheritable(nursery.socket.socketpair))
        assert set(judged("own_descriptors")) == {"passed"}


def inheritable(socketpair):
    def pair(*asked):
        found = socketpair(*asked)
        for end in found:
            os.set_inheritable(end.fileno(), True)
        return found

    return pair


def test_inputs_are_sealed(monkeypatch):
    assert set(judged("segment_overwritten")) == {"failed"}
    monkeypatch.setattr(Segment, "seal", lambda self: None)
    assert set(judged("segment_overwritten")) == {"passed"}


def test_a_file_of_results_that_is_rewritten_is_seen(tmp_path, monkeypatch):
    path = tmp_path / "results.jsonl"
    path.touch()
    monkeypatch.setenv("CHEAT_RESULTS", str(path))
    implementation = load(path_of("results_rewritten"))
    written = Written(path)
    written.begin()
    with open(path, "a", encoding="utf-8") as file:
        for records in Judge(implementation).each(CASES):
            file.write(written.add("".join(record.line() + "\n" for record in records)))
    end = time.monotonic() + 10
    while '"failed"' in path.read_text() and time.monotonic() < end:
        time.sleep(0.02)
    implementation.close()
    assert '"failed"' not in path.read_text()  # for who does not check
    with pytest.raises(SweepError, match="was changed by another program"):
        written.check()


def told(alive):
    """Who wrote the file, and what, in a moment at which it is whole."""
    end = time.monotonic() + 10
    while alive.exists() and time.monotonic() < end:
        words = alive.read_text().split()
        if len(words) == 2:
            return words
        time.sleep(0.001)
    return "", ""


@pytest.mark.parametrize("defences", [(), ("adopting",)])
def test_nothing_outlives_the_judge_s_interest(defences, tmp_path, monkeypatch):
    alive = tmp_path / "alive"
    monkeypatch.setenv("CHEAT_ALIVE", str(alive))
    assert set(judged("survives_the_end", wrapped=without(*defences))) == {"failed"}
    time.sleep(0.2)
    pid, before = told(alive)
    time.sleep(0.3)
    going_on = bool(pid) and told(alive)[1] != before
    if going_on:
        os.kill(int(pid), signal.SIGKILL)
    assert going_on == bool(defences)


def test_the_clock_of_the_implementation_leaves_nothing_out(monkeypatch):
    """Unless its word is taken for how long a call took."""
    sized = [Case.parse(f"relu:f32:m1h2w3c4:normal:{seed}") for seed in range(3)]
    sized.append(Case.parse("relu:f32:m1h224w5c3:normal:0"))
    assert size_of(sized[-1])

    def last():
        implementation = load(path_of("slow_clock"))
        judge = Judge(implementation)
        try:
            return [judge(case)[0].status for case in sized][-1]
        finally:
            implementation.close()

    assert last() == "failed"
    monkeypatch.setattr(Ticket, "took", lambda self, seconds: seconds)
    assert last() == "absent"


def test_no_word_of_the_implementation_moves_the_cursor(monkeypatch):
    def reason():
        implementation = load(path_of("terminal_forged"))
        try:
            return Judge(implementation)(CASES[0])[0].reason
        finally:
            implementation.close()

    assert "200 of 200 passed" in reason()
    assert all(letter.isprintable() or letter == "\n" for letter in reason())
    monkeypatch.setattr(child, "legible", str)
    assert "\x1b[1A" in reason()


def test_who_stops_the_process_that_watches_it_fails_alone(monkeypatch):
    monkeypatch.setattr(child, "_DYING", 0.3)
    monkeypatch.setattr(nursery, "_DYING", 0.3)
    found = judged("nursery_stopped")
    assert [case["m"] for case, status in zip(CASES, found, strict=True) if status == "failed"] == [3]
