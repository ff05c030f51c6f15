"""Records and shards that are read back: what does not belong is named with file, line and field."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schema_support import VALUES, changed, few, places

from conformance.cli import main
from conformance.commands.merge import merge
from conformance.generation.generate import generate
from conformance.implementations.implementation import load
from conformance.operations import select
from conformance.report.digest import rows
from conformance.runs.run import Options, Sweep, run
from conformance.runs.shards import Shard, SweepError, kept, read_record
from conformance.runs.workers import batches
from conformance.verdict.judge import Judge

OPTIONS = Options("numpy_loops", ("pad3d", "affine_backward"), ("f32", "f64"), 12, 3)


@pytest.fixture(scope="module")
def lines():
    judge = Judge(load("numpy_loops"))
    cases = list(generate(select(list(OPTIONS.operations)), ("f32",), 12, 3))
    return [record.line() for case in cases for record in judge(case)]


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The two shards of a run."""
    top = tmp_path_factory.mktemp("parts")
    for index in (1, 2):
        run(OPTIONS, top / str(index), sweep=Sweep(workers=1, shard=Shard(index, 2)))
    return top


@pytest.fixture
def shards(parts, tmp_path):
    """A copy of them."""
    shutil.copytree(parts, tmp_path / "parts")
    return [tmp_path / "parts" / "1", tmp_path / "parts" / "2"]


def test_a_record_of_another_case_is_no_record(lines):
    wrong = {
        "op": "relu", "dtype": "f64", "family": "normal", "kind": "statistical", "output": "dZ",
        "status": "fine", "tier": "guessed", "max_error_ulp": -1.0, "max_bound_fraction": 2.5, "index": [-1],
        "expected": "much", "got": "inf ", "detectability": 1.5, "diagnosis": "flipped",
    }  # fmt: skip
    text = next(line for line in lines if '"family": "small"' in line and '"op": "affine_backward"' in line)
    assert read_record(text.encode()).line() == text
    for name, value in wrong.items():
        damaged = json.dumps({**json.loads(text), name: value}).encode()
        with pytest.raises(SweepError, match=rf"^(not a record: )?{name}: expected .*, got"):
            read_record(damaged)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t.replace('{"case"', '{"case": "x", "case"'), "case"),
        (lambda t: t.replace('"index": ', '"index": NaN, "index": '), "NaN|malformed"),
        (lambda t: re.sub(r'"got": [^,]+', '"got": NaN', t), "malformed"),
        (lambda t: re.sub(r'"got": [^,]+', '"got": 1e999', t), "out of range.*got"),
        (lambda t: re.sub(r'"got": [^,]+', '"got": "' + "9" * 70_000 + '"', t), "got"),
        (lambda t: t.replace('"index"', '"\x00index"'), "malformed"),
        (lambda t: t.replace('"index"', '"more": ' + "[" * 30_000 + ', "index"'), "not a record"),
        (lambda t: t[:-1], "truncated"),
        (lambda t: t.replace(', "reason": ""', ""), "reason"),
        (lambda t: t.replace(": ", ":"), "case"),
        (lambda t: t.replace('"reason": ""', '"reason": "\\ud800"'), "not a record"),
    ],
)
def test_json_that_no_run_writes(lines, change, named):
    with pytest.raises(SweepError, match=named) as error:
        read_record(change(lines[0]).encode("utf-8"))
    assert len(str(error.value)) < 400
    with pytest.raises(SweepError):
        read_record(lines[0].encode().replace(b"pad3d", b"pad3\xff"))


@few
@given(st.data())
def test_any_value_in_any_field_of_a_record(lines, data):
    row = json.loads(data.draw(st.sampled_from(lines)))
    row[data.draw(st.sampled_from(sorted(row)))] = data.draw(VALUES)
    line = json.dumps(row).encode()
    try:
        record = read_record(line)
    except SweepError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    assert record.line().encode() == line
    assert record.case.split(":")[:2] == [record.op, record.dtype]


def test_a_report_names_the_line_of_a_record_that_is_not_its_case(lines, tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text("\n".join([*lines[:3], lines[3].replace('"dtype": "f32"', '"dtype": "f64"')]) + "\n")
    with pytest.raises(
        ValueError, match=r"results\.jsonl, line 4: dtype: expected f32, which the case names"
    ):
        list(rows(path))


def test_a_run_that_is_resumed_judges_forged_records_again(lines, tmp_path):
    cases = list(generate(select(list(OPTIONS.operations)), ("f32",), 12, 3))
    path = tmp_path / "results.jsonl"
    for old, new in (
        ('"family": ', '"family": "x'),
        ('"op": "affine', '"op": "conv'),
        ('"corner": ', '"corner": "ne'),
    ):
        forged = [
            *lines[:13],
            *(line.replace(f'{old}"', f'{new}"').replace(old, new, 1) for line in lines[13:]),
        ]
        path.write_text("".join(f"{line}\n" for line in forged))
        found = []

        def reading(found=found):
            found.extend(batch for batch in (yield from kept(path, batches(cases))))

        before = [case for case, _ in reading()]
        assert len(before) == 12, "the first batch, which is as it was"
        assert sum(map(len, found)) == 12


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"op": "affine_backward"', '"op": "affine_forward"'),
        ('"dtype": "f32"', '"dtype": "f64"'),
        ('"family": "', '"family": "not-'),
        ('"corner": null', '"corner": "nan"'),
        ('"status": "passed"', '"status": "absent"'),
        ('"max_bound_fraction": ', '"max_bound_fraction": 1'),
    ],
)
def test_merge_names_the_line_of_a_forged_record(shards, tmp_path, old, new):
    path = shards[0] / "results.jsonl"
    found = path.read_text().splitlines(keepends=True)
    at = next(i for i, line in enumerate(found) if old in line)
    found[at] = found[at].replace(old, new)
    path.write_text("".join(found))
    assert main(["merge", *map(str, shards), "--out", str(tmp_path / "all")]) == 2
    field = old.split('"')[1]
    with pytest.raises(SweepError, match=rf"results\.jsonl, line {at + 1}: .*({field}|tier): expected"):
        merge(shards, tmp_path / "all")
    assert not (tmp_path / "all" / "results.jsonl").exists()


def test_summaries_that_do_not_add_up_are_not_merged(shards, tmp_path):
    path = shards[1] / "summary.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "passed": facts["passed"] - 1}))
    with pytest.raises(
        SweepError, match=r"summary\.json, line 1: cases: expected passed \+ failed \+ absent \+ "
    ):
        merge(shards, tmp_path / "all")
    path.write_text(json.dumps({**facts, "passed": facts["passed"] - 1, "absent": facts["absent"] + 1}))
    with pytest.raises(SweepError, match="passed: expected a sum of"):
        merge(shards, tmp_path / "all")
    path.write_text(json.dumps(facts))
    assert merge(shards, tmp_path / "all").agrees


@pytest.mark.parametrize("name", ["run.json", "summary.json"])
@settings(few, max_examples=50)
@given(data=st.data())
def test_any_value_anywhere_in_what_a_shard_says_of_itself(parts, tmp_path_factory, name, data):
    top = tmp_path_factory.mktemp("damaged")
    shutil.copytree(parts, top / "parts")
    path = top / "parts" / "1" / name
    document = json.loads(path.read_text())
    known = [
        p
        for p in places(document)
        if not p
        or p[0]
        in (
            "schema",
            "operations",
            "dtypes",
            "cases",
            "seed",
            "shard",
            "implementation",
            "settings",
            "versions",
            "oracle",
            "arithmetic",
            "options",
            "passed",
            "failed",
            "absent",
        )
    ]
    place = data.draw(st.sampled_from(known))
    path.write_text(json.dumps(changed(document, place, data.draw(VALUES)), indent=1))
    try:
        merge([top / "parts" / "1", top / "parts" / "2"], top / "all")
    except SweepError as error:
        assert str(path.parent) in str(error)  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
    finally:
        shutil.rmtree(top)


def test_a_run_that_the_first_version_began_is_not_taken_up(shards, tmp_path, capsys):
    path = shards[0] / "run.json"
    asked = json.loads(path.read_text())
    del asked["schema"]
    path.write_text(json.dumps(asked, indent=1))
    with pytest.raises(SweepError, match=r"run\.json, line 1: schema: expected 1: an earlier version"):
        merge(shards, tmp_path / "all")
    again = ["run", "--impl", "numpy_loops", "--ops", *OPTIONS.operations, "--cases", "12", "--seed", "3"]
    assert main([*again, "--shard", "1/2", "--resume", "--out", str(shards[0])]) == 2
    assert "an earlier version began this run; start it anew" in capsys.readouterr().err


def test_what_is_written_says_its_schema(parts):
    for name in ("run.json", "summary.json"):
        assert json.loads((parts / "1" / name).read_text())["schema"] == 1


def test_half_a_surrogate_pair_is_not_written(lines):
    record = read_record(lines[0].encode()).but(
        status="failed", reason="a\ud800b\U0001f600", diagnosis="raised \udfff"
    )
    back = read_record(record.line().encode())
    assert (back.reason, back.diagnosis) == ("a\ufffdb\U0001f600", "raised \ufffd")
