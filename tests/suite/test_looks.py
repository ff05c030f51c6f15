"""What a case looks at besides values: each fault is found by name, right functions raise nothing."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from conformance.adapters import numpy_loops
from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.cases.script import FORMS, LABELS
from conformance.conventions import Settings
from conformance.diagnosis.findings import find
from conformance.faults.diagnose import explain
from conformance.faults.state import STATE
from conformance.generation.effort import size_of
from conformance.generation.generate import generate
from conformance.implementations.forms import formed
from conformance.implementations.implementation import Implementation, load
from conformance.operations import OPERATIONS
from conformance.verdict.judge import Judge, Trial
from conformance.verdict.looks import unlike
from conformance.verdict.record import NOTED, TAILS
from tests.planted.looked import LOOKED, Looked

# NumPy warns of the mean of an empty batch; NaN is the right answer there.
pytestmark = pytest.mark.filterwarnings("ignore")


def cases(op: str, count: int, dtypes=("f32", "f64")):
    return [c for c in generate([OPERATIONS[op]], dtypes, count, 3) if size_of(c) is None]


def implementation(functions=None, **more) -> Implementation:
    target = SimpleNamespace(**{**vars(numpy_loops), **(functions or {})})
    return Implementation("looked", target, Arithmetic(), options=numpy_loops.options, **more)


def failures(target: Implementation, op: str, count: int = 90) -> Counter[str]:
    try:
        judged = list(Judge(target).each(cases(op, count, ["f32"])))
    finally:
        target.close()
    return Counter(str(r.diagnosis) for records in judged for r in records if r.status == "failed")


@pytest.mark.parametrize("fault", LOOKED, ids=str)
def test_each_fault_is_found_by_its_name(fault: Looked):
    found = failures(load(f"tests.planted.looked:TARGETS.{fault}"), fault.op)
    assert any(found[name] for name in fault.faults), found
    assert found.keys() <= fault.faults | {"depends-on-earlier-calls"}, found


def test_right_functions_raise_nothing_and_are_looked_at():
    judge, seen = Judge(implementation()), Counter()
    for op in sorted({fault.op for fault in LOOKED}):
        for case in cases(op, 60):
            trial = judge._begun(case)
            if trial._look is not None:
                seen[trial._look.expected[-1].fault] += 1
            assert {record.status for record in judge._ended(trial)} == {"passed"}, case
    assert {f"wrong-{form}" for form in FORMS} <= seen.keys()
    assert {"wrong-label-dtype", "cache-follows-hyperparameters", "option-kept-between-calls"} <= seen.keys()


def test_a_layout_that_is_refused_is_a_remark():
    def tanh(Z):
        if not Z.flags.c_contiguous:
            raise ValueError("contiguous arrays only")
        return numpy_loops.tanh(Z)

    judge = Judge(implementation({"tanh": tanh}))
    records = [record for case in cases("tanh", 120) for record in judge(case)]
    assert {record.status for record in records} == {"passed"}
    said = {record.reason for record in records if record.reason}
    assert f"{NOTED}raised ValueError: contiguous arrays only for an array in Fortran order" in said


def test_a_remark_is_one_line_and_stands_beside_one_on_the_tails():
    def gelu(Z, approximate="none"):
        A, cache = numpy_loops.gelu(Z.copy(), approximate)
        if not Z.flags.c_contiguous:
            raise ValueError("contiguous\narrays only")
        return np.where(Z < -4, A * Z.dtype.type(1 + 1e-4), A), cache

    judge = Judge(implementation({"gelu": gelu}))
    said = {r.reason for case in cases("gelu", 240) for r in judge(case) if r.status == "passed"}
    both = [text for text in said if text.startswith(TAILS) and f"; {NOTED}raised" in text]
    assert both
    assert not any("\n" in text for text in said)


def test_a_view_is_a_remark_where_it_is_one_for_all_values():
    judge = Judge(implementation({"arr2col": lambda X: (X.reshape(len(X), -1), X)}))
    records = [record for case in cases("arr2col", 20) for record in judge(case) if case["m"] and case["c"]]
    assert {(record.status, record.reason) for record in records} == {
        ("passed", f"{NOTED}output shares the memory of X")
    }


def test_a_fault_of_state_is_confirmed_in_a_fresh_process(tmp_path):
    module = tmp_path / "kept.py"
    module.write_text(
        "import numpy as np\nfrom conformance.adapters import numpy_loops\n_calls = []\n"
        "def tanh(Z):\n    A, cache = numpy_loops.tanh(Z)\n    _calls.append(1)\n"
        "    if len(_calls) > 30 and A.size:\n        A.reshape(-1)[0] += 1\n    return A, cache\n"
    )
    found = failures(load(str(module)), "tanh", 60).keys()
    assert "depends-on-earlier-calls" in found
    assert found <= {"depends-on-earlier-calls", "wrong-after-many-calls"}


def test_an_array_of_a_form_that_is_wrong_after_another_alone_is_named_by_its_form(tmp_path):
    # As Numba: the other byte order is refused, but after an array at an odd address taken for the usual one.
    module = tmp_path / "dispatched.py"
    module.write_text(
        "import numpy as np\nfrom conformance.adapters import numpy_loops\n_seen = []\n"
        "def tanh(Z):\n    if not Z.flags.aligned:\n        _seen.append(1)\n"
        "    if not Z.dtype.isnative:\n        if not _seen:\n            raise TypeError('byte order')\n"
        "        Z = Z.view(Z.dtype.newbyteorder('='))\n    return numpy_loops.tanh(Z)\n"
    )
    assert failures(load(str(module)), "tanh", 200).keys() == {"wrong-swapped"}


def test_what_a_look_has_shown_is_told_by_its_own_values():
    """What the plain call gave is right: neither the record nor `repro` may show that instead."""
    fault = next(f for f in LOOKED if "cache-follows-hyperparameters" in f.faults)
    target = implementation(fault.make())
    records = [r for records in Judge(target).each(cases(fault.op, 400, ["f32"])) for r in records]
    seen = [r for r in records if r.diagnosis == "cache-follows-hyperparameters"]
    raised = [r for r in seen if r.reason.startswith("raised")]  # the stride of the next layer may not fit
    assert {(r.index, r.expected, r.got) for r in raised} == {(None, None, None)}
    record = next(r for r in seen if r not in raised)
    assert record.got != record.expected
    found = find(target, record)
    assert found.place.startswith(f"{record.output}[")
    small = Case.parse(found.shrunk)  # the smallest is looked at in the same way
    assert max(small["h"], small["w"], small["m"]) < max(Case.parse(record.case)["h"], 4)
    trial = Trial(target, small)
    again = next(r for r in trial.records(None) if r.output == record.output)
    assert again.status == "failed"
    got, expected, _ = trial.compared(record.output)
    assert not np.array_equal(got, expected)
    assert (got[tuple(again.index)], expected[tuple(again.index)]) == (again.got, again.expected)


def test_other_bits_are_told_with_their_place():
    before = np.array([[1.0, -0.0], [np.nan, 2.0]])
    assert unlike("Z", before.copy(), before) == ""
    assert unlike("Z", np.abs(before), before) == ": Z[0,1] is 0, was -0"
    assert unlike("loss", 1.5, 1.25) == ": loss is 1.5, was 1.25"
    assert unlike("Z", before[:1], before) == unlike("Z", None, before) == ""


def test_a_call_that_is_wrong_with_right_values_shows_none():
    def relu(Z):
        A, cache = numpy_loops.relu(Z)
        Z += 1
        return A, cache

    judge = Judge(implementation({"relu": relu}))
    wrong = [r for case in cases("relu", 20) for r in judge(case) if r.diagnosis == "input-modified"]
    assert wrong
    assert {(r.index, r.expected, r.got) for r in wrong} == {(None, None, None)}


def test_stress_finds_one_call_in_hundreds():
    calls = iter(range(10**9))

    def gelu(Z, approximate="none"):
        A, cache = numpy_loops.gelu(Z, approximate)
        if next(calls) % 777 == 776 and A.size > 1:
            A.reshape(-1)[0] += 1
        return A, cache

    target = implementation({"gelu": gelu})
    assert not failures(target, "gelu", 24)
    assert failures(replace(target, settings=Settings(stress=True)), "gelu", 24)["nondeterministic"]


@pytest.mark.parametrize("form", FORMS)
def test_forms_hold_the_same_values(form):
    array = np.arange(60.0, dtype=np.float32).reshape(3, 4, 5)
    given = np.broadcast_to(array[:1], (3, 4, 5)).copy() if form == "expanded" else array
    (made,) = formed({"x": given}, form).values()
    assert (made == given).all()
    assert {
        "fortran": made.flags.f_contiguous,
        "negative": min(made.strides) < 0,
        "slice": made.strides[-1] == 8,
        "read-only": not made.flags.writeable,
        "swapped": not made.dtype.isnative,
        "unaligned": not made.flags.aligned,
        "expanded": made.strides[0] == 0,
    }[form]


def test_every_name_has_a_sentence():
    assert {name for fault in LOOKED for name in fault.faults} <= STATE.keys()
    assert all(explain(name) == sentence and sentence.endswith(".") for name, sentence in STATE.items())
    assert all(np.dtype(name).kind in "iu" for name in LABELS)
