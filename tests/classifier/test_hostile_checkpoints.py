"""Checkpoints and arrays that anyone may have written: the data, or the one error that names the file."""

import io
import json
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

pytest.importorskip("PIL")

from file_support import entry, said, small_run

from cnnref.classifier import checkpoint, npy, predict
from cnnref.classifier.checkpoint import CheckpointError
from cnnref.classifier.data import DataError
from cnnref.classifier.model import ConvBlock, Model
from cnnref.classifier.run import Options, Run

HEADERS = {
    "a truth for an extent": entry(shape="(True,)"),
    "9,000 minus signs": entry(shape=f"({'-' * 9000}1,)"),
    "unbalanced": entry(shape="((((1,)"),
    "nested": entry(shape="(" * 900 + "1," + ")" * 900),
    "negative": entry(shape="(-1,)"),
    "a float": entry(shape="(1.0,)"),
    "no tuple": entry(shape="4"),
    "a sum": entry(shape="(1+0,)"),
    "more than an index": entry(shape="(0, 999999999999999999, 999999999999999999)", tail=b""),
    "more axes than there are": entry(shape="(" + "1, " * 80 + ")"),
    "objects": entry("|O"),
    "a record": entry([("x", "<f4")]),
    "a vector": entry("4f4"),
    "dates": entry("<M8[s]"),
    "an unknown type": entry("<f3"),
    "no bytes": entry("<U0", tail=b""),
    "a huge text": entry("<U999999999"),
    "not UTF-32": entry("<U1", "()", b"\x00\x00\x11\x00"),
    "half a pair": entry("<U1", "()", b"\x00\xd8\x00\x00"),
    "not UTF-8": entry().replace(b"descr", b"des\xff\xfe"),
    "a long header": entry(shape="(1," + " " * 5000 + ")"),
    "of two gigabytes": entry(version=b"\x02\x00").replace(b"\x00\x00{", b"\xff\x7f{"),
    "version 9": entry(version=b"\x09\x00"),
    "empty": b"",
    "magic alone": b"\x93NUMPY",
    "torn": entry()[:-20],
    "more than it states": entry(tail=bytes(5)),
    "ESC and line feed": b"\x1b[2J\nred",
}


@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS)
def test_headers_that_state_what_is_not_so(tmp_path, content):
    path = tmp_path / "checkpoint.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("run.npy", content)
    assert said(CheckpointError, checkpoint.read, path)
    picture = tmp_path / "picture.npy"
    picture.write_bytes(content)
    assert said(DataError, predict.look, picture, (1, 1, 1))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, "9" * 5000, '{"format": ' + "9" * 4000 + "}", '{"format": true}', "NaN", "[1]",
     '{"format": "\x1b[2J\\n"}', '{"format": 1, "format": {}}', "\ud800"],
)  # fmt: skip
def test_texts_that_are_no_state(tmp_path, text):
    path = tmp_path / "checkpoint.npz"
    content = text.encode("utf-32-le", "surrogatepass")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("run.npy", entry(f"<U{max(1, len(text))}", "()", content or bytes(4)))
    assert said(CheckpointError, checkpoint.read, path)


def nested(members, size):
    """A zip file each of whose members holds all later ones, every header and checksum right."""
    names = [f"m{n:04}.npy" for n in range(members)]
    content, places = entry("|u1", f"({size},)", bytes(size)), []
    for name in reversed(names):
        local = struct.pack(
            "<IHHHHHIIIHH", 0x04034B50, 20, 0, 0, 0, 0,
            zlib.crc32(content), len(content), len(content), len(name), 0,
        )  # fmt: skip
        places.append((name, zlib.crc32(content), len(content)))
        whole = local + name.encode() + content
        content = entry("|u1", f"({len(whole)},)", whole)
    file, directory = whole, b""
    for name, crc, length in reversed(places):
        offset = len(file) - length - 30 - len(name)
        directory += struct.pack(
            "<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 0, 0, 0,
            crc, length, length, len(name), 0, 0, 0, 0, 0, offset,
        ) + name.encode()  # fmt: skip
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, members, members, len(directory), len(file), 0)
    return file + directory + end


def test_members_that_overlap(tmp_path):
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(nested(200, 300_000))
    assert path.stat().st_size < 400_000
    with zipfile.ZipFile(path) as archive:
        assert sum(info.file_size for info in archive.infolist()) > 60_000_000
    tracemalloc.start()
    try:
        assert "overlaps" in said(CheckpointError, checkpoint.read, path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_name_that_is_there_twice(tmp_path):
    path = tmp_path / "checkpoint.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("run.npy", entry())
        archive.writestr("run", entry())
    assert "is there twice" in said(CheckpointError, checkpoint.read, path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("options.dtype", "(((f4"),
        ("options.dtype", "f4, (1000000000,)f4"),
        ("options.seed", "\x1b[2J\n"),
        ("options.filters", ["2"]),
        ("options.filters", [True]),
        ("options.batch_size", 1e999),
        ("options.optimizer", []),
        ("options.learning_rate", "0.1"),
        ("options.unknown", 1),
        ("history.loss", "0.5"),
        ("history.loss", [None]),
        ("history.loss", []),
        ("history", []),
        ("data.image_shape", [1 << 40, 1 << 40, 1]),
        ("data.image_shape", [4, 4, 1.0]),
        ("data.classes", "3"),
        ("data.name", ["six"]),
        ("data", None),
    ],
)
def test_fields_of_a_wrong_type(tmp_path, key, value):
    path = tmp_path / "checkpoint.npz"
    small_run().save(path)
    run, arrays = checkpoint.read(path)
    assert said(CheckpointError, Run.load, path) is None
    where, (*parts, last) = run, key.split(".")
    for part in parts:
        where = where[part]
    where[last] = value
    checkpoint.write(path, {k: v for k, v in run.items() if k != "format"}, arrays)
    assert said(CheckpointError, Run.load, path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("optimizer.steps", np.int64(-1)),
        ("optimizer.steps", np.zeros(2, np.int64)),
        ("optimizer.steps", np.float64(1)),
        ("optimizer.affine1.W.mean", np.zeros((2, 2), np.float32)),
        ("optimizer.affine1.W.mean", np.zeros((8, 5), np.float64)),
        ("optimizer.nobody", np.zeros(1)),
        ("model.affine1.W", np.zeros((8, 5), np.int32)),
    ],
)
def test_arrays_that_do_not_fit_the_model(tmp_path, name, value):
    path = tmp_path / "checkpoint.npz"
    small_run().save(path)
    run, arrays = checkpoint.read(path)
    assert name in arrays or "nobody" in name
    checkpoint.write(path, {k: v for k, v in run.items() if k != "format"}, arrays | {name: value})
    assert said(CheckpointError, Run.load, path)


def test_images_of_a_checkpoint_that_no_memory_holds(tmp_path):
    """A model of 30 pools takes a picture of 2^30 pixels a side to one pixel: a few bytes of weights."""
    deep = Options(filters=(1,) * 14, hidden=())
    side = 1 << 14
    model = Model((side, side, 1), 2, [ConvBlock(1)] * 14, ())
    content = {
        "options": vars(deep),
        "data": {"name": "deep", "digest": "", "classes": 2, "image_shape": [side, side, 1]},
        "history": {"loss": [], "validation_loss": [], "validation_accuracy": []},
    }
    path = tmp_path / "checkpoint.npz"
    checkpoint.write(path, content, {f"model.{name}": W for name, W in model.parameters.items()})
    assert "too large" in said(CheckpointError, Run.load, path)


def test_arrays_come_back_as_they_were_written():
    for array in (
        np.zeros(()),
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)),
        np.array("text \u00e4"),
        np.zeros((0, 3), bool),
        np.ones((2, 2), np.longdouble),
        np.ones(3, np.float16),
    ):
        stream = io.BytesIO()
        np.save(stream, array)
        found = npy.array(stream.getvalue())
        assert (found.dtype, found.shape, found.flags.fnc) == (array.dtype, array.shape, array.flags.fnc)
        np.testing.assert_array_equal(found, array)
        assert found.flags.writeable


def test_a_checkpoint_is_read_as_numpy_writes_it(tmp_path):
    path = tmp_path / "checkpoint.npz"
    arrays = {"a": np.arange(6.0), "b.c": np.ones((2, 3), np.float32)}
    checkpoint.write(path, {"history": [1, 2.5, "\u00e4"]}, arrays)
    run, found = checkpoint.read(path)
    assert run == {"format": 1, "history": [1, 2.5, "\u00e4"]}
    assert json.dumps(run)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].flags.writeable  # training changes it in place
