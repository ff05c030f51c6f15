"""IDX files: good ones plain and packed, and every way in which one can be damaged, half there or hostile."""

import gzip
import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from cnnref.classifier import data, idx
from cnnref.classifier.data import DataError

NAMES = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}


def encode(array):
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    labels = {"train": np.tile(np.arange(3, dtype=np.uint8), 20), "test": np.array([2, 0, 1, 1], np.uint8)}
    return {
        (part, content): labels[part]
        if content == "labels"
        else rng.integers(0, 256, (len(labels[part]), 7, 5), np.uint8)
        for part, content in NAMES
    }


@pytest.fixture
def folder(tmp_path, arrays):
    for key, name in NAMES.items():
        (tmp_path / name).write_bytes(encode(arrays[key]))
    return tmp_path


@pytest.mark.parametrize("packed", [False, True])
def test_reads_the_folder(tmp_path, arrays, packed):
    for key, name in NAMES.items():
        content = encode(arrays[key])
        (tmp_path / (name + ".gz" * packed)).write_bytes(gzip.compress(content) if packed else content)
    found = data.load(tmp_path)
    assert (found.classes, found.image_shape) == (3, (7, 5, 1))
    assert found.train.images.dtype == np.float32
    np.testing.assert_array_equal(found.test.labels, arrays["test", "labels"])
    np.testing.assert_array_equal(found.test.images[..., 0], arrays["test", "images"] / np.float32(255))
    # One in ten of each class is for validation, and no image is in two parts.
    np.testing.assert_array_equal(np.bincount(found.validation.labels), [2, 2, 2])
    assert len(found.train.labels) + len(found.validation.labels) == 60
    pixels = np.concatenate((found.train.images, found.validation.images))
    assert {image.tobytes() for image in pixels} == {
        image.tobytes() for image in arrays["train", "images"] / np.float32(255)
    }


def test_other_names_of_the_family(tmp_path, arrays):
    for (part, content), name in NAMES.items():
        other = f"emnist-digits-{part}-{content}-idx{name[-7]}-ubyte.gz"
        (tmp_path / other).write_bytes(gzip.compress(encode(arrays[part, content])))
    assert data.load(tmp_path).classes == 3
    for name in NAMES.values():
        (tmp_path / name.replace("-idx", ".idx")).write_bytes(b"")
    with pytest.raises(DataError, match=r"several collections \('', 'emnist-digits-'\)"):
        data.load(tmp_path)


def test_the_digest_sees_every_pixel_and_label(folder, arrays):
    digest = data.load(folder).digest()
    assert digest == data.load(folder).digest()
    for key in NAMES:
        changed = arrays[key].copy()
        changed.flat[-1] ^= 1
        (folder / NAMES[key]).write_bytes(encode(changed))
        assert data.load(folder).digest() != digest, key
        (folder / NAMES[key]).write_bytes(encode(arrays[key]))


def test_missing_files(tmp_path, folder):
    with pytest.raises(DataError, match="no such folder"):
        data.load(tmp_path / "nowhere")
    (folder / NAMES["test", "labels"]).unlink()
    with pytest.raises(DataError, match=r"there is no t10k-labels-idx1-ubyte\[\.gz\]$"):
        data.load(folder)


IMAGES = NAMES["train", "images"]


def refused(folder, content, message, name=IMAGES):
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        data.load(folder)
    assert str(folder / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_length_of_a_half_downloaded_file(folder, arrays):
    whole = encode(arrays["test", "images"])
    for packed in (False, True):
        content = gzip.compress(whole, 1) if packed else whole
        for length in range(0, len(content)):
            refused(folder, content[:length], "half downloaded|not an IDX file", NAMES["test", "images"])


def test_every_damaged_byte_of_a_packed_file(tmp_path, arrays):
    """A flipped bit is refused, or lies in the name and time that gzip keeps and changes nothing."""
    whole = encode(arrays["test", "images"])
    content, path = gzip.compress(whole, 1), tmp_path / "file"
    refusals = 0
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        try:
            found = idx.read(path, 3)
        except DataError:
            refusals += 1
        else:
            assert found.tobytes() == arrays["test", "images"].tobytes()
    assert refusals > len(content) - 16


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes, not even the 4 of the magic number"),
        (b"<!DOCTYPE html><html>", "a web page or XML, perhaps an error message"),
        (b"PK\x03\x04" + bytes(40), "not an IDX file of unsigned bytes, it starts with 50 4b 03 04"),
        (bytes((0, 0, 13, 3)) + bytes(40), "starts with 00 00 0d 03; expected the magic number 00 00 08 03"),
        (encode(np.zeros(9, np.uint8)), "an IDX file of labels, where images should be"),
        (encode(np.zeros((2, 3), np.uint8)), "an IDX file of an array of 2 axes, where images should be"),
        (encode(np.zeros((59, 7, 5), np.uint8)), "59 images, but train-labels-idx1-ubyte has 60 labels"),
        (encode(np.zeros((60, 7, 6), np.uint8)), "training images are 7x6, test images 7x5"),
        (encode(np.zeros((60, 0, 5), np.uint8)), "60 images of 0x5: nothing to train on"),
        (encode(np.zeros((60, 7, 5), np.uint8))[:-1], r"60 images of 7x5, 2100 bytes, but only 2099 follow"),
        (encode(np.zeros((60, 7, 5), np.uint8)) + b"\0", "1 bytes more than the 60 images of 7x5"),
        (
            gzip.compress(
                encode(np.zeros((60, 7, 5), np.uint8)) + b"\0", mtime=0
            ),  # the test's name holds it
            "holds more than the 60 images of 7x5",
        ),
    ],
)
def test_says_what_is_wrong(folder, content, message):
    if "training images are" in message:
        (folder / IMAGES).write_bytes(content)
        with pytest.raises(DataError, match=message):
            data.load(folder)
    else:
        refused(folder, content, message)


def test_a_label_that_training_lacks(folder):
    refused(
        folder,
        encode(np.array([2, 0, 7, 1], np.uint8)),
        "label 7, training at most 2",
        NAMES["test", "labels"],
    )


def test_the_header_alone_shows_a_short_file(folder, arrays):
    path = folder / IMAGES
    assert idx.read_header(path, 3) == (60, 7, 5)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="but only 2099 follow"):
        idx.read_header(path, 3)


def test_a_header_makes_nobody_allocate(folder):
    huge = bytes((0, 0, 8, 3)) + struct.pack(">3I", *[0xFFFFFFFF] * 3)
    (folder / NAMES["train", "labels"]).write_bytes(bytes((0, 0, 8, 1)) + struct.pack(">I", 0xFFFFFFFF))
    tracemalloc.start()
    try:
        refused(folder, huge, "but only 0 follow")
        refused(folder, gzip.compress(huge), "more than .* compressed bytes can hold")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


def test_a_gzip_bomb_stops_at_the_size_of_the_header(tmp_path):
    """64 MiB of zeros behind a header of 60 small images."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    header = bytes((0, 0, 8, 3)) + struct.pack(">3I", 60, 7, 5)
    content = (
        pack.compress(header) + b"".join(pack.compress(bytes(1 << 20)) for _ in range(64)) + pack.flush()
    )
    path = tmp_path / "bomb"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="holds more than the 60 images"):
            idx.read(path, 3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


def test_the_digits():
    pytest.importorskip("sklearn")
    found = data.digits()
    parts = (found.train, found.validation, found.test)
    assert sum(len(part.labels) for part in parts) == 1797
    assert [len(part.labels) for part in parts] == [1085, 357, 355]
    assert min(part.images.min() for part in parts) == 0
    assert max(part.images.max() for part in parts) == 1
    for part in parts:
        share = np.bincount(part.labels) / len(part.labels)
        np.testing.assert_allclose(share, 0.1, atol=0.005)
    assert found.digest() == data.digits().digest()
