"""`conformance list` and `explain`: what the suite knows, in one screen, by topic, and of one name."""

import re

import pytest

from conformance.commands import explain
from conformance.commands import list as listing
from conformance.commands.cli import main
from conformance.commands.usage import UsageError
from conformance.conventions import CONVENTIONS
from conformance.faults import CATALOGUE
from conformance.faults.state import SHOWN, STATE
from conformance.generation.corners import CORNERS
from conformance.generation.families import FAMILIES
from conformance.implementations.dialects import DIALECTS
from conformance.operations import OPERATIONS
from conformance.report import states, terms
from conformance.report.found import WORDS
from conformance.verdict import schema
from conformance.verdict.record import STATUSES


def said(capsys, *words):
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_on_a_terminal_the_list_is_one_screen(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    lines = said(capsys, "list").splitlines()
    assert len(lines) <= 24
    assert all(len(line) < 80 for line in lines)
    text = "\n".join(lines)
    assert all(re.search(rf"\b{re.escape(name)}\b", text) for name in (*FAMILIES, *CONVENTIONS))
    assert f"Operations ({len(OPERATIONS)})" in text
    assert f"Deviations known by name ({len(CATALOGUE)})" in text


def test_into_a_pipe_it_is_everything(capsys):
    text = said(capsys, "list")
    assert text == said(capsys, "list", "all") == listing.text()
    assert all(f"  {name} " in text for name in (*CATALOGUE, *STATE))


@pytest.mark.parametrize(
    ("topic", "pattern", "names", "others"),
    [
        ("faults", None, (*CATALOGUE, *STATE), ("conv_forward(",)),
        ("faults", "conv-bias", ("conv-bias-per-tap",), ("bias-forgotten",)),
        ("faults", "turned", ("filter-flipped",), ("relu-absolute",)),  # which is "returned"
        ("faults", "bias-*", ("bias-forgotten",), ("conv-bias-per-tap",)),
        ("operations", "relu*", ("relu(", "relu_backward("), ("leaky_relu(",)),
        ("families", "nan", ("NaN at the corners",), ("small",)),
        ("conventions", "pool-ties", ("pool-ties: ", "shared"), ("pool-nan",)),
        ("corners", "1x1-stride-2-c1", ("conv_forward: 1x1-stride-2-c1 ",), ("pool_forward",)),
    ],
)
def test_a_topic_and_a_pattern(topic, pattern, names, others, capsys):
    text = said(capsys, "list", topic, *([pattern] if pattern else []))
    assert all(name in text for name in names)
    assert not any(name in text for name in others)


def test_what_fits_nothing_is_refused(capsys):
    assert main(["list", "faults", "no-such-thing"]) == 2
    assert "none of the faults fits 'no-such-thing'" in capsys.readouterr().err
    assert main(["explain", "bias-forgoten"]) == 2
    found = capsys.readouterr().err
    assert "nothing is called 'bias-forgoten'" in found
    assert "close to it: bias-forgotten" in found
    assert main(["explain", ""]) == 2
    for words, meant in ((["list", "fautls"], "faults"), (["rnu"], "run"), (["run", "--imlp=x"], "--impl")):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
        assert f"; did you mean {meant}?" in capsys.readouterr().err


def test_every_word_of_a_verdict_is_explained():
    assert tuple(terms.TIERS) == schema.TIERS
    assert tuple(terms.STATUSES) == STATUSES
    assert set(terms.STATES) == set(states.STATES)
    assert set(terms.DTYPES) == {"f32", "f64", "f16", "bf16"}
    assert set(terms.DIALECTS) == set(DIALECTS)


def test_a_name_may_be_written_in_another_case_or_begun():
    assert explain.lines("NaN") == explain.lines("nan")
    assert explain.lines("blind") == explain.lines("blind case")
    assert explain.lines("ulp")[0] == "ULP (a figure)"


def test_what_a_terminal_and_a_report_say_is_explained():
    for name in WORDS:
        assert explain.lines(name)[1].strip() == WORDS[name]


def test_each_fault_of_state_has_calls_that_show_it_and_what_to_do():
    assert SHOWN.keys() == STATE.keys()
    text = "\n".join(explain.lines("cache-follows-hyperparameters"))
    assert "For example:" in text
    assert "What to do: Put a copy into the cache: dict(hparameters)" in text


#: Of each kind all, or some where there are many.
NAMES = (
    *list(CATALOGUE)[::23], *list(STATE)[::5], *FAMILIES, *CONVENTIONS, *list(OPERATIONS)[::8], *terms.TIERS,
    *terms.STATUSES, *terms.STATES, *terms.FIGURES, *sorted({corner.name for corner in CORNERS})[::40],
    *terms.DTYPES, *terms.DIALECTS, "pool-ties=last", "raised", "crashed",
    "unexplained", "raised-TypeError", "process-killed",
)  # fmt: skip


@pytest.mark.parametrize("name", dict.fromkeys(NAMES))
def test_a_name_is_explained(name):
    lines = explain.lines(name)
    assert lines[0].startswith(f"{name} (a")
    assert len(lines[1]) > 12
    examples = [at for at, line in enumerate(lines) if line == "  For example:"]
    for start in examples:
        end = next(at for at in range(start, len(lines)) if lines[at] == "" or at == len(lines) - 1)
        assert 1 <= end - start <= 6


def test_the_example_of_a_fault_is_what_the_fault_does():
    lines = explain.lines("gradient-divided-by-m")
    right, wrong = (
        float(line.split("= ")[1]) for line in lines if line.startswith(("    right", "    wrong"))
    )
    rows = int(
        re.search(r":m(\d+)", next(line for line in lines if "    affine" in line or "    conv" in line))[1]
    )
    assert rows > 1
    assert wrong * rows == pytest.approx(right)
    assert any("The gradient of weights and biases is the mean over the batch" in line for line in lines)
    assert any("R for Deep Learning" in line for line in lines)
    both = explain.lines("gradient-divided-by-m+bias-forgotten")
    assert both[: len(lines)] == lines
    assert "bias-forgotten (a fault)" in both


def test_every_fault_is_in_what_it_can_make_wrong():
    text = "\n".join(explain.lines("conv_forward"))
    assert f"{sum('conv_forward' in slip.targets for slip in CATALOGUE.values())} known faults" in text


def test_the_line_of_a_case_is_read_part_by_part():
    text = "\n".join(explain.lines("conv_forward:f32:m1h2w3c1_f1k1_s1p1_d2:one-hot:0"))
    assert text.startswith("conv_forward:f32:m1h2w3c1_f1k1_s1p1_d2:one-hot:0 (a case)")
    assert "    d = 2: dilation: rows x columns" in text
    assert "    A_prev (1, 2, 3, 1): [" in text
    with pytest.raises(UsageError, match="has 3 fields, expected 5"):
        explain.lines("relu:f32:m1")
