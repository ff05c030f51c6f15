"""The gate: whatever is worse than the baseline is said, and nothing else."""

import copy
import json

import pytest

from conformance.generation.generate import generate
from conformance.implementations.implementation import load
from conformance.operations import select
from conformance.runs import gate
from conformance.runs.options import Options
from conformance.verdict.judge import Judge

OPTIONS = Options("numpy_loops", ("affine_backward", "relu"), ("f32",), 20, 0)


@pytest.fixture(scope="module")
def records():
    judge = Judge(load("numpy_loops"))
    return [judge(case) for case in generate(select(list(OPTIONS.operations)), ("f32",), 20, 0)]


def observed(records):
    found = gate.Observed()
    for case in records:
        found.add(case)
    return found


def worse(records, baseline):
    return gate.compare(baseline, observed(records), OPTIONS)


def failing(records, diagnosis="flipped"):
    """The same records with the first output of the first case failed."""
    first = [r.but(status="failed", diagnosis=diagnosis) if r.output == "dA_prev" else r for r in records[0]]
    return [first, *records[1:]]


@pytest.fixture
def baseline(records):
    return observed(records).baseline(OPTIONS, None)


def test_the_same_run_passes(records, baseline):
    assert worse(records, baseline) == []


def test_a_baseline_survives_its_file(records, baseline, tmp_path):
    gate.write(tmp_path / "baseline.json", baseline)
    assert gate.read(tmp_path / "baseline.json") == baseline
    text = (tmp_path / "baseline.json").read_text()
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True) + "\n"


def test_an_infinite_error_is_written_and_read_and_may_not_be_reached_anew(records, baseline, tmp_path):
    endless = [[r.but(max_error_ulp="inf") if r.output == "dA_prev" else r for r in records[0]], *records[1:]]
    gate.write(tmp_path / "baseline.json", observed(endless).baseline(OPTIONS, None))
    assert worse(endless, gate.read(tmp_path / "baseline.json")) == []
    assert any("worst error grew" in line and "inf" in line for line in worse(endless, baseline))


@pytest.mark.parametrize(
    ("value", "up"), [(0.0, 0.0), (0.5, 0.51), (0.123, 0.13), (9.99, 10.0), (37.2, 38.0)]
)
def test_errors_are_rounded_up_a_little(value, up):
    assert gate.rounded_up(value) == up


def test_a_grown_error_is_a_problem(records, baseline):
    figures = baseline["operations"]["affine_backward"]["f32"]["dW"]
    figures["max_error_ulp"] /= 2
    (sentence,) = worse(records, baseline)
    assert sentence.startswith("affine_backward.dW f32: worst error grew from")


@pytest.mark.parametrize(("share", "problems"), [(0.4, 0), (0.6, 1)])
def test_in_the_oracle_s_own_dtype_an_error_grows_beyond_its_share(baseline, share, problems):
    new = json.loads(json.dumps(baseline))
    figures = baseline["operations"]["affine_backward"]["f32"]
    for old in (baseline, new):
        old["operations"]["affine_backward"]["f64"] = {"dW": {**figures["dW"], "max_bound_fraction": 0.3}}
    new["operations"]["affine_backward"]["f64"]["dW"] |= {"max_error_ulp": 1e9, "max_bound_fraction": share}
    assert len(list(gate._errors(baseline, new))) == problems


def test_lost_coverage_is_a_problem(records, baseline):
    assert any("cases compared, the baseline has 20" in s for s in worse(records[1:], baseline))
    fewer = [case for case in records if case[0].family != "wide-g"]
    assert any("families no longer covered: wide-g" in s for s in worse(fewer, baseline))
    fewer = [case for case in records if case[0].corner is None]
    assert any("corners no longer covered" in s for s in worse(fewer, baseline))


def test_absent_functions_are_lost_coverage(records, baseline):
    absent = [[r.but(status="absent") for r in case] if case[0].op == "relu" else case for case in records]
    assert any("relu.A f32: 0 cases compared" in s for s in worse(absent, baseline))


def test_a_new_operation_is_not_in_the_baseline(records, baseline):
    old = copy.deepcopy(baseline)
    del old["operations"]["relu"]
    assert worse(records, old) == ["relu.A f32 is not in the baseline: write it with --update"]


def test_a_new_failure_is_a_problem(records, baseline):
    (sentence,) = [s for s in worse(failing(records), baseline) if "failure" in s]
    assert sentence == f"new failure: affine_backward.dA_prev in {records[0][0].case} (flipped)"


def test_a_known_failure_needs_a_reason_and_has_to_fail_as_it_did(records, baseline):
    known = observed(failing(records)).baseline(OPTIONS, baseline)
    assert any("have no reason" in s for s in worse(failing(records), known))
    known["known_failures"][0]["reason"] = "tracked elsewhere"
    assert worse(failing(records), known) == []
    assert observed(failing(records)).baseline(OPTIONS, known) == known  # --update keeps the reason
    (sentence,) = worse(records, known)
    assert sentence.startswith("known failure passes: affine_backward.dA_prev in ")
    (sentence,) = worse(failing(records, "swapped"), known)
    assert sentence.endswith("was known as flipped, now it is swapped")


def test_of_many_failures_of_one_kind_some_are_named(records, baseline):
    every = [
        [r.but(status="failed", diagnosis="flipped") if r.output == "dA_prev" else r for r in case]
        for case in records
    ]
    failed = sorted(case[0].case for case in every if case[0].op == "affine_backward")
    sentences = [s for s in worse(every, baseline) if "failure" in s]
    assert sentences == [
        *(f"new failure: affine_backward.dA_prev in {case} (flipped)" for case in failed[: gate.SHOWN]),
        f"{len(failed) - gate.SHOWN} more new failures of affine_backward.dA_prev (flipped)",
    ]
    (hidden,) = [s for s in gate.compare(baseline, observed(every), OPTIONS, 0) if "failure" in s]
    assert hidden == f"{len(failed)} new failures of affine_backward.dA_prev (flipped)"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"options": 3}', '{"operations": {"relu": []}}'])
def test_a_damaged_baseline_is_refused(tmp_path, text):
    path = tmp_path / "baseline.json"
    path.write_text(text)
    with pytest.raises(gate.BaselineError, match=r"baseline\.json"):
        gate.read(path)
    with pytest.raises(gate.BaselineError, match="no such file"):
        gate.read(tmp_path / "other.json")
