"""A declared difference excuses what its sentence is tied to, and nothing else of the operation."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from conformance.adapters import numpy_loops
from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.implementations.declared import read
from conformance.implementations.implementation import Implementation, LoadError, is_explanation, load
from conformance.verdict.declared import DECLARED, marked, sentence_of
from conformance.verdict.judge import Judge
from conformance.verdict.record import blank

CASE = Case.parse("relu:f32:m2h3w4c5:normal:0")


def judged(differs, case=CASE, **functions):
    target = SimpleNamespace(**{**vars(numpy_loops), **functions})
    implementation = Implementation(
        "it", target, Arithmetic.declared(None, None), differs=read(differs, is_explanation)
    )
    return Judge(implementation)(case)[0]


def modulus(Z):
    return np.abs(Z), Z


def modulus_and_one_more(Z):
    A = np.abs(Z)
    A.reshape(-1)[np.argmax(Z)] += 1
    return A, Z


def test_a_diagnosis_excuses_that_slip_alone():
    differs = {"relu": {"relu-absolute": "It takes the modulus."}}
    excused = judged(differs, relu=modulus)
    assert excused.status == "failed"
    assert sentence_of(excused) == "It takes the modulus."
    new = judged(differs, relu=modulus_and_one_more)
    assert new.status == "failed"
    assert sentence_of(new) == ""
    assert judged(differs).status == "passed"


def test_a_function_has_to_account_for_every_wrong_element():
    def where_negative(seen):
        return seen.arrays["Z"] < 0

    differs = {"relu": {where_negative: "Below zero it is another function."}}
    assert sentence_of(judged(differs, relu=modulus))
    assert not sentence_of(judged(differs, relu=modulus_and_one_more))
    shape = judged(differs, relu=lambda Z: (np.abs(Z)[:1], Z))
    assert shape.status == "failed"
    assert not sentence_of(shape)


def test_a_convention_excuses_what_is_right_under_it():
    def last(dA, cache, mode="max"):
        A, hyper = cache[0] if isinstance(cache[0], np.ndarray) else cache[0][0], cache[1]
        out, f, s = np.zeros_like(A), hyper["f"], hyper["stride"]
        for index in np.ndindex(dA.shape):
            i, y, x, k = index
            window = A[i, y * s : y * s + f, x * s : x * s + f, k]
            at = len(window.reshape(-1)) - 1 - window.reshape(-1)[::-1].argmax()
            out[i, y * s + at // f, x * s + at % f, k] += dA[index]
        return out

    def pool_forward(A_prev, hparameters, mode="max"):
        return numpy_loops.pool_forward(A_prev, hparameters, mode)[0], (A_prev, hparameters)

    case = Case.parse("pool_backward:f32:m2h5w6c3_f2s2_max:ties:1")
    differs = {"pool_backward": {"pool-ties=last": "The last of equal maxima gets the gradient."}}
    functions = {"pool_forward": pool_forward, "pool_backward": last}
    assert sentence_of(judged(differs, case, **functions))
    doubled = {**functions, "pool_backward": lambda *a, **k: last(*a, **k) * 2}
    assert judged(differs, case, **doubled).status == "failed"
    assert not sentence_of(judged(differs, case, **doubled))


def test_a_death_is_declared_by_the_case_alone():
    differs = read({"relu": {lambda seen: seen.case["m"] == 0: "It dies of an empty batch."}}, is_explanation)
    dead = blank(CASE.replace(m=0), "A", "failed", reason="the process died of signal 11 in this case")
    assert marked(differs, dead).reason.startswith(f"{DECLARED}It dies of an empty batch.")
    other = blank(CASE, "A", "failed", reason="the process died of signal 11 in this case")
    assert marked(differs, other) == other
    by_value = read({"relu": {lambda seen: np.ones(3, bool): "By its values."}}, is_explanation)
    assert marked(by_value, dead) == dead


@pytest.mark.parametrize(
    ("differs", "text"),
    [
        ({"relu": "It differs."}, "tied to nothing"),
        ({"rleu": {"relu-absolute": "It differs."}}, "no operation"),
        ({"relu": {"relu-absolut": "It differs."}}, "no diagnosis"),
        ({"relu": {"pool-ties=lats": "It differs."}}, "expected one of"),
        ({"relu": {3: "It differs."}}, "got 3"),
        ({"relu": {"relu-absolute": ""}}, "tied to nothing"),
        ("It differs.", "got a str"),
    ],
)
def test_a_sentence_that_is_tied_to_nothing_is_refused(differs, text, tmp_path):
    with pytest.raises(ValueError, match=text):
        read(differs, is_explanation)
    path = tmp_path / "module.py"
    path.write_text(f"def relu(Z):\n    return Z, Z\ndiffers = {differs!r}\n")
    with pytest.raises(LoadError, match=text):
        load(str(path))
