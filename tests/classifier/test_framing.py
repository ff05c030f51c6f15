"""Writing on a larger sheet is cut out and centred as training images have it; digits are left alone."""

import numpy as np
import pytest

from cnnref.__main__ import _going_on, main
from cnnref.classifier import data, framing, predict
from cnnref.classifier.run import Options, Run
from cnnref.classifier.train import CHECKPOINT

Image = pytest.importorskip("PIL.Image")
DIGIT = data.digits().test.images[0, :, :, 0]


def sheet(digit, at, shape=(300, 400), scale=10, seed=0):
    """Dark writing on light paper that is not lit evenly, with noise."""
    rng = np.random.default_rng(seed)
    paper = 0.85 + 0.05 * np.linspace(-1, 1, shape[1]) + rng.normal(0, 0.02, shape)
    large = np.kron(digit, np.ones((scale, scale)))
    paper[at[0] : at[0] + large.shape[0], at[1] : at[1] + large.shape[1]] -= 0.7 * large
    return np.clip(paper, 0, 1)


@pytest.mark.parametrize("at", [(10, 20), (150, 250), (210, 300)])
def test_a_digit_on_a_sheet_is_found_wherever_it_stands(at, tmp_path):
    path = tmp_path / "sheet.png"
    Image.fromarray((sheet(DIGIT, at) * 255).astype(np.uint8)).save(path)
    found = predict.look(path, (8, 8, 1))[0].image[..., 0]
    scaled = np.asarray(Image.fromarray((sheet(DIGIT, at) * 255).astype(np.uint8)).resize((8, 8))) / 255
    assert np.corrcoef(found.ravel(), DIGIT.ravel())[0, 1] > 0.8
    assert abs(np.corrcoef(1 - scaled.ravel(), DIGIT.ravel())[0, 1]) < 0.6, "it would be found without"
    assert found.max() > 0.9
    assert np.median(found[:, 0]) < 0.1


def test_of_mnists_size_it_is_centred_by_its_mass():
    pixels = 1 - sheet(DIGIT, (40, 250))
    box = framing.writing(pixels, 28, 28)
    placed = framing.placed(pixels, box, 28, 28)
    rows, columns = np.nonzero(placed > 0.05)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    mass = placed / placed.sum()
    assert abs((mass.sum(1) * (np.arange(28) + 0.5)).sum() - 14) <= 0.5
    assert abs((mass.sum(0) * (np.arange(28) + 0.5)).sum() - 14) <= 0.5


def test_what_is_no_sheet_is_left_alone():
    framed = np.kron(DIGIT, np.ones((9, 9)))
    noise = np.random.default_rng(0).random((90, 120))
    for pixels in (framed, noise, np.zeros((90, 90)), np.full((90, 90), 0.5), DIGIT):
        assert framing.writing(pixels, 8, 8) is None


def test_digits_as_scikit_learn_has_them(tmp_path):
    whole = DIGIT * 16
    for name, array in (("image", whole), ("row", whole.ravel()), ("float32", whole.astype(np.float32))):
        np.save(tmp_path / f"{name}.npy", array)
        np.testing.assert_allclose(
            predict.look(tmp_path / f"{name}.npy", (8, 8, 1))[0].image[..., 0], DIGIT, atol=1e-6
        )
    for name, array in (("beyond", whole * 2), ("between", whole + 0.25 * (whole > 0)), ("above", whole + 1)):
        np.save(tmp_path / f"{name}.npy", array)
        with pytest.raises(data.DataError, match="expected 0 to 1"):
            predict.look(tmp_path / f"{name}.npy", (8, 8, 1))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A checkpoint of a run on the digits before its first epoch."""
    folder = tmp_path_factory.mktemp("model")
    Run.start(Options(filters=(2, 2), hidden=()), data.digits()).save(folder / CHECKPOINT)
    return folder


def test_predict_without_a_path_takes_a_digit_of_the_test(model, capsys, monkeypatch):
    assert main(["predict", "--model", str(model)]) == 0
    name, guess, share = capsys.readouterr().out.strip().split("\t")
    assert name == f"scikit-learn's digits, first image of the test (a {data.digits().test.labels[0]})"
    probabilities = Run.load(model / CHECKPOINT).model.predict(data.digits().test.images[:1])[0]
    assert (int(guess), share) == (probabilities.argmax(), f"{probabilities.max():.4f}")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert main(["predict", "--model", str(model)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 8 + 1


def test_what_predict_cannot_take(model, tmp_path, capsys):
    digits = data.digits()
    other = digits._replace(train=digits.train._replace(labels=digits.train.labels[::-1]))
    Run.start(Options(filters=(2, 2), hidden=()), other).save(tmp_path / CHECKPOINT)
    assert main(["predict", "--model", str(tmp_path)]) == 2
    assert "name an image" in capsys.readouterr().err
    assert main(["predict", "--model", str(tmp_path / "none.npz")]) == 2
    assert "No such file or directory; `python -m cnnref train` makes a model" in capsys.readouterr().err
    assert main(["predict", "a.png", "--data", str(tmp_path), "--model", str(model)]) == 2
    assert "--data" in capsys.readouterr().err


def test_training_that_is_done_says_so():
    assert _going_on(3, 60) == "goes on after epoch 3"
    assert "has 60 epochs, and --epochs 5 are epochs in all: nothing to train" in _going_on(60, 5)
    assert "--epochs 65 trains 5 more" in _going_on(60, 5)
    assert _going_on(5, 5).startswith("has 5 epochs: nothing to train")
