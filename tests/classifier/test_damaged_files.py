"""Thousands of damaged files of every kind that the classifier reads: each is read or refused, never more."""

import gzip
import io
import random
import struct

import numpy as np
import pytest

pytest.importorskip("PIL")

from file_support import ramp, said, saved, small_run
from PIL import Image

from cnnref.classifier import idx, predict
from cnnref.classifier.checkpoint import CheckpointError
from cnnref.classifier.data import DataError
from cnnref.classifier.run import Run

#: Damaged files of each kind.
MUTANTS = 700


def mutants(content, others, seed):
    """`MUTANTS` damaged copies: bytes flipped, cut, doubled, exchanged, spliced with another file."""
    rng = random.Random(seed)
    for n in range(MUTANTS):
        mutant = bytearray(content)
        # Half of the damage to where the headers are.
        reach = min(len(content), 400) if n % 2 else len(content)
        kind = rng.randrange(6)
        at = rng.randrange(reach)
        if kind == 0:
            for _ in range(rng.randint(1, 4)):
                mutant[rng.randrange(reach)] = rng.randrange(256)
        elif kind == 1:
            del mutant[at:]
        elif kind == 2:
            del mutant[at : at + rng.randint(1, 60)]
        elif kind == 3:
            mutant[at:at] = mutant[at : at + rng.randint(1, 60)]
        elif kind == 4:
            other = rng.choice(others)
            mutant[at:] = other[rng.randrange(len(other)) :]
        else:
            size = rng.choice((1, 2, 4, 8))
            mutant[at : at + size] = rng.choice((b"\xff", b"\x00", b"\x7f", b"-", b"(")) * size
        yield bytes(mutant)


def samples(folder):
    """A valid file of each kind, small."""
    grey = Image.fromarray(ramp())
    small_run().save(folder / "a.npz")
    exif = Image.Exif()
    exif[0x0112] = 6
    several = {"save_all": True, "append_images": [grey.rotate(90)]}
    stream = io.BytesIO()
    np.save(stream, ramp() / 255)
    images = bytes((0, 0, 8, 3)) + struct.pack(">3I", 1, 12, 12) + ramp().tobytes()
    return {
        "npz": (folder / "a.npz").read_bytes(),
        "png": saved(grey.convert("RGBA"), "PNG", exif=exif),
        "gif": saved(grey, "GIF", **several),
        "jpg": saved(grey.convert("RGB"), "JPEG", exif=exif, progressive=True),
        "tif": saved(grey, "TIFF", compression="tiff_lzw", **several),
        "bmp": saved(grey.convert("P"), "BMP"),
        "webp": saved(grey.convert("RGB"), "WEBP"),
        "ppm": saved(grey.convert("RGB"), "PPM"),
        "npy": stream.getvalue(),
        "idx": images,
        "idx.gz": gzip.compress(images, mtime=0),
    }


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    return samples(tmp_path_factory.mktemp("valid"))


READERS = {
    "npz": (CheckpointError, Run.load),
    "idx": (DataError, idx.read, 3),
    "idx.gz": (DataError, idx.read, 3),
}


@pytest.mark.parametrize(
    "kind", ["npz", "png", "gif", "jpg", "tif", "bmp", "webp", "ppm", "npy", "idx", "idx.gz"]
)
def test_damaged_files(valid, tmp_path, kind):
    error, read, *arguments = READERS.get(kind, (DataError, predict.look, (12, 12, 1)))
    path = tmp_path / f"file.{kind}"
    path.write_bytes(valid[kind])
    assert said(error, read, path, *arguments) is None
    refusals = 0
    for mutant in mutants(valid[kind], list(valid.values()), kind):
        path.write_bytes(mutant)
        refusals += said(error, read, path, *arguments) is not None
    assert refusals > MUTANTS // 10  # the damage is seen; of a picture, some is only another pixel
