"""A `ModelNew` beside a `Model` of several operations is compared with it."""

import json
import re
import textwrap
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

from conformance.cli import main
from conformance.conventions import Settings
from conformance.generation.arrays import draw
from conformance.generation.generate import generate
from conformance.implementations.dialects import model_pair, model_run
from conformance.implementations.dialects.model_pair import row_in
from conformance.implementations.dialects.reference import DependentError, is_pair, names_of
from conformance.implementations.implementation import load
from conformance.models.judge import judged
from conformance.models.line import Line, lines
from conformance.models.pair import Candidate, Pair, Reference
from conformance.operations import OPERATIONS
from conformance.runs.options import Options, SweepError
from conformance.runs.run import run

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
def reference():
    """`Model` is the same in all of these files, so that it is run once."""
    with closing(Reference(str(RIGHT))) as found:
        yield found


def prepared(reference):
    return [reference.prepared(line) for line in lines(reference.dtype, reference.variants, CASES, 0)]


@pytest.fixture(scope="module")
def cases(reference):
    return prepared(reference)


def failing(spec, cases):
    with closing(Candidate(spec, 60.0)) as candidate:
        found = [record for case in cases for record in judged(candidate, case)]
    return [record for record in found if record.status == "failed"]


def test_the_cases_have_other_shapes_every_family_and_exact_data(cases):
    assert len({case.line.shapes for case in cases}) > 4
    assert {case.line.family for case in cases} == {"normal", "small", "ties", "positive"}
    assert {case.line.family for case in cases if case.tier == "exact"} == {"small", "ties"}
    for case in cases:
        assert Line.parse(str(case.line)) == case.line
        assert not {name.partition(".")[0] for name in case.given} & {"right", "limit"}
        assert all(limit.any() == (case.tier == "measured") for limit in case.limits.values())


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

        prepare.Reference.case = lambda *_: ({}, {}, {})
        return super().forward(x)
'''


def test_a_module_that_patches_the_reference_changes_nothing(tmp_path, cases):
    path = tmp_path / "patching.py"
    path.write_text(RIGHT.read_text().replace("class ModelNew(", "class _Right(") + PATCH)
    with closing(Reference(str(path))) as patched:
        again = prepared(patched)
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
    assert main(["run", "--impl", str(RIGHT), "--cases", str(CASES), "--quiet", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert f": compared: 0 of {CASES} cases failed; operations: 1 compared\n" in said
    summary = json.loads((out / "summary.json").read_text())
    assert summary["states"]["ModelNew"]["state"] == "compared"
    assert summary["comparisons"] == 4 * CASES
    assert 'name="state" value="compared"' in (out / "junit.xml").read_text()
    assert "compared: ModelNew" in (out / "report.md").read_text()
    assert "compared" in (out / "report.html").read_text()
    case = json.loads((out / "results.jsonl").read_text().splitlines()[0])["case"]
    assert main(["repro", case, "--impl", str(RIGHT)]) == 0
    assert "y: passed" in capsys.readouterr().out


#: What only a batch of three shows.
LAST = """def forward(self, x):
    y = super().forward(x)
    return torch.cat([y[:-1], y[-1:] * 0]) if len(x) > 2 else y"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory, reference):
    """A file that is wrong, and what a run of it has written; every run here has the same two processes."""
    folder = tmp_path_factory.mktemp("whole")
    spec = changed(folder, LAST)
    with closing(Candidate(spec, 60.0)) as candidate, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pair, "of", lambda *_: nullcontext(Pair(reference, candidate)))
        patch.setattr("conformance.runs.run.row_in", lambda _: None)
        assert main(["run", "--impl", spec, "--quiet", "--out", str(folder / "out")]) == 1
        yield spec, folder / "out"


def test_a_failure_has_its_name_its_condition_its_place_and_the_smallest_case(whole):
    summary = json.loads((whole[1] / "summary.json").read_text())
    finding = next(found for found in summary["findings"] if found["output"] == "y")
    assert finding["diagnosis"] == "last-sample-missing"
    assert finding["condition"].startswith("only from 3 samples on (all ")
    assert finding["rule"].startswith("m = M-1")
    assert finding["shrunk"] == "ModelNew:f32:3x3x2x2:small:0"
    assert finding["pictures"]


def test_shards_put_together_and_a_run_taken_up_again_are_the_whole(whole, tmp_path, capsys):
    spec, out = whole
    records = (out / "results.jsonl").read_bytes()
    parts = [str(tmp_path / f"part{i}") for i in (1, 2)]
    for i, part in enumerate(parts, 1):
        assert main(["run", "--impl", spec, "--shard", f"{i}/2", "--quiet", "--out", part]) == 1
    assert main(["merge", *parts, "--out", str(tmp_path / "merged")]) == 1
    assert (tmp_path / "merged" / "results.jsonl").read_bytes() == records
    torn = Path(parts[1], "results.jsonl")
    torn.write_bytes(torn.read_bytes()[:9000])
    assert main(["run", "--impl", spec, "--shard", "2/2", "--quiet", "--out", parts[1], "--resume"]) == 1
    assert main(["merge", *parts, "--out", str(tmp_path / "again")]) == 1
    assert (tmp_path / "again" / "results.jsonl").read_bytes() == records
    torn.write_bytes(torn.read_bytes().split(b"\n", 4)[-1])  # without its first case
    assert main(["merge", *parts, "--out", str(tmp_path / "less")]) == 2
    assert "case 1 of the shard" in capsys.readouterr().err


def test_the_users_shapes_alone_and_the_first_failure(whole, tmp_path, capsys):
    shapes = tmp_path / "shapes.txt"
    shapes.write_text("ModelNew: 4x3x6x5\n  # a note\nModelNew: 1x3x2x2\n")
    asked = ["run", "--impl", whole[0], "--quiet", "--out", str(tmp_path / "out")]
    assert main([*asked, "--shapes", str(shapes), "--only-shapes"]) == 1
    assert "4 of 8 cases failed" in capsys.readouterr().out
    assert main([*asked, "--fail-fast"]) == 1
    assert "1 of 3 cases failed" in capsys.readouterr().out
    shapes.write_text("ModelNew: 4x7x6x5\n")
    assert main([*asked, "--shapes", str(shapes), "--only-shapes"]) == 2
    assert "expected input[4, 7, 6, 5] to have 3 channels" in capsys.readouterr().err


def test_what_the_module_refuses_is_refused(tmp_path, cases):
    refusing = """def forward(self, x):
    if len(x) != 1:
        raise ValueError("one sample alone")
    return super().forward(x)"""
    with closing(Candidate(changed(tmp_path, refusing), 60.0)) as candidate:
        found = {len(case.given["input.0"]): judged(candidate, case) for case in cases}
    assert {record.status for record in found[1]} == {"passed"}
    assert {record.status for record in found[3]} == {"refused"}
    assert "one sample alone" in found[3][0].reason


def test_a_process_that_dies_is_a_failed_case_each_until_it_is_asked_no_more(tmp_path, cases, monkeypatch):
    monkeypatch.setattr("conformance.models.pair.LOSSES", 1)
    failures = failing(changed(tmp_path, "def act(self, y):\n    import os\n    os._exit(3)"), cases[:3])
    reasons = [record.reason for record in failures if record.output == "y"]
    assert reasons[0] == "the process died of exit status 3 in this case"
    assert reasons[-1].startswith("not called: the process was lost 2 times")


def test_a_model_of_one_operation_is_run_once_to_tell_which(tmp_path):
    path, seen = tmp_path / "single.py", tmp_path / "seen"
    path.write_text(
        "from torch import nn\nimport torch\n\nclass Model(nn.Module):\n    def forward(self, x):\n"
        f"        open({str(seen)!r}, 'a').write('x')\n        return torch.relu(x)\n\n"
        "class ModelNew(nn.Module):\n    def forward(self, x):\n        return x.clamp(min=0)\n\n"
        "def get_inputs():\n    return [torch.rand(2, 3, 4, 5)]\n"
    )
    assert row_in(str(path)) == "relu"
    runs = seen.read_text()
    with closing(load(str(path), Settings(model="relu"))) as implementation:
        assert implementation.has("relu_backward")
    assert seen.read_text() == runs


#: A constructor, the layer of a `Model`, and the operation whose options the constructor takes.
LAYERS = (
    ("i, o, k, stride=1, padding=0", "nn.Conv2d(i, o, k, stride, padding)", "conv2d"),
    ("i, o, k, stride=1, padding=0, bias=False", "nn.Conv2d(i, o, k, stride, padding, bias=bias)", None),
    ("i, o, k", "nn.Conv2d(i, o, k, padding=1)", None),
    ("i, o, k, padding=0", "nn.Conv2d(i, o, k, padding=padding, stride=2)", None),
    ("k, stride=None, padding=0", "nn.MaxPool2d(k, stride, padding)", "max_pool2d"),
    ("k, s=2, padding=0", "nn.AvgPool2d(k, s, padding, count_include_pad=False)", None),
    ("k, s=2, padding=0", "nn.AvgPool2d(k, s, padding, ceil_mode=True)", None),
    ("", "nn.MaxPool2d(3, 2, 1)", None),
    ("", "nn.GELU()", "gelu"),
    ("", "nn.GELU(approximate='tanh')", None),
    ("slope=0.01", "nn.LeakyReLU(slope)", "leaky_relu"),
    ("", "nn.LeakyReLU(0.2)", None),
    ("i, o", "nn.Linear(i, o)", "linear"),
    ("i, o", "nn.Linear(i, o, bias=False)", None),
    ("n, eps=1e-5, momentum=0.1", "nn.BatchNorm2d(n, eps, momentum)", "batch_norm"),
    ("n", "nn.BatchNorm2d(n)", None),
)


@pytest.mark.parametrize(("takes", "layer", "row"), LAYERS)
def test_a_model_whose_constructor_fixes_an_option_is_compared(tmp_path, capsys, takes, layer, row):
    sizes = {"i, o": "[4, 6]", "i, o, k": "[4, 6, 3]", "k": "[2]", "n": "[4]"}
    first = next((s for s in ("i, o, k", "i, o", "k", "n") if takes.startswith(s)), "")
    shape = (3, 4) if "Linear" in layer else (2, 4, 9, 7)
    path = tmp_path / "fixed.py"
    names = {"i": "in_channels", "o": "out_channels", "k": "kernel_size", "s": "stride"}
    if "Norm" in layer:
        names = {"n": "num_features"}
    if "Linear" in layer:
        names |= {"i": "in_features", "o": "out_features"}
    for short, name in names.items():
        takes, layer = (re.sub(rf"\b{short}\b(?!=True)", name, text) for text in (takes, layer))
    path.write_text(
        f"import torch\nfrom torch import nn\n\nclass Model(nn.Module):\n    def __init__(self, {takes}):\n"
        f"        super().__init__()\n        self.layer = {layer}\n\n"
        "    def forward(self, x):\n        return self.layer(x)\n\n"
        "class ModelNew(nn.Module):\n    pass\n\n"
        f"def get_inputs():\n    return [torch.rand{shape}]\n\n"
        f"def get_init_inputs():\n    return {sizes.get(first, '[]')}\n"
    )
    model_run.main(str(path))
    called = json.loads(capsys.readouterr().out)
    assert (model_pair.named(called) if model_pair.single(called) else None) == row


def test_a_process_that_is_started_later_is_told_what_the_model_computes(tmp_path):
    path, calls = tmp_path / "counted.py", tmp_path / "calls"
    path.write_text(
        "import torch\nfrom torch import nn\n\nclass Model(nn.Module):\n    def forward(self, x):\n"
        "        return torch.relu(x)\n\nclass ModelNew(Model):\n    pass\n\n"
        f"def get_inputs():\n    open({str(calls)!r}, 'a').write('.')\n"
        "    return [torch.rand(2, 4, 9, 7)]\n\n"
        "def get_init_inputs():\n    return []\n"
    )
    implementation = load(str(path))
    assert implementation.has("relu")
    assert calls.read_text() == "."
    fresh = implementation.fresh()
    assert fresh is not None
    assert fresh.has("relu")
    case = next(generate([OPERATIONS["relu"]], ["f32"], 1, 0))
    assert fresh.call(case, draw(case)).error is None
    assert calls.read_text() == "."


def test_the_users_cases_are_of_the_kind_that_the_model_is(monkeypatch):
    monkeypatch.setattr("conformance.runs.run.row_in", lambda _: "relu")
    with pytest.raises(SweepError, match="Model is relu: give its shapes so"):
        run(Options(str(RIGHT), own=("ModelNew:4x3x6x5",)), Path("unused"))
    monkeypatch.setattr("conformance.runs.run.row_in", lambda _: None)
    with pytest.raises(SweepError, match="ModelNew: 16x3x32x32 says a shape"):
        run(Options(str(RIGHT), own=("relu:f32:m1h2w2c1:normal:0",)), Path("unused"))
