"""``conformance.check``, the mark of pytest, and the examples of docs/check.md."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import conformance
from conformance.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "check.md").read_text(encoding="utf-8")


def blocks(section):
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```(?:python|text|console)\n(.*?)```", text, re.DOTALL)


def relu(Z):
    return np.maximum(Z, 0), Z


def relu_backward(dA, cache):
    return np.where(cache < 0, 0, dA)


def tanh(Z):
    A = np.tanh(Z)
    A[:, :, 4:] = 0  # columns from the fifth on
    return A, A


@pytest.fixture(scope="module")
def wrong():
    """What comes of functions with a fault, in this process."""
    functions = {"relu": relu, "relu_backward": relu_backward, "tanh": tanh}
    return conformance.check(functions, ["relu", "relu_backward", "tanh"], dtypes="f32", cases=24)


def test_functions_by_name_are_judged(wrong):
    assert wrong.states == {"relu": "agrees", "relu_backward": "disagrees", "tanh": "disagrees"}
    assert not wrong.agrees
    of_relu = [failure for failure in wrong.failures if failure.output == "dZ"]
    assert {failure.diagnosis for failure in of_relu} == {"relu-gradient-at-zero"}
    first = of_relu[0]
    assert first.case.startswith("relu_backward:f32:")
    assert first.output == "dZ"
    assert first.expected == 0 != first.got
    assert len(first.index) == 4
    assert str(first.index[0]) in str(first)
    assert wrong.summary["failed"] == len({failure.case for failure in wrong.failures})


def test_a_result_says_what_is_wrong_in_text_and_html(wrong):
    with pytest.raises(AssertionError, match=r"functions: disagrees: \d+ of 72 cases failed") as error:
        wrong.assert_agrees()
    assert str(error.value) == repr(wrong)
    assert "relu_backward.dZ: " in repr(wrong)
    assert "[relu-gradient-at-zero]" in repr(wrong)
    page = wrong._repr_html_()
    assert "<svg" in page  # where it is wrong
    assert "relu_backward" in page
    assert 'class="failed"' in page
    assert "--impl" not in page  # no command can run it again


def test_what_a_result_shows_is_text_and_no_markup(wrong):
    from conformance.report.notebook import page

    summary = json.loads(json.dumps(wrong.summary))
    summary["remarks"], summary["problems"] = ["<script>1</script>"], ["<b>x</b>"]
    shown = page(summary, "<i>verdict</i>", False)
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "<i>" not in shown


def test_lines_of_shapes_and_a_folder_for_the_report(tmp_path):
    functions = SimpleNamespace(relu=relu)
    own = ["relu: n=2 c=3 h=4 w=5", "relu:f32:m2h3w4c5:ties:4"]
    result = conformance.check(functions, "relu", dtypes="f32", shapes=own, only_shapes=True, out=tmp_path)
    result.assert_agrees()
    cases = [json.loads(line)["case"] for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert {case.split(":")[2] for case in cases} == {"m2h4w5c3", "m2h3w4c5"}
    assert "relu:f32:m2h3w4c5:ties:4" in cases
    assert result.summary["options"]["own"] == len(cases)
    assert (tmp_path / "report.html").exists()


def test_fail_fast_ends_with_the_first_failure(tmp_path):
    functions = {"relu_backward": relu_backward}
    result = conformance.check(
        functions, "relu_backward", dtypes="f32", cases=40, fail_fast=True, out=tmp_path
    )
    assert result.summary["failed"] == 1
    assert result.summary["cases"] < 40
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == result.summary["cases"]
    assert any("Stopped at the first failure" in text for text in result.summary["problems"])
    assert "relu_backward" in (tmp_path / "report.md").read_text()


def test_a_budget_compares_some_of_everything_and_counts_what_it_did():
    result = conformance.check({"relu": relu, "tanh": lambda Z: (np.tanh(Z), Z)}, ["relu", "tanh"],
                               dtypes="f32", cases=100_000, budget="2s")  # fmt: skip
    compared = {op: found["compared"] for op, found in result.summary["states"].items()}
    assert set(compared) == {"relu", "tanh"}
    assert min(compared.values()) >= 4
    assert 8 <= result.summary["cases"] < 100_000
    assert result.summary["cases"] == result.summary["passed"]
    assert result.agrees, repr(result)
    assert result.summary["options"]["budget"] == 2


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (({"relu": relu}, "conv9"), ValueError, "--ops"),
        (("nothing_here",), ValueError, "no such module"),
        (({"f": relu},), ValueError, "none of the"),
    ],
)
def test_what_cannot_be_judged_is_an_error(arguments, error, said):
    with pytest.raises(error, match=said):
        conformance.check(*arguments, dtypes="f32", cases=2)


def test_an_unknown_argument_is_named():
    with pytest.raises(TypeError, match="unexpected argument 'case'; expected inputs"):
        conformance.check({"relu": relu}, case=2)


MODULE = """import numpy as np


def relu(Z):
    return np.maximum(Z, 0), Z


def relu_backward(dA, cache):
    return np.where(cache < 0, 0, dA)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A module with a fault, a file of shapes, and what a run with both says."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "mykernels.py").write_text(MODULE)
    (folder / "shapes.txt").write_text("relu: n=2 c=3 h=4 w=5\nrelu_backward:f32:m2h3w4c5:ties:4\n")
    return folder


@pytest.mark.parametrize("form", ["github", "json", "text"])
def test_the_formats_of_a_run(folder, form, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    words = ["run", "--impl", "mykernels.py", "--ops", "relu*", "--dtype", "f32", "--shapes", "shapes.txt",
             "--only-shapes", "--workers", "1"]  # fmt: skip
    assert main([*words, "--format", form, *(["--quiet"] if form == "text" else [])]) == 1
    out = capsys.readouterr().out
    if form == "json":
        summary = json.loads(out)
        assert summary["states"]["relu_backward"]["state"] == "disagrees"
        assert summary == json.loads((folder / "conformance-report" / "summary.json").read_text())
    elif form == "github":
        first = out.splitlines()[0]
        assert first.startswith(
            "::error file=mykernels.py,line=8,title=relu_backward.dZ%3A relu-gradient-at-zero::"
        )
        assert "conformance repro" in first
    else:
        assert re.fullmatch(r"mykernels.py: disagrees: \d+ of \d+ cases failed; operations: .*\n", out)


def test_the_tensors_of_a_network_are_judged_and_run_again(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    Z = np.random.default_rng(0).normal(size=(2, 5, 4, 3))
    Z[0, 1] = 0
    np.savez("net.npz", **{"relu_backward/Z": Z, "relu_backward/dA": np.ones_like(Z)})
    words = ["--impl", "mykernels.py"]
    chosen = ["--inputs", "net.npz", "--only-shapes", "--dtype", "f32", "--workers", "1", "--out", "out"]
    assert main(["run", *words, *chosen]) == 1
    (record,) = map(json.loads, (folder / "out" / "results.jsonl").read_text().splitlines())
    assert record["case"] == "relu_backward:f32:m2h5w4c3:file:net.npz"
    assert (record["status"], record["diagnosis"]) == ("failed", "relu-gradient-at-zero")
    assert record["index"][:2] == [0, 1]
    capsys.readouterr()
    assert main(["repro", record["case"], *words]) == 1
    assert "relu-gradient-at-zero" in capsys.readouterr().out
    assert main(["repro", record["case"].replace("net.npz", "gone.npz"), *words]) == 2


def test_the_example_for_python_runs(tmp_path):
    (code,) = [block for block in blocks("From Python") if "check(" in block]
    (tmp_path / "example.py").write_text(code)
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = re.search(r"print\(result.states\)  # (.*)", code)[1]
    assert done.stdout.strip() == said


def test_the_examples_of_shapes_and_tensors_are_read(tmp_path, monkeypatch):
    from conformance.commands.own_cases import of_inputs, of_shapes
    from conformance.operations import OPERATIONS

    monkeypatch.chdir(tmp_path)
    Path("shapes.txt").write_text(blocks("Shapes of a network")[0])
    lines = {str(case).split(":")[2] for case in of_shapes(Path("shapes.txt"), list(OPERATIONS), ["f32"], 0)}
    assert lines == {
        "m8h224w224c3_f7k64_s2p3",
        "m8h112w112c64_f3s2_max_p1",
        "m32i512o10",
        "m2h9w7c3_f3k4_s2p1",
    }
    code, commands = blocks("Tensors of a network")
    exec(compile(code, "dump.py", "exec"), {})
    (case,) = of_inputs("net.npz", ["conv_forward"], ["f32"], named=True)
    assert f"'{case}'" in commands


def test_a_marked_test_judges_what_it_returns(folder):
    (code,) = blocks("In your tests")
    right = MODULE.replace("<", "<=")
    (folder / "rightkernels.py").write_text(right)
    more = (
        code
        + """

@pytest.fixture
def kernels():
    import rightkernels

    return rightkernels


@pytest.mark.conformance(ops=["relu*"], dtypes="f32", cases=20)
def test_right(kernels):
    return kernels


@pytest.mark.conformance("relu")
def test_nothing():
    pass


@pytest.mark.conformance("conv9")
def test_no_such():
    return "rightkernels.py"
"""
    )
    (folder / "test_kernels.py").write_text(more)
    done = subprocess.run(
        [*(sys.executable, "-m", "pytest", "-q", "-p", "conformance.pytest_plugin", "-W", "error"),
         *("--strict-markers", "-p", "no:cacheprovider", "--rootdir", str(folder), "test_kernels.py")],
        cwd=folder, capture_output=True, text=True,
        env={**__import__("os").environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
    )  # fmt: skip
    assert "3 failed, 1 passed" in done.stdout, done.stdout
    assert "relu-gradient-at-zero" in done.stdout
    assert "is marked conformance and returned nothing" in done.stdout
    assert "conv9" in done.stdout
    assert "Traceback" not in done.stdout
