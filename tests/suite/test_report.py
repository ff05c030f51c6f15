"""What the report of a run says: verdict, matrix, failures, coverage, totals."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections import Counter
from functools import partial

import pytest
from report_support import RAISED, full_run, record, summary_of, verdict_of, written

from conformance.generation.corners import corners
from conformance.generation.families import FAMILIES
from conformance.operations import OPERATIONS
from conformance.report import write
from conformance.report.digest import GROUPS, Digest, Spread, digest

#: Cases of a full run with one case for each operation and dtype.
ONE_EACH = 2 * len(OPERATIONS)


@pytest.fixture
def report(tmp_path):
    return partial(written, tmp_path)


def test_all_passed(report):
    result = report(full_run(2))
    assert verdict_of(result)
    assert "<title>Passed: cnnref" in result.html
    assert f"0 of {2 * ONE_EACH} cases fail." in result.page.words
    assert result.markdown.startswith(f"## ✅ cnnref: 0 of {2 * ONE_EACH} cases fail.")
    assert result.tree.get("failures") == "0"
    assert result.tree.get("skipped") == "0"
    for op in OPERATIONS:
        assert f"| {op} |".replace("_", r"\_") in result.markdown
    for fact in (
        "seed 17",
        "torch 2.13.0",
        "platform Linux-6.1-x86_64",
        "dtypes f32, f64",
        "time 61.2 s",
        "ops all",
    ):
        assert fact in result.page.words


def test_failures_name_operation_output_diagnosis_and_repro(report):
    records = [
        *full_run(1),
        *(
            record("conv_backward", n, "failed", output="dW", diagnosis="filter-flipped", dtype="f64")
            for n in range(7, 12)
        ),
        record("pool_backward", 40, "failed", **RAISED, reason="raised ValueError: no window"),
    ]
    result = report(records)
    assert not verdict_of(result)
    sentence = f"6 of {ONE_EACH + 6} cases fail: conv_backward (dW), pool_backward (dA_prev)."
    assert sentence in result.page.words
    command = "conformance repro 'conv_backward:f64:m2h9w7c3_f3k4_s2p1:normal:7' --impl cnnref"
    for said in (result.page.words, result.markdown):
        assert command in said
        assert "filter-flipped" in said
        assert "5 failures" in said
        assert "raised ValueError: no window" in said
    assert f"\n```sh\n{command}\n```\n" in result.markdown
    for said in ("index [0, 1, 2, 3]", "expected -0.125", "got 0.5", "2 further failures"):
        assert said in result.page.words
    failures = {
        (case.get("classname"), case.get("name")): case.find("failure")
        for case in result.tree.iter("testcase")
        if case.find("failure") is not None
    }
    assert len(failures) == 6
    failure = failures["conformance.conv_backward.dW", "conv_backward:f64:m2h9w7c3_f3k4_s2p1:normal:7"]
    assert failure.get("type") == "filter-flipped"
    assert failure.get("message") == "dW: 12 of 96 elements exceed the bound [filter-flipped]"
    assert command in failure.text
    assert "expected -0.125, got 0.5" in failure.text


def test_matrix_counts_and_worst_errors(report):
    records = [
        record(number=1, max_error_ulp=3.25, max_bound_fraction=0.5),
        record(number=2, max_error_ulp=0.75, max_bound_fraction=0.125),
        record(number=3, status="failed", max_error_ulp="inf", max_bound_fraction="nan"),
        record(number=4, dtype="f64", max_error_ulp=7.5, max_bound_fraction=0.0625),
        record("relu", 5, "absent"),
    ]
    result = report(records)
    assert "The largest share of a bound, ∞, is in conv_forward:f32:m2h9w7c3_f3k4_s2p1:normal:3" in (
        result.page.words
    )
    rows = re.findall(r'<th scope="row" class="output">.*?</tr>', result.html, re.DOTALL)
    cells = [" ".join(re.sub(r"<[^>]*>", " ", row).split()).replace("\u2013", "-") for row in rows]
    assert cells == ["Z ✗ failed 3 1 0 0 ∞ 7.50 ∞ 0.06 unexplained 1", "A - absent 0 0 1 0 - - - -"]
    assert "| Z | ❌ failed | 3 | 1 | 0 | 0 | ∞ | 7.50 | ∞ | 0.06 | unexplained 1 |" in result.markdown


@pytest.mark.parametrize("status", [None, "absent"])
def test_nothing_compared_is_a_failed_run(report, status):
    result = report([] if status is None else full_run(1, status))
    assert not verdict_of(result)
    assert "Nothing was compared" in result.page.words
    assert result.markdown.startswith("## ❌ cnnref: Nothing was compared")
    assert result.tree.get("failures") == "1"
    assert result.tree.find("testsuite[@name='run']/testcase/failure") is not None
    assert result.page.named("svg") == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"problems": ["No case of relu.A could have shown a fault."]}, "No case of relu.A could have"),
        ({"passed": ONE_EACH - 1}, f"add up to {ONE_EACH - 1}"),
        (
            {"cases": ONE_EACH + 1, "passed": ONE_EACH + 1},
            f"results.jsonl holds {ONE_EACH} cases, summary.json counts {ONE_EACH + 1}",
        ),
    ],
)
def test_a_run_that_does_not_count_is_failed(report, changes, said):
    result = report(full_run(1), **changes)
    assert not verdict_of(result)
    assert said in result.page.words
    assert said in result.markdown.replace("\\", "")
    assert said in result.junit
    (suite,) = result.tree.findall("testsuite[@name='run']")
    assert suite.get("tests") == suite.get("failures") == str(len(suite)) == "1"


def test_blind_cases_fail_the_run(report):
    result = report(full_run(1), blind=3)
    assert not verdict_of(result)
    for said in (result.page.words, result.markdown):
        assert "3 cases would miss more than 5 % of single dropped terms" in said


def test_every_call_raised(report):
    result = report(full_run(1, "failed", **RAISED, reason="raised KeyError: 'f'"))
    assert not verdict_of(result)
    assert f"{ONE_EACH} of {ONE_EACH} cases fail" in result.page.words
    assert "no result" in result.page.words
    assert result.page.named("svg") == []


def test_everything_failed(report):
    result = report(full_run(1, "failed", max_error_ulp="inf", max_bound_fraction="inf"))
    assert not verdict_of(result)
    assert (
        f"{ONE_EACH} of {ONE_EACH} cases fail: {len(OPERATIONS)} of {len(OPERATIONS)} operations"
        in result.page.words
    )
    assert len(result.page.named("svg")) == 2


def test_absent_operations_are_named_and_skipped(report):
    result = report([record(), record("sigmoid", 0, "absent"), record("softmax", 0, "absent")])
    assert verdict_of(result)
    assert "2 cases absent: the implementation has no sigmoid, softmax." in result.page.words
    assert result.tree.get("skipped") == "2"


def test_junit_totals_add_up(report):
    records = [
        *full_run(2),
        *(record("pool_forward", n, "failed") for n in range(5, 9)),
        *(record("arr2col", n, "absent") for n in range(5, 8)),
    ]
    tree = report(records).tree
    suites = list(tree)
    assert [suite.get("name") for suite in suites[1:]] == list(OPERATIONS)
    for suite in suites:
        assert int(suite.get("tests")) == len(suite.findall("testcase"))
        assert int(suite.get("failures")) == len(suite.findall("testcase/failure"))
        assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped"))
    for total in ("tests", "failures", "skipped", "errors"):
        assert int(tree.get(total)) == sum(int(suite.get(total)) for suite in suites)
    assert sum(int(suite.get("tests")) for suite in suites[1:]) == len(records)
    names = Counter((case.get("classname"), case.get("name")) for case in tree.iter("testcase"))
    assert max(names.values()) == 1


def test_coverage_counts_families_tiers_corners(report):
    known = next(iter(corners("conv_forward")))
    records = [
        record("conv_forward", 1, family="normal", detectability=0.5, corner=known.name),
        record("conv_backward", 2, family="small", tier="exact", detectability=1.0, output="dA_prev"),
        record("conv_backward", 2, family="small", tier="exact", detectability=1.0, output="dW"),
    ]
    words = report(records).page.words
    assert f"normal 1 0 1 0 {FAMILIES['normal'].description}" in words
    assert f"small 1 2 0 0 {FAMILIES['small'].description}" in words
    assert "exact 2 100 % 100 % 0" in words
    assert "statistical 1 50.0 % 50.0 % 1" in words
    assert re.search(r"named corner cases: \d+ not run", words)
    assert f"{known.name} " in words
    assert known.source in words


def test_corner_results(report):
    catalogue = {(corner.name, corner.source) for corner in corners("relu")}
    name, source = next((n, s) for n, s in sorted(catalogue) if [m for m, _ in catalogue].count(n) == 1)
    records = [
        record("relu", 1, "failed", corner=name),
        record("relu", 1, dtype="f64", corner=name),
        record("relu", 2, corner="of-my-own"),
    ]
    words = report(records).page.words
    assert f"{name} ✗ failed relu {source}" in words
    assert "of-my-own ✓ passed relu" in words
    # Only of the operations that ran, each once.
    rest = len(catalogue) - 1
    assert f"{len(catalogue) + 1} named corner cases: 1 failed, {rest} not run, 1 passed" in words


def test_a_corner_shared_by_operations_shows_its_worst_result(report):
    shared = {c.name for c in corners("relu")} & {c.name for c in corners("sigmoid")}
    name = min(shared)
    words = report([record("relu", 1, corner=name), record("sigmoid", 2, "failed", corner=name)]).page.words
    assert f"{name} ✗ failed sigmoid" in words


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "results.jsonl"
    good = record().line()
    for bad in ('{"case": "conv', "[1, 2]", json.dumps({"status": "ok"})):
        path.write_text(f"{good}\n{bad}\n", encoding="utf-8")
        with pytest.raises(ValueError, match=r"results\.jsonl, line 2: not a record"):
            write(path, summary_of([record()]), tmp_path)


def test_memory_does_not_grow_with_the_records(tmp_path):
    path = tmp_path / "results.jsonl"

    def peak(count):
        with open(path, "w", encoding="utf-8") as stream:
            for n in range(count):
                failed = record(number=n, status="failed", reason="r" * 200, diagnosis=f"d{n}")
                stream.write(failed.line() + "\n")
        tracemalloc.start()
        try:
            result = digest(path)
            assert result.records == count
            assert len(result.groups) == GROUPS + 1
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(4000) < 2.5 * peak(500)


def test_spread_keeps_median_and_worst():
    spread = Spread()
    for n, item in enumerate([0.0, 0.0, 1.0, 4.0, 4.0, 4.0, 100.0]):
        spread.add(item, f"case {n}")
    assert (spread.count, spread.worst, spread.worst_case) == (7, 100.0, "case 6")
    assert spread.median == 4.0


def test_digest_of_nothing_is_empty(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text("", encoding="utf-8")
    assert digest(path) == Digest()
