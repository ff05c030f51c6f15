"""What ``gate --update`` writes, the next ``gate`` takes; what was not compared is not taken for right."""

import json

import pytest

from conformance.cli import main
from conformance.implementations.implementation import load
from conformance.runs import gate
from conformance.runs.run import Options
from conformance.verdict.judge import Judge

WRONG = """
dialect = "contract"
import numpy as np
from conformance.adapters.numpy_loops import relu, tanh

def relu_backward(dA, cache):
    return np.where(cache < 0, 0, dA).astype(dA.dtype)
"""
OPTIONS = Options("numpy_loops", ("relu", "tanh"), ("f32",), 12, 0)


@pytest.fixture
def asked(tmp_path):
    path = tmp_path / "kernels.py"
    path.write_text(WRONG)
    return [
        "gate", "--baseline", str(tmp_path / "b.json"), "--impl", str(path), "--ops", "relu*", "tanh",
        "--dtype", "f32", "--cases", "40", "--out", str(tmp_path / "out"),
    ]  # fmt: skip


def test_the_next_gate_takes_what_update_wrote_and_says_what_is_not_said(asked, tmp_path, capsys):
    assert main([*asked, "--update"]) == 0
    said = "nobody has said why"
    assert said in capsys.readouterr().out
    assert main(asked) == 0
    out = capsys.readouterr().out
    assert said in out
    assert "Gate: passed" in out
    assert main([*asked, "--update", "--reason", "a kink has two slopes"]) == 0
    (group,) = json.loads((tmp_path / "b.json").read_text())["known_failures"]
    assert group["reason"] == "a kink has two slopes"
    assert said not in capsys.readouterr().out
    assert main([*asked, "--update"]) == 0, "a reason is kept"
    assert main(asked) == 0
    assert said not in capsys.readouterr().out


def test_an_operation_that_is_gone_does_not_pass(asked, tmp_path, capsys):
    assert main([*asked, "--update", "--reason", "known"]) == 0
    path = tmp_path / "kernels.py"
    path.write_text(WRONG.partition("def relu_backward")[0])
    capsys.readouterr()
    assert main(asked) == 1
    out = capsys.readouterr().out
    assert "relu_backward.dZ f32: 0 cases compared, the baseline has 40" in out
    assert "known failure not compared: relu_backward.dZ in relu_backward:f32:" in out
    assert "known failure passes" not in out


def test_other_cases_do_not_make_a_known_failure_pass(asked, capsys):
    assert main([*asked, "--update", "--reason", "known"]) == 0
    capsys.readouterr()
    assert main([*asked, "--seed", "5"]) == 1
    out = capsys.readouterr().out
    assert "known failure not compared" in out
    assert "known failure passes" not in out


def test_a_right_answer_passes(asked, tmp_path, capsys):
    assert main([*asked, "--update", "--reason", "known"]) == 0
    (tmp_path / "kernels.py").write_text(
        "from conformance.adapters.numpy_loops import *\ndialect = 'contract'\n"
    )
    capsys.readouterr()
    assert main(asked) == 1
    out = capsys.readouterr().out
    assert "known failure passes: relu_backward.dZ in relu_backward:f32:" in out
    assert "not compared" not in out


def test_an_operation_that_the_suite_has_no_more_is_lost_coverage(asked, tmp_path, capsys):
    assert main([*asked, "--update", "--reason", "known"]) == 0
    text = (tmp_path / "b.json").read_text().replace('"tanh', '"tanhh').replace("tanh:f32", "tanhh:f32")
    (tmp_path / "b.json").write_text(text)
    plain = [word for word in asked if word not in ("--ops", "relu*", "tanh")]
    capsys.readouterr()
    assert main(plain) == 1
    assert (
        "tanhh.A f32: the suite has no tanhh any more; take it out with --update" in capsys.readouterr().out
    )
    assert main([*plain, "--update"]) == 0
    assert main(plain) == 0
    assert "tanhh" not in (tmp_path / "b.json").read_text()


def test_a_reason_needs_a_text_and_an_update(asked, capsys):
    for more in (["--reason", "x"], ["--reason", " ", "--update"]):
        assert main([*asked, *more]) == 2
        assert "--reason: expected a text, and --update beside it" in capsys.readouterr().err


def test_a_failed_write_leaves_the_baseline_as_it_was(tmp_path, monkeypatch):
    judge, observed = Judge(load("numpy_loops")), gate.Observed()
    for case in OPTIONS.generate():
        observed.add(judge(case))
    path = tmp_path / "b.json"
    gate.write(path, observed.baseline(OPTIONS, None))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"not JSON compliant|Out of range"):
        gate.write(path, {"max_error_ulp": float("nan")})
    monkeypatch.setattr(
        "pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    with pytest.raises(OSError, match="No space left"):
        gate.write(path, {})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["b.json"]
