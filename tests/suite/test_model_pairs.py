"""A `ModelNew` beside a `Model` of several operations is compared with it."""

import json
import textwrap
from pathlib import Path

import pytest

from conformance.cli import main
from conformance.implementations.dialects.reference import DependentError, is_pair, names_of
from conformance.models.line import Line
from conformance.models.pair import judged, prepared

RIGHT = Path(__file__).parents[1] / "planted" / "pairs" / "right.py"
CASES = 8

#: What is put behind the right `ModelNew`, and an output that must fail.
WRONG = {
    "no-bias": ("def product(self, x):\n    return self.conv.weight.flatten(1) @ self.columns(x)", "y"),
    "gradient-at-zero": (
        "def act(self, y):\n    return y * (y >= 0)",
        "d(conv.bias)",
    ),
    "zero-gradient": ("def act(self, y):\n    return torch.relu(y).detach() + 0 * y", "d(conv.weight)"),
    "padding": (
        "def columns(self, x):\n    return functional.unfold(functional.pad(x, (2, 0, 1, 1)), 3)",
        "y",
    ),
    "float16": (
        "def product(self, x):\n"
        "    w, c = self.conv.weight.flatten(1), self.columns(x)\n"
        "    return w.half().float() @ c.half().float() + self.conv.bias[:, None]",
        "y",
    ),
}


def changed(tmp_path, method):
    path = tmp_path / "changed.py"
    name = method.split("(")[0].removeprefix("def ")
    text = RIGHT.read_text().replace("class ModelNew(", "class _Right(")
    path.write_text(f"{text}\n\nclass ModelNew(_Right):\n{textwrap.indent(method, '    ')}\n")
    assert f"def {name}(" in text
    return str(path)


@pytest.fixture(scope="module")
def cases():
    """`Model` is the same in all of these files, so that it is run once."""
    return prepared(str(RIGHT), CASES, 0)


def failing(spec, cases):
    found = judged(spec, [case._replace(said=dict(case.said)) for case in cases], 60.0)
    return [record for _, records, _ in found for record in records if record.status == "failed"]


def test_the_cases_have_other_shapes_every_family_and_exact_data(cases):
    assert len({case.line.shapes for case in cases}) > 4
    assert {case.line.family for case in cases} == {"normal", "small", "ties", "positive"}
    exact = {case.line.family for case in cases if case.said["tier"] == "exact"}
    assert exact == {"small", "ties"}
    for case in cases:
        assert Line.parse(str(case.line)) == case.line
        assert not {name.partition(".")[0] for name in case.given} & {"right", "limit"}
        assert all(limit.any() == (case.said["tier"] == "measured") for limit in case.limits.values())


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_fails(tmp_path, cases, name):
    method, output = WRONG[name]
    failures = failing(changed(tmp_path, method), cases)
    assert output in {record.output for record in failures}
    first = next(record for record in failures if record.output == output)
    assert first.index is not None
    assert first.got != first.expected


PATCH = '''

class _Wrong(nn.Module):
    def __init__(self, *sizes):
        super().__init__()
        self.conv = nn.Conv2d(*sizes, 3, padding=1)

    def forward(self, x):
        return functional.max_pool2d(self.conv(x), 2) * 0


Model.forward = _Wrong.forward
functional.max_pool2d, torch.relu = (lambda x, size: x[..., ::size, ::size] * 0), (lambda x: x * 0)


class ModelNew(_Wrong):
    """It tries to have `Model` answer what it answers itself."""

    def forward(self, x):
        import conformance.models.prepare as prepare

        prepare.Reference.case = lambda *_: ({}, {})
        return super().forward(x)
'''


def test_a_module_that_patches_the_reference_changes_nothing(tmp_path, cases):
    path = tmp_path / "patching.py"
    path.write_text(RIGHT.read_text().replace("class ModelNew(", "class _Right(") + PATCH)
    again = prepared(str(path), CASES, 0)
    for case, other in zip(cases, again, strict=True):
        assert all((case.right[name] == other.right[name]).all() for name in case.right)
    assert {record.output for record in failing(str(path), again)} >= {"y"}


def test_a_reference_that_is_the_replacement_is_none(tmp_path):
    path = tmp_path / "same.py"
    path.write_text(RIGHT.read_text() + "\n\nModel = ModelNew\n")
    assert is_pair(str(path))
    with pytest.raises(DependentError, match="uses ModelNew"):
        names_of(str(path))


def test_a_run_says_compared_and_a_case_runs_again(tmp_path, capsys):
    out = tmp_path / "report"
    assert main(["run", "--impl", str(RIGHT), "--cases", str(CASES), "--out", str(out)]) == 0
    assert "1 compared" in capsys.readouterr().out
    summary = json.loads((out / "summary.json").read_text())
    assert summary["states"]["ModelNew"]["state"] == "compared"
    assert summary["comparisons"] == 4 * CASES
    assert 'name="state" value="compared"' in (out / "junit.xml").read_text()
    assert "compared: ModelNew" in (out / "report.md").read_text()
    assert "compared" in (out / "report.html").read_text()
    case = json.loads((out / "results.jsonl").read_text().splitlines()[0])["case"]
    assert main(["repro", case, "--impl", str(RIGHT)]) == 0
    assert "y: passed" in capsys.readouterr().out
