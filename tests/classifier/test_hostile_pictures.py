"""Pictures and IDX files that anyone may have written: what they show, or one error that names the file."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from child import run as in_a_child

pytest.importorskip("PIL")

from file_support import ramp, said, saved
from PIL import Image

from cnnref.classifier import idx, predict
from cnnref.classifier.data import DataError


def picture(path, content, shape=(12, 12, 1), ink="light"):
    path.write_bytes(content)
    return predict.look(path, shape, ink)[0].image[..., 0]


def test_sixteen_bits_are_not_cut_to_eight(tmp_path):
    eight = picture(tmp_path / "8.png", saved(Image.fromarray(ramp()), "PNG"))
    wide = Image.fromarray(ramp().astype(np.uint16) * 257)
    for form in ("PNG", "TIFF", "PPM"):
        np.testing.assert_allclose(picture(tmp_path / "16", saved(wide, form)), eight, atol=1e-6)


def test_palettes_and_transparency(tmp_path):
    grey = Image.fromarray(ramp())
    eight = picture(tmp_path / "8.png", saved(grey, "PNG"))
    np.testing.assert_allclose(
        picture(tmp_path / "p.png", saved(grey.convert("RGB").quantize(256), "PNG")), eight, atol=0.01
    )
    # Black ink, as strong as the ramp, on nothing: white shows through.
    ink = Image.merge("LA", (Image.new("L", grey.size), grey))
    for image in (ink, ink.convert("RGBA")):
        np.testing.assert_allclose(picture(tmp_path / "a.png", saved(image, "PNG")), 1 - eight, atol=0.01)
    clear = Image.new("P", (12, 12), 1)
    clear.putpalette([0, 0, 0] * 256)
    clear.info["transparency"] = 1
    assert (picture(tmp_path / "t.gif", saved(clear, "GIF", transparency=1)) == 1).all()


def test_a_picture_stands_as_its_exif_says(tmp_path):
    grey = Image.fromarray(ramp())
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = picture(tmp_path / "t.png", saved(grey, "PNG", exif=exif))
    np.testing.assert_array_equal(turned, picture(tmp_path / "p.png", saved(grey.rotate(-90), "PNG")))


def test_the_first_picture_of_several(tmp_path):
    first, second = Image.fromarray(ramp()), Image.fromarray(255 - ramp())
    alone = picture(tmp_path / "a.gif", saved(first, "GIF"))
    for form in ("GIF", "TIFF"):
        several = saved(first, form, save_all=True, append_images=[second, second])
        np.testing.assert_array_equal(picture(tmp_path / "several", several), alone)


def test_what_is_no_picture_of_the_formats(tmp_path):
    for name, content, words in (
        (
            "a.png",
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n",
            "not an image",
        ),
        ("b.png", b"", "not an image"),
        ("c.tif", saved(Image.fromarray(ramp().astype(np.float32)), "TIFF"), "no known range"),
        ("d.tif", saved(Image.fromarray(ramp().astype(np.int32) * 1000), "TIFF"), "expected 0 to 65535"),
    ):
        (tmp_path / name).write_bytes(content)
        assert words in said(DataError, predict.look, tmp_path / name, (8, 8, 1))
    with pytest.raises(FileNotFoundError):
        predict.look(tmp_path / "nowhere.png", (8, 8, 1))


def test_a_jpeg_of_a_thousand_scans(tmp_path):
    content = saved(Image.fromarray(ramp()), "JPEG", progressive=True)
    picture(tmp_path / "a.jpg", content)
    scan = content[content.index(b"\xff\xda") : content.rindex(b"\xff\xd9")]
    (tmp_path / "a.jpg").write_bytes(content[:-2] + scan * 1000 + content[-2:])
    assert "more than 100 scans" in said(DataError, predict.look, tmp_path / "a.jpg", (8, 8, 1))


BOMBS = """
import io, resource, sys, warnings
from pathlib import Path
from PIL import Image
from cnnref.classifier import predict
predict.look(Path(sys.argv[1]) / "good.png", (8, 8, 1))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sorted(Path(sys.argv[1]).glob("bomb*")):
    try:
        predict.look(path, (8, 8, 1))
    except predict.DataError as error:
        assert "too many pixels" in str(error), error
        assert str(path) in str(error)
    else:
        raise AssertionError(path)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_pictures_that_are_bombs_take_no_memory(tmp_path):
    """80 million pixels of a few kilobytes, which Pillow by itself lets pass."""
    for form in ("PNG", "GIF", "TIFF", "WEBP"):
        options = {"compression": "tiff_deflate"} if form == "TIFF" else {}
        large = Image.new("RGB" if form == "WEBP" else "1", (8900, 9000))
        (tmp_path / f"bomb.{form.lower()}").write_bytes(saved(large, form, **options))
    Image.new("1", (20000, 20000)).save(tmp_path / "bomb2.png")
    Image.fromarray(ramp()).save(tmp_path / "good.png")
    code = BOMBS.replace("sys.argv[1]", repr(str(tmp_path)))
    assert int(in_a_child(code, timeout=120)) < 50_000  # kilobytes


def test_a_large_photograph_is_read(tmp_path):
    """24 million pixels of noise: as many bytes as a camera makes of them."""
    noise = np.random.default_rng(0).integers(0, 256, (4000, 6000), np.uint8)
    assert picture(tmp_path / "photo.jpg", saved(Image.fromarray(noise), "JPEG")).shape == (12, 12)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "extents", [[2**32 - 1] * 3, [0, 2**32 - 1, 2**32 - 1], [2**32 - 1, 2**32 - 1, 0], [2**31, 2**31, 2**31]]
)
def test_extents_of_an_idx_file(tmp_path, extents, packed):
    path, content = tmp_path / "images", bytes((0, 0, 8, 3)) + struct.pack(">3I", *extents)
    path.write_bytes(gzip.compress(content) if packed else content)
    assert said(DataError, idx.read, path, 3)
    assert said(DataError, idx.read_header, path, 3)


def test_a_compressed_idx_file_of_zeros_is_refused_by_its_header(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(
        gzip.compress(bytes((0, 0, 8, 3)) + struct.pack(">3I", 100_000, 28, 28) + bytes(78_400_000), 9)
    )
    tracemalloc.start()
    try:
        assert "more than" in said(DataError, idx.read, path, 3)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_idx_files_are_read(tmp_path):
    for packed in (False, True):
        path = tmp_path / "labels"
        content = bytes((0, 0, 8, 1)) + struct.pack(">I", 3) + bytes((1, 2, 3))
        path.write_bytes(gzip.compress(content) if packed else content)
        np.testing.assert_array_equal(idx.read(path, 1), [1, 2, 3])
