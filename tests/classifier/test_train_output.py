"""``python -m cnnref``: the page that a run leaves, and what `predict` makes of pictures."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from train_support import OPTIONS, finish

from cnnref.__main__ import main
from cnnref.classifier import data, predict
from cnnref.classifier.run import Run
from cnnref.classifier.train import CHECKPOINT


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that nobody stopped, and what it printed."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, finish(folder)


class Page(HTMLParser):
    """What the page refers to, and the pictures and headings on it."""

    def __init__(self, text):
        super().__init__()
        self.images, self.outside, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        if tag == "img":
            self.images.append(attrs.get("src", ""))
        for name in ("src", "href", "xlink:href"):
            value = attrs.get(name) or ""
            if value and not value.startswith(("data:image/png;base64,", "#")):
                self.outside.append(value)


def test_the_report_stands_alone_and_shows_the_run(whole):
    text = (whole[0] / "training.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.outside == []
    assert page.tags.count("svg") == 2
    # 4 + 24 filters, the digit, 3 x (4 + 6) maps and 4 rows, and the mistakes.
    assert len(page.images) >= 4 + 24 + 1 + 30 + 4
    for name in (
        "conv1",
        "relu1",
        "pool1",
        "conv2",
        "relu2",
        "pool2",
        "stretch",
        "affine1",
        "affine2",
        "softmax",
    ):
        assert f'<details class="step" open>\n<summary><h3>{name} ' in text
    run = Run.load(whole[0] / CHECKPOINT)
    wrong = int(re.search(r"(\d+) of 355 are wrong", text).group(1))
    test = data.digits().test
    guessed = run.model.predict(test.images).argmax(axis=1)
    assert wrong == (guessed != test.labels).sum()
    cells = re.findall(r'<td class="(off|zero|)" style="[^"]*">(\d+)</td>', text)
    assert len(cells) == 100
    expected = np.zeros((10, 10), int)
    np.add.at(expected, (test.labels, guessed), 1)
    np.testing.assert_array_equal([int(count) for _, count in cells], expected.ravel())
    assert sum(int(count) for kind, count in cells if kind == "off") == wrong


def test_the_report_shows_the_agreement(tmp_path):
    pytest.importorskip("torch")
    arguments = ["train", "--out", str(tmp_path), "--epochs", "1", "--agreement", *OPTIONS]
    assert main(arguments) == 0
    text = (tmp_path / "training.html").read_text(encoding="utf-8")
    assert "after each of 200 steps" in text
    assert text.count("PyTorch</th>") == 1
    assert len(re.findall(r'<tr><th scope="row">\d</th><td class="number">\d+\.\d\d %', text)) == 5
    assert Page(text).tags.count("svg") == 3


@pytest.fixture
def pictures(tmp_path):
    """Test images as files of every kind that must give the same prediction."""
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    images = data.digits().test.images[:6, :, :, 0]
    for i, image in enumerate(images):
        pixels = np.rint(image * 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}-a.png")
        Image.fromarray(pixels).convert("RGB").save(folder / f"{i}-b.png")
        Image.fromarray(pixels).save(folder / f"{i}-c.pgm")
        Image.fromarray(255 - pixels).save(folder / f"{i}-d.png")
        Image.fromarray(np.kron(pixels, np.ones((5, 5), np.uint8))).save(folder / f"{i}-e.png")
        np.save(folder / f"{i}-f.npy", pixels)
        np.save(folder / f"{i}-g.npy", (pixels / 255)[..., None])
    return folder


def test_predict_a_folder(whole, pictures, capsys):
    assert main(["predict", str(pictures), "--model", str(whole[0])]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 6 * 7
    test = data.digits().test
    guessed = Run.load(whole[0] / CHECKPOINT).model.predict(test.images[:6])
    for i in range(6):
        mine = [row[1:] for row in rows if row[0].startswith(str(pictures / f"{i}-"))]
        assert {row[0] for row in mine} == {str(guessed[i].argmax())}
        assert {round(float(row[1]), 2) for row in mine} <= {
            round(float(guessed[i].max()) + step, 2) for step in (-0.01, 0, 0.01)
        }


def test_predict_one_image_from_the_file_of_the_checkpoint(whole, pictures, capsys):
    image = str(pictures / "2-a.png")
    assert main(["predict", image, "--model", str(whole[0] / CHECKPOINT)]) == 0
    assert capsys.readouterr().out.startswith(f"{image}\t")


def test_ink(pictures):
    light, dark = (predict.look(pictures / f"0-{kind}.png", (8, 8, 1))[0].image for kind in "ad")
    np.testing.assert_allclose(light, dark, atol=1e-12)
    (inverted,) = predict.look(pictures / "0-d.png", (8, 8, 1), "light")
    np.testing.assert_allclose(inverted.image, 1 - light, atol=1e-12)


def test_a_bad_image_does_not_stop_the_others(whole, pictures, capsys):
    (pictures / "3-a.png").write_bytes((pictures / "3-a.png").read_bytes()[:60])
    (pictures / "3-c.pgm").write_bytes(b"not an image")
    np.save(pictures / "3-f.npy", np.zeros((9, 8)))
    np.save(pictures / "3-g.npy", np.full((8, 8), 2.0))
    (pictures / "4-f.npy").write_bytes((pictures / "4-f.npy").read_bytes()[:-1])
    assert main(["predict", str(pictures), "--model", str(whole[0])]) == 2
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 6 * 7 - 5
    err = captured.err.splitlines()
    assert len(err) == 5
    assert "3-f.npy: has the shape (9, 8), the model takes (8, 8)" in captured.err
    assert "3-g.npy: has values from 2 to 2, expected 0 to 1" in captured.err


def test_an_image_that_is_a_bomb(tmp_path):
    from PIL import Image

    Image.new("1", (20000, 20000)).save(tmp_path / "bomb.png")
    with pytest.raises(data.DataError, match="too many pixels"):
        predict.look(tmp_path / "bomb.png", (8, 8, 1))


def test_a_blank_picture_is_remarked(whole, tmp_path, capsys):
    np.save(tmp_path / "blank.npy", np.full((8, 8), 255, np.uint8))
    assert main(["predict", str(tmp_path / "blank.npy"), "--model", str(whole[0])]) == 0
    said = capsys.readouterr()
    assert said.out.count("\t") == 2
    assert said.err == (
        f"cnnref predict: {tmp_path / 'blank.npy'}: nothing is written in it, the answer means nothing\n"
    )


def test_a_file_that_is_no_picture_says_which_are_read(whole, tmp_path, capsys):
    (tmp_path / "text.png").write_text("no picture")
    assert main(["predict", str(tmp_path / "text.png"), "--model", str(whole[0])]) == 2
    error = capsys.readouterr().err
    assert "not an image of a format that is read (PNG, PPM, " in error
    assert "BytesIO" not in error


def test_an_empty_folder(tmp_path):
    with pytest.raises(data.DataError, match="no image in this folder"):
        predict.images_in(tmp_path)


def test_the_page_shows_what_the_model_saw(whole, pictures, tmp_path, capsys):
    from PIL import Image

    digit = np.rint(255 * data.digits().test.images[0, :, :, 0]).astype(np.uint8)
    paper = np.full((300, 400), 230, np.uint8)
    paper[100:180, 200:280] = 230 - 0.8 * np.kron(digit, np.ones((10, 10)))
    Image.fromarray(paper).save(tmp_path / "<b>.png")
    page, model = tmp_path / "page.html", str(whole[0])
    assert main(["predict", str(tmp_path / "<b>.png"), "--model", model, "--page", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert capsys.readouterr().err == f"page: {page}\n"
    assert "<b>.png" not in text
    assert Page(text).outside == []
    frame = re.search(
        r'<i style="top: ([\d.]+)%; left: ([\d.]+)%; height: ([\d.]+)%; width: ([\d.]+)%"', text
    )
    for found, expected, room in zip(
        map(float, frame.groups()), (100 / 3, 50, 80 / 3, 20), (7, 5, 7, 10), strict=True
    ):
        assert abs(found - expected) <= room
    outputs = [output for _, output, _ in Run.load(whole[0] / CHECKPOINT).model.steps(np.zeros((1, 8, 8, 1)))]
    maps = sum(output.shape[3] if output.ndim == 4 else 1 for output in outputs)
    assert len(Page(text).images) == 2 + maps, "the sheet, what the model saw, what each step makes of it"
    seen = Image.open(io.BytesIO(base64.b64decode(Page(text).images[1].split(",")[1])))
    (expected,) = predict.look(tmp_path / "<b>.png", (8, 8, 1))
    np.testing.assert_allclose(np.asarray(seen) / 255, expected.image[..., 0], atol=1 / 255)

    assert main(["predict", "--model", model, "--page", str(page)]) == 0
    assert len(Page(page.read_text(encoding="utf-8")).images) == 1 + maps, "a digit of the test has no sheet"
    assert main(["predict", str(pictures), "--model", model, "--page", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert f"<h1>{6 * 7} pictures</h1>" in text
    assert text.count("what the model saw</figcaption>") == 6 * 7
    assert '<details class="step"' not in text


def test_predict_each_digit_of_an_array(whole, tmp_path, capsys):
    images = data.digits().test.images[:120, :, :, 0]
    guessed = Run.load(whole[0] / CHECKPOINT).model.predict(images[..., np.newaxis]).argmax(axis=1)
    for array in (images * 16, (images * 16).reshape(120, 64), images[..., np.newaxis]):
        np.save(tmp_path / "digits.npy", array)
        arguments = ["predict", str(tmp_path / "digits.npy"), "--model", str(whole[0])]
        assert main([*arguments, "--page", str(tmp_path / "page.html")]) == 0
        rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
        assert [row[0] for row in rows] == [f"{tmp_path / 'digits.npy'}[{i}]" for i in range(120)]
        assert [int(row[1]) for row in rows] == guessed.tolist()
    assert "20 more are not drawn" in (tmp_path / "page.html").read_text(encoding="utf-8")
    for shape in ((0, 8, 8), (2, 9, 8), (2, 2, 8, 8)):
        np.save(tmp_path / "digits.npy", np.zeros(shape))
        assert main(arguments) == 2
        assert "the model takes (8, 8), or several images, (m, 8, 8)" in capsys.readouterr().err
