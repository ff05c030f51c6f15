"""What a model trains on: the digits of scikit-learn, or a folder of IDX files. Nothing is downloaded.

The parts are fixed and stratified: within each class they are dealt out in turn, in file order.
Pixels are scaled to [0, 1].
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnnref.classifier import idx
from cnnref.classifier.idx import DataError

#: The largest pixel in scikit-learn's digits, and of a byte.
_DIGITS_MAXIMUM, _BYTE_MAXIMUM = 16, 255

# train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte, emnist-letters-test-images-idx3-ubyte, ...
_NAME = re.compile(r"(.*?)(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(\.gz)?")


class Part(NamedTuple):
    """Images (m, height, width, 1) in [0, 1], float64 or float32, and their classes (m,) from 0."""

    images: np.ndarray
    labels: np.ndarray


class Dataset(NamedTuple):
    """Three disjoint parts of one collection of images."""

    name: str
    classes: int
    train: Part
    validation: Part
    test: Part

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and channels."""
        return self.train.images.shape[1:]

    def digest(self) -> str:
        """SHA-256 of everything a run can see: two datasets are the same if these are."""
        total = hashlib.sha256(str(self.classes).encode())
        for part in (self.train, self.validation, self.test):
            for array in part:
                total.update(f"{array.dtype.str}{array.shape}".encode())
                total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()


def load(folder: Path | str | None = None) -> Dataset:
    """Return the images in `folder`, or without one the digits of scikit-learn.

    Parameters
    ----------
    folder : path, optional
        Holds four IDX files, plain or gzip: ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the
        same two for ``t10k`` or ``test``, with any common prefix.

    Raises
    ------
    DataError
        If a file is missing, damaged or does not fit the others, or scikit-learn is not installed.
    OSError
        If a file cannot be read.
    """
    return digits() if folder is None else idx_folder(Path(folder))


def digits() -> Dataset:
    """Return the 1,797 handwritten digits, 8x8 pixels, that scikit-learn ships: 3/5, 1/5, 1/5.

    The same writers are in all three parts, so that the accuracy is that for writers who were seen.

    Raises
    ------
    DataError
        If scikit-learn is not installed.

    References
    ----------
    Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository (1998).
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError(
            "the digits come with scikit-learn, which is not installed: pip install 'cnnref[train]', "
            "or name a folder of IDX files with --data"
        ) from None
    content = load_digits()
    images = (content.images / _DIGITS_MAXIMUM)[..., np.newaxis]
    labels = content.target.astype(np.int64)
    rank = _rank(labels) % 5
    train, validation, test = (
        Part(images[chosen], labels[chosen]) for chosen in (rank < 3, rank == 3, rank == 4)
    )
    return Dataset("scikit-learn's digits", 10, train, validation, test)


def idx_folder(folder: Path) -> Dataset:
    """Return the images of a folder; a tenth of its training images is kept for validation.

    Errors are those of `load`.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    files = _find(folder)
    train, test = (_pair(files[part, "images"], files[part, "labels"]) for part in ("train", "test"))
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataError(
            f"{folder}: training images are {_pixels(train)}, test images {_pixels(test)}: of two collections"
        )
    classes = int(train.labels.max()) + 1
    if test.labels.max() >= classes:
        raise DataError(
            f"{files['test', 'labels']}: holds the label {test.labels.max()}, training at most {classes - 1}"
        )
    kept = _rank(train.labels) % 10 == 9
    if not kept.any():
        raise DataError(f"{folder}: no class has the 10 training images of which one is kept for validation")
    return Dataset(
        folder.resolve().name,
        classes,
        Part(train.images[~kept], train.labels[~kept]),
        Part(train.images[kept], train.labels[kept]),
        test,
    )


def _find(folder: Path) -> dict[tuple[str, str], Path]:
    """The four files by part and content; a plain file goes before its compressed twin."""
    found: dict[tuple[str, str], list[Path]] = {}
    prefixes = set()
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match and path.is_file():
            prefix, part, content, _ = match.groups()
            prefixes.add(prefix)
            found.setdefault(("train" if part == "train" else "test", content), []).append(path)
    if len(prefixes) > 1:
        raise DataError(
            f"{folder}: holds several collections ({', '.join(sorted(map(repr, prefixes)))}); "
            "put the four files of one into a folder of their own"
        )
    missing = [
        f"{'train' if part == 'train' else 't10k'}-{content}-idx{axes}-ubyte[.gz]"
        for part in ("train", "test")
        for content, axes in (("images", 3), ("labels", 1))
        if (part, content) not in found
    ]
    if missing:
        raise DataError(f"{folder}: there is no {', no '.join(missing)}")
    return {key: min(paths, key=lambda path: path.suffix == ".gz") for key, paths in found.items()}


def _pair(images: Path, labels: Path) -> Part:
    # Both headers first: files that do not belong together are refused before anything large is read.
    m, height, width = idx.read_header(images, 3)
    (count,) = idx.read_header(labels, 1)
    if m != count:
        raise DataError(f"{images}: {m} images, but {labels.name} has {count} labels")
    if 0 in (m, height, width):
        raise DataError(f"{images}: states {m} images of {height}x{width}: nothing to train on")
    pixels = idx.read(images, 3)[..., np.newaxis]
    return Part(pixels / np.float32(_BYTE_MAXIMUM), idx.read(labels, 1).astype(np.int64))


def _pixels(part: Part) -> str:
    return "x".join(map(str, part.images.shape[1:3]))


def _rank(labels: np.ndarray) -> np.ndarray:
    """For each label, how many equal ones stand before it."""
    rank = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        (places,) = np.nonzero(labels == label)
        rank[places] = np.arange(len(places))
    return rank
