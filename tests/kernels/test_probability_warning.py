"""`cross_entropy_cost` warns once, at the right place, of what is no probability, and computes as before."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from child import ROOT

import cnnref
from cnnref import ProbabilityWarning, blog


def told(AL, Y, *arguments, module=cnnref, **options):
    """The loss and what is warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loss = module.cross_entropy_cost(AL, Y, *arguments, **options)[0]
    assert all(warning.category is ProbabilityWarning for warning in caught)
    return loss, [str(warning.message) for warning in caught], [warning.filename for warning in caught]


def rows(m, n=4, seed=0):
    rng = np.random.default_rng(seed)
    return cnnref.softmax(rng.normal(size=(m, n)))[0], rng.integers(0, n, m)


@pytest.mark.parametrize("module", [cnnref, blog], ids=["cnnref", "blog"])
@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [-1.75, 1.25, np.inf, -np.inf, 7.0])
def test_one_value_of_many_rows(module, threads, dtype, value):
    AL, Y = rows(20_011)
    AL, at = AL.astype(dtype), 15_003
    AL[at, Y[at]] = value
    before = cnnref.get_num_threads()
    try:
        cnnref.set_num_threads(threads)
        loss, messages, files = told(AL, Y, module=module)
    finally:
        cnnref.set_num_threads(before)
    assert messages == [
        f"cross_entropy_cost: AL must hold probabilities, from 0 to 1, got AL[{at}, {Y[at]}] = {value:.9g};"
        " of logits X pass cnnref.softmax(X)[0], not X"
    ]
    assert files == [__file__]
    # As torch's nll_loss of the logarithm: nothing about the value changes.
    with np.errstate(invalid="ignore"):
        truth = -np.log(AL[np.arange(len(Y)), Y].astype(np.float64)).mean()
    np.testing.assert_allclose(loss, truth, rtol=1e-13)


def test_probabilities_are_taken_without_a_word():
    one = np.float64(1)
    for AL in (
        rows(300)[0],
        rows(300)[0].astype(np.float16),
        np.full((300, 4), one + 2.0**-7),  # what rounding to bfloat16 makes of a little more than 1
        np.nextafter(np.full((300, 4), one, np.float32), 2),
        np.full((300, 4), np.nan),
        np.full((300, 4), -0.0),
        np.zeros((0, 4)),
        np.ones((300, 4), bool),
        np.full((300, 4), 0.01),  # of too small a sum: some classes may have been left out
    ):
        assert told(AL, np.zeros(len(AL), int))[1] == []


def test_a_little_above_the_limit_both_places_agree():
    """The kernel says whether, NumPy says where: the same limit."""
    for dtype in (np.float32, np.float64):
        for m in (3, 3000):
            AL = np.full((m, 4), 1 + 2.0**-6, dtype)
            assert told(AL, np.zeros(m, int))[1] == []
            AL[2, 0] = np.nextafter(AL[2, 0], dtype(2))
            assert len(told(AL, np.zeros(m, int))[1]) == 1


def test_logits_of_a_few_rows_are_seen_beside_the_label():
    AL = np.array([[0.5, -0.25, 3.0]])
    _, (message,), _ = told(AL, [0])
    assert "AL[0, 1] = -0.25" in message
    _, (message,), _ = told(np.array([[0.5, 0.25], [0.5, 4.0]]), [0, 0])
    assert "AL[1, 1] = 4" in message


def test_rows_that_do_not_count_are_not_looked_at():
    for m in (4, 4000):
        AL, Y = rows(m)
        AL[1], Y[1] = -5, -100
        assert told(AL, Y, ignore_index=-100)[1] == []
        AL[3] = 5
        assert "AL[3, " in told(AL, Y, ignore_index=-100)[1][0]


def test_smoothed_labels_warn_too():
    AL, Y = rows(4000)
    AL[7, Y[7]] = 1.5
    assert "= 1.5" in told(AL, Y, label_smoothing=0.1)[1][0]


def test_the_usual_mistake_in_a_step_of_training():
    X = np.random.default_rng(0).normal(size=(32, 10)).astype(np.float32)
    Y = np.arange(32) % 10
    with pytest.warns(ProbabilityWarning, match=r"pass cnnref.softmax\(X\)\[0\], not X"):
        cnnref.cross_entropy_cost(X, Y)
    assert told(cnnref.softmax(X)[0], Y)[1] == []


def test_it_can_be_made_an_error():
    with warnings.catch_warnings():
        warnings.simplefilter("error", ProbabilityWarning)
        with pytest.raises(ProbabilityWarning, match="got AL"):
            cnnref.cross_entropy_cost(-np.ones((2, 2)), [0, 1])


def test_one_place_in_a_program_is_told_once():
    """By the filters that Python starts with, and the class can be pickled."""
    code = (
        "import numpy as np, cnnref\nfor _ in range(5): cnnref.cross_entropy_cost(-np.ones((2, 2)), [0, 1])\n"
        "import pickle\nkind = cnnref.ProbabilityWarning\nassert pickle.loads(pickle.dumps(kind)) is kind\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("ProbabilityWarning: cross_entropy_cost") == 1


def test_the_suite_is_not_told(tmp_path):
    """An implementation that hands its logits on to `cnnref` is judged, not listened to."""
    pytest.importorskip("jinja2", reason="the suite's packages are not installed")
    path = tmp_path / "logits.py"
    path.write_text(
        "import numpy as np, cnnref\n"
        "def cross_entropy_cost(AL, Y, batch_size=None):\n"
        "    return cnnref.cross_entropy_cost(np.asarray(AL) * 100 - 1, Y)\n"
    )
    command = [sys.executable, "-W", "error", "-m", "conformance", "run", "--impl", str(path), "--cases", "4"]
    done = subprocess.run(
        [*command, "--ops", "cross_entropy_cost", "--dtype", "f32", "--out", str(tmp_path / "out")],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "ProbabilityWarning" not in done.stdout + done.stderr
    assert "ProbabilityWarning" not in (tmp_path / "out" / "results.jsonl").read_text()
