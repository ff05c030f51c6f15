"""How commands end: 2 and one line for what the command itself could not do, never 1, never a traceback."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time

import pytest
from child import ROOT

import cnnref.__main__ as training
from conformance.cases.case import Case
from conformance.commands import cli, probe, search
from conformance.commands import list as listing
from conformance.generation import feasible
from conformance.operations import OPERATIONS
from conformance.runs.run import Options

#: Leaves out a package, as if it had never been installed.
WITHOUT = """
import sys
missing, name, *words = sys.argv[1:]
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
if __name__ == "__main__":
    from importlib import import_module
    sys.exit(import_module(name).main(words))
"""

RUN = ["--impl", "numpy_loops", "--ops", "relu", "--cases", "6", "--dtype", "f32"]


def ended(*command, **more):
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT, **more
    )


@pytest.mark.parametrize("package", ["torch", "jinja2", "matplotlib", "tqdm", "msgspec"])
def test_without_a_package_of_the_extra_every_command_names_it(package, tmp_path):
    path = tmp_path / "without.py"
    path.write_text(WITHOUT)
    for command in (
        ["run", *RUN],
        ["gate", "--baseline", "b.json"],
        ["merge", "a", "--out", "b"],
        ["matrix"],
    ):
        done = ended(path, package, "conformance.cli", *command, env={**os.environ, "PYTHONPATH": str(ROOT)})
        said = f"conformance {command[0]}: {package} not installed: pip install 'cnnref[conformance]'\n"
        assert (done.returncode, done.stdout, done.stderr) == (2, "", said)
        if package != "msgspec":
            break  # which command it is makes no difference
    for command in ("list", "--help"):
        done = ended(path, package, "conformance.cli", command, env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("package", ["termcolor", "argcomplete"])
def test_colour_and_completion_are_done_without(package, tmp_path):
    path = tmp_path / "without.py"
    path.write_text(WITHOUT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = ended(path, package, "conformance.cli", "run", *RUN, "--out", tmp_path / "out", env=environment)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_extra_is_what_was_tried():
    text = (ROOT / "pyproject.toml").read_text()
    extra = text.partition("\nconformance = [")[2].partition("]")[0]
    names = {line.strip(' ",').partition(">")[0] for line in extra.split("\n") if line.strip()}
    assert names == {*cli._NEEDED, "termcolor", "argcomplete"}


def test_the_plugin_without_torch_says_what_to_install(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    command = [
        "-m",
        "pytest",
        "-p",
        "conformance.pytest_plugin",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        tmp_path,
    ]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = ended(*command, tmp_path, "--conformance-impl", "numpy_loops", env=environment)
    assert done.returncode == 4
    assert "torch not installed: pip install 'cnnref[conformance]'" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


FAILURES = [
    KeyError("missing"), RuntimeError("a\nb " + "c" * 1000), AssertionError(), RecursionError("deep"),
    MemoryError("32 GiB"), TypeError("wrong"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), PermissionError(errno.EACCES, "Not permitted", "/x"),
    ImportError("libcudart.so: no such file", name="torch"),
]  # fmt: skip


@pytest.mark.parametrize("error", FAILURES, ids=lambda e: type(e).__name__)
def test_a_defect_of_a_command_is_2_and_one_line(error, capsys, monkeypatch, tmp_path):
    def fail(*arguments, **more):
        raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CONFORMANCE_TRACEBACK", raising=False)
    monkeypatch.setattr(Options, "generate", fail)
    monkeypatch.setattr("conformance.runs.matrix.column", fail)
    monkeypatch.setattr("conformance.commands.merge.merge", fail)
    monkeypatch.setattr("conformance.commands.repro.show", fail)
    for module in (listing, probe, search):
        monkeypatch.setattr(module, {listing: "text", probe: "lines", search: "climb"}[module], fail)
    for words in (
        ["run", *RUN], ["list"], ["probe", "--impl", "numpy_loops"], ["search", "--impl", "numpy_loops"],
        ["merge", "a", "--out", "b"], ["matrix", "--impl", "numpy_loops"],
        ["repro", "relu:f32:m1h2w3c4:normal:0", "--impl", "numpy_loops"],
    ):  # fmt: skip
        assert cli.main(words) == 2, words
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert len(said) < 500
        assert said.startswith(f"conformance {words[0]}: ")
        if "internal error" in said:
            assert "CONFORMANCE_TRACEBACK=1 shows the traceback" in said
            assert type(error).__name__ in said


def test_the_traceback_is_shown_where_it_is_asked_for(capsys, monkeypatch):
    monkeypatch.setenv("CONFORMANCE_TRACEBACK", "1")
    monkeypatch.setattr(listing, "text", lambda: {}["missing"])
    assert cli.main(["list"]) == 2
    said = capsys.readouterr().err
    assert "Traceback (most recent call last)" in said
    assert "KeyError: 'missing'" in said


@pytest.mark.parametrize(
    "error", [KeyError("missing"), MemoryError(), OSError(28, "No space left on device")]
)
@pytest.mark.parametrize("command", ["train", "predict"])
def test_a_defect_of_training_is_2_and_one_line(error, command, capsys, monkeypatch, tmp_path):
    def fail(asked):
        raise error

    monkeypatch.setattr(training, f"_{command}", fail)
    assert training.main([command, *([str(tmp_path)] if command == "predict" else [])]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"cnnref {command}: ")
    assert said.count("\n") == 1
    assert ("CNNREF_TRACEBACK=1" in said) == isinstance(error, KeyError)


IMPOSSIBLE = {
    "conv_forward:f32:m2h5w7c4_f9k6_s1p0:normal:1": "f (the window) spans 9 along h",
    "conv_backward:f32:m2h5w7c4_f3k6_s0p1:normal:1": "s (the stride) is 0",
    "conv_forward:f32:m2h5w7c4_f3k6_s2x0p1:normal:1": "s (the stride) is 2x0",
    "conv_forward:f32:m2h5w7c4_f3k6_s1p1_d0:normal:1": "d (the dilation) is 0",
    "conv_forward:f32:m2h5w7c4_f3k6_s1p1_d9:normal:1": "f (the window) spans 19 along h",
    "conv_forward:f32:m2h5w7c4_f3k6_s1p1_g3:normal:1": "g (the groups) is 3, which does not divide c = 4",
    "conv_forward:f32:m2h5w7c4_f3k6_s1p1_g4:normal:1": "g (the groups) is 4, which does not divide k = 6",
    "conv_forward:f32:m2h5w7c4_f3k6_s1p1_g0:normal:1": "g (the groups) is 0",
    "conv_transpose_forward:f32:m2h5w7c4_f3k6_s2p1_e2:normal:1": "e (the output padding) is 2",
    "conv_transpose_backward:f32:m2h2w7c4_f3k6_s1p5:normal:1": "p (the padding) takes off all",
    "pool_forward:f32:m2h5w7c4_f3s1_average_d2:normal:1": "d (the dilation) goes with max alone",
    "pool_forward:f32:m2h5w7c4_f3s1_max_exclude:normal:1": "exclude goes with average alone",
    "pool_backward:f32:m2h5w7c4_f2s1_max_p2:normal:1": "p (the padding) is more than half of the window's 2",
    "pool_forward:f32:m2h5w7c4_f0s1_max:normal:1": "f (the window) is 0",
    "cross_entropy_cost:f32:m3n4_smooth1.5:probabilities:1": "smooth is 1.5, expected 0 to 1",
    "cross_entropy_cost:f32:m3n0:probabilities:1": "n is 0",
    "create_mask_from_window:f32:h0w3:normal:1": "h and w are 0 and 3: an empty window",
    "relu:f32:m99999h99999w99c99:normal:1": "its arrays would take ",
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_repro_refuses_what_there_is_not_before_torch_sees_it(case, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "conformance.commands.repro", raising=False)
    monkeypatch.setitem(sys.modules, "conformance.oracle", None)  # nothing that needs it can be imported
    assert cli.main(["repro", case, "--impl", "numpy_loops"]) == 2
    said = capsys.readouterr().err
    assert f"case {case}: {IMPOSSIBLE[case]}" in said
    assert said.count("\n") == 1


def test_every_case_of_a_run_is_possible():
    options = Options("numpy_loops", tuple(OPERATIONS), ("f32",), 150, 5)
    assert sum(feasible.check(case) is None for case in options.generate()) == 150 * len(OPERATIONS)


def test_what_can_be_asked_is_refused_or_answered():
    """Parameters of every operation set to 0, 1 and more: the oracle meets nothing that it cannot do."""
    from conformance.generation.arrays import draw
    from conformance.generation.families import FAMILIES
    from conformance.oracle import evaluate

    answered = 0
    for options in ("", "_d2", "_g2", "_e1", "_ceil", "_exclude", "_p1", "_smooth0.5", "_ignore0", "_a-0.5"):
        for values in ((0, 3), (1, 3), (2, 5), (3, 2), (4, 4)):
            for operation in OPERATIONS.values():
                first = next(Options("x", (operation.name,), ("f64",), 1, 0).generate())
                parts = str(first).split(":")
                for name in [n for n, v in first.params[: len(operation.parameters)] if isinstance(v, int)]:
                    changed = first.replace(**{name: values[0]})
                    text = ":".join([*parts[:2], str(changed).split(":")[2] + options, *parts[3:]])
                    try:
                        case = Case.parse(text)
                        feasible.check(case)
                        suiting = next(f.name for f in FAMILIES.values() if f.suits(case))
                    except (ValueError, StopIteration):
                        continue
                    case = case.replace(family=suiting)
                    evaluate(case, draw(case))
                    answered += 1
    assert answered > 500


@pytest.mark.parametrize("words", [["list"], ["run", *RUN], ["--help"]])
def test_who_stops_reading_changes_no_status(words, tmp_path):
    more = ["--out", str(tmp_path / "out")] if words[0] == "run" else []
    command, pipe = [sys.executable, "-m", "conformance", *words, *more], subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe) as process:
        process.stdout.close()  # before anything is printed
        assert process.stderr.read() == b""
        assert process.wait(120) == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full disk here")
@pytest.mark.parametrize(
    "words", [["conformance", "list"], ["conformance", "probe", "--impl", "numpy_loops"]]
)
def test_a_full_disk_behind_standard_output_is_2(words):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True,
            timeout=120, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, f"conformance {words[1]}: No space left on device\n")


def test_files_where_folders_should_be(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    for words in (
        ["run", *RUN, "--out", str(file)],
        ["run", *RUN, "--out", str(file / "below")],
        ["gate", *RUN, "--baseline", str(tmp_path)],
        ["gate", *RUN, "--baseline", str(file / "b.json"), "--update", "--out", str(tmp_path / "out")],
        ["matrix", "--impl", "numpy_loops", "--ops", "relu", "--cases", "1", "--out", str(file)],
        ["merge", str(file), "--out", str(tmp_path / "out")],
        ["merge", str(tmp_path), "--out", str(file)],
        ["repro", "relu:f32:m1h2w3c4:normal:0", "--impl", "numpy_loops", "--script", str(tmp_path)],
    ):
        assert cli.main(words) == 2, words
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert str(tmp_path) in said
        assert "internal error" not in said
    assert not (tmp_path / "out").exists(), "it is said before the run, not after"


@pytest.mark.parametrize("words", [["run", *RUN, "--cases", "3000"], ["search", "--impl", "numpy_loops"]])
def test_ctrl_c_is_130(words, tmp_path):
    more = ["--out", str(tmp_path / "out")] if words[0] == "run" else []
    command, started = (
        [sys.executable, "-m", "conformance", *words, *more],
        tmp_path / "out" / "results.jsonl",
    )
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        until = time.monotonic() + (60 if more else 8)
        while time.monotonic() < until and not started.exists():
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        said = process.stderr.read().decode()
        assert process.wait(60) == 130
    assert said.count("\n") == 1
    assert "interrupted" in said


def test_nothing_compared_is_no_agreement(tmp_path, capsys):
    path = tmp_path / "kernels.py"
    path.write_text("def relu(Z):\n    return Z, Z\n")
    assert (
        cli.main(["matrix", "--impl", str(path), "--ops", "pad3d", "--cases", "1", "--out", str(tmp_path)])
        == 1
    )
    assert f"{path}: nothing was compared" in capsys.readouterr().out
    assert cli.main(["search", "--impl", str(path), "--ops", "pad3d", "--seconds", "0.1"]) == 1
    assert f"{path}: nothing was compared" in capsys.readouterr().out
