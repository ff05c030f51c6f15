"""Form and value are judged apart: what another dtype or shape hides is judged, and said once."""

from __future__ import annotations

import textwrap
import warnings

import numpy as np
import pytest

from conformance.cases.case import Case
from conformance.generation.generate import generate
from conformance.implementations.implementation import load
from conformance.operations import select
from conformance.report.summary import Summary
from conformance.verdict.form import fault, read
from conformance.verdict.judge import Judge

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)

NATURAL = """
    import numpy as np
    from conformance.adapters import numpy_loops as n
    def relu(Z):
        return np.maximum(Z, 0).astype(np.float64), Z
    def conv_backward(dZ, cache):
        dA, dW, db = n.conv_backward(dZ, cache)
        return dA, dW, db.reshape(-1)
    def affine_backward(dZ, cache):
        dA, dW, db = n.affine_backward(dZ, cache)
        return dA.astype(np.float64), dW.astype(np.float64) / len(dZ), db
    def create_mask_from_window(x):
        return n.create_mask_from_window(x).astype(bool)
    def distribute_value(dz, shape): return np.full(shape, dz / (shape[0] * shape[1]))
    def conv_single_step(a_slice_prev, W, b): return np.sum(a_slice_prev * W) + b
    def cross_entropy_cost(AL, Y, batch_size=None):
        return -np.log(AL[np.arange(len(AL)), np.asarray(Y).reshape(-1)]).mean(), (AL, Y)
"""
HARMLESS = ("create_mask_from_window", "distribute_value", "conv_single_step", "cross_entropy_cost")


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    path = tmp_path_factory.mktemp("form") / "natural.py"
    path.write_text(textwrap.dedent(NATURAL))
    judge, found = Judge(load(str(path))), Summary()
    names = [*HARMLESS, "relu", "conv_backward", "affine_backward"]
    cases = [case for case in generate(select(names), ("f32", "f64"), 24, 0) if not case.beyond]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the mean of an empty batch
        for case in cases:
            found.add(case, judge(case))
    about = dict.fromkeys(("implementation", "versions", "oracle", "seed"), "")
    return found.to_dict(listed=len(cases), asked=12, **about)


def test_natural_code_raises_no_alarm(summary):
    for op in HARMLESS:
        assert summary["states"][op]["state"] == "agrees", op
        assert any(op in remark for remark in summary["remarks"]), op


def test_another_form_is_one_fault_of_the_module(summary):
    found = {one["id"]: one for one in summary["faults"]}
    assert set(found) == {"dtype-not-kept", "shape-flattened"}
    kept = {"relu.A", "affine_backward.dA_prev", "affine_backward.dW"}
    assert set(found["dtype-not-kept"]["outputs"]) == kept
    assert set(found["shape-flattened"]["outputs"]) == {"conv_backward.db"}
    for one in found.values():
        assert one["sentence"].count(one["id"]) == 1
    for op in ("relu", "conv_backward"):
        assert summary["states"][op]["state"] == "disagrees"  # exit 1, though each value is right
        assert not any(output["failed"] for output in summary["operations"][op].values())


def test_values_of_another_dtype_are_judged_and_diagnosed(summary):
    diagnoses = summary["operations"]["affine_backward"]["dW"]["diagnoses"]
    assert diagnoses["gradient-divided-by-m"] > 10
    assert "unexplained" not in diagnoses
    assert summary["operations"]["affine_backward"]["dA_prev"]["failed"] == 0


def test_float32_in_place_of_float64_is_judged_in_float64(tmp_path):
    path = tmp_path / "single.py"
    path.write_text("import numpy as np\ndef relu(Z): return np.maximum(Z, 0).astype(np.float32), Z\n")
    judge = Judge(load(str(path)))
    (record,) = judge(Case.parse("relu:f64:m2h3w4c5:normal:0"))
    assert (record.status, fault(record.form)) == ("failed", "dtype-not-kept")
    assert record.diagnosis == "computed-in-float32"
    (record,) = judge(Case.parse("relu:f64:m2h3w4c5:small:0"))
    assert (record.status, fault(record.form)) == ("passed", "dtype-not-kept")


@pytest.mark.parametrize(
    ("shape", "asked", "name"),
    [
        ((4,), (1, 1, 1, 4), "shape-flattened"),
        ((4, 1), (1, 4), None),
        ((4, 1), (1, 1, 1, 4), "shape-flattened"),
        ((2, 60), (2, 3, 4, 5), "shape-flattened"),
        ((24, 5), (2, 3, 4, 5), "shape-flattened"),
        ((3, 2), (2, 3), None),
        ((5, 24), (2, 3, 4, 5), None),
        ((0,), (0, 3), None),
        ((2, 3, 4, 6), (2, 3, 4, 5), None),
    ],
)
def test_the_same_elements_in_the_same_order(shape, asked, name):
    got = np.arange(np.prod(shape), dtype=F32).reshape(shape)
    form = read(got, asked, F32)
    if name is None:
        assert form.wrong == f"shape is {shape}, expected {asked}"
    else:
        assert (form.fault, form.value.shape) == (name, asked)
        assert np.array_equal(form.value.reshape(-1), got.reshape(-1))


@pytest.mark.parametrize("got", [None, "x", [1.0], np.zeros(3, complex), np.zeros(3, object), True])
def test_what_is_no_array_of_numbers_cannot_be_read(got):
    assert read(got, (3,), F32).wrong
    assert read(got, (), None).wrong
