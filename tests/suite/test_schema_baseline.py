"""Baselines that are read back: what does not belong is named with file, line and field, and ends with 2."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schema_support import VALUES, changed, few, places

from conformance.cli import main
from conformance.implementations.implementation import load
from conformance.runs import gate
from conformance.runs.run import Options
from conformance.verdict.judge import Judge

RIGHT = {"cases": 1, "max_error_ulp": 0.0, "max_bound_fraction": 0.0}


def baseline():
    observed = gate.Observed()
    judge = Judge(load("numpy_loops"))
    options = Options("numpy_loops", ("relu",), ("f32",), 6, 0)
    for case in options.generate():
        observed.add(
            [r.but(status="failed", diagnosis="flipped") if case.seed % 3 == 0 else r for r in judge(case)]
        )
    return observed.baseline(options, None)


BASELINE = baseline()


@few
@given(st.data())
def test_any_value_anywhere_in_a_baseline(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzzed.json"
    place = data.draw(st.sampled_from(list(places(BASELINE))))
    path.write_text(json.dumps(changed(BASELINE, place, data.draw(VALUES)), indent=1))
    try:
        found = gate.read(path)
    except gate.BaselineError as error:
        assert re.search(r"fuzzed\.json, line \d+: ", str(error))  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
        return
    for sentence in gate.compare(found, gate.Observed(), Options("numpy_loops", ("relu",), ("f32",), 6, 0)):
        assert isinstance(sentence, str)


def figures(text, key="max_error_ulp"):
    """The baseline with another figure, and the line on which it stands."""
    written = json.dumps(BASELINE, indent=1, sort_keys=True)
    at = next(i for i, line in enumerate(written.splitlines(), 1) if f'"{key}"' in line)
    return re.sub(rf'"{key}": [^,\n]+', f'"{key}": {text}', written, count=1), at


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", '"nan"', "-1", "1e999", "true", "null", '"0"', "[]"]
)
def test_a_figure_that_is_no_number_does_not_switch_a_check_off(text, tmp_path, capsys):
    path = tmp_path / "baseline.json"
    damaged, line = figures(text)
    path.write_text(damaged)
    place = re.escape("operations.relu.f32.A.max_error_ulp")
    with pytest.raises(gate.BaselineError, match=rf"baseline\.json, line {line}: {place}: expected .*, got"):
        gate.read(path)
    assert main(["gate", "--baseline", str(path), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("operations", "relu", "f32", "dZ"), RIGHT, "operations.relu.f32.dZ"),
        (("operations", "relu", "f8"), {}, "operations.relu.f8"),
        (("operations", "relu", "f32", "A", "cases"), 7, "operations.relu.f32.A.cases"),
        (("operations", "relu", "f32", "A", "extra"), 7, "operations.relu.f32.A.extra"),
        (("options", "dtypes"), ["f32", "f32"], "options.dtypes[1]"),
        (("options", "dtypes"), ["f9"], "options.dtypes[0]"),
        (("options", "ops"), [], "options.ops"),
        (("options", "seed"), 10**9, "options.seed"),
        (("options", "cases"), 0, "options.cases"),
        (("schema",), 7, "schema"),
        (("schema",), "1", "schema"),
        (("families", "relu"), "small", "families.relu"),
        (("known_failures", 0, "output"), "relu.Z", "known_failures[0].output"),
        (("known_failures", 0, "cases"), ["tanh:f32:m1h2w3c4:normal:1"], "known_failures[0].cases[0]"),
        (("known_failures", 0, "cases"), ["relu:f32:m1h2:normal:1"], "known_failures[0].cases[0]"),
        (("more",), 1, "more"),
    ],
)  # fmt: skip
def test_a_baseline_that_contradicts_itself(path, value, field, tmp_path):
    file = tmp_path / "baseline.json"
    document = changed_or_added(BASELINE, path, value)
    file.write_text(json.dumps(document, indent=1))
    with pytest.raises(gate.BaselineError, match=re.escape(f": {field}: expected ")) as error:
        gate.read(file)
    line = int(re.search(r"line (\d+)", str(error.value))[1])
    name = re.sub(r"\[\d+\]$", "", field).rpartition(".")[2]
    assert f'"{name}"' in "\n".join(file.read_text().splitlines()[max(line - 3, 0) : line])


def changed_or_added(value, path, new):
    if len(path) == 1 and isinstance(value, dict):
        return {**value, path[0]: new}
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed_or_added(value[path[0]], path[1:], new)
    return copy


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b'{"schema": 1,\n "schema": 1}', "line 2: schema: expected each key once"),
        (b'{"schema": 1,\n "options": {"a": 1,\n "a": 2}}', r"line 3: options\.a: expected each key once"),
        (b'{\n"implementation": "\xff"}', "line 2: expected UTF-8, got the byte 0xff"),
        (b'{\n"implementation": "\\ud800"}', "surrogate"),
        (b'{\n"implementation": "a\x00"}', "line 2: not JSON"),
        (b'{\n"schema": 1', "line 2: not JSON"),
        (b'{"schema": ' + b"9" * 6000 + b"}", "line 1: schema: expected a finite number"),
        (b'{"a": ' + b"[" * 200_000, "too deep"),
        (b'{"a": ' * 200_000, "too deep"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"", "line 1: not JSON"),
    ],
)  # fmt: skip
def test_json_that_others_read_otherwise(content, named, tmp_path):
    path = tmp_path / "baseline.json"
    path.write_bytes(content)
    with pytest.raises(gate.BaselineError, match=named) as error:
        gate.read(path)
    assert len(str(error.value)) < 400


def test_a_baseline_without_an_end_is_not_read():
    with pytest.raises(gate.BaselineError, match="expected at most"):
        gate.read(Path("/dev/zero"))


def test_baselines_of_the_first_version_are_read(tmp_path):
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps({key: value for key, value in BASELINE.items() if key != "schema"}))
    assert gate.read(path)["operations"] == BASELINE["operations"]
    gate.write(path, BASELINE)
    assert json.loads(path.read_text())["schema"] == 1
