"""Reads pictures the way a model saw its training images: grey, light writing on dark, values in [0, 1]."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnref.data import DataError

SUFFIXES = (".png", ".pgm", ".ppm", ".bmp", ".gif", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".npy")


def images_in(path: Path) -> list[Path]:
    """Return `path` itself, or the images of a folder in the order of their names.

    Raises
    ------
    DataError
        If there is no such file, or no image in the folder.
    """
    if not path.is_dir():
        if not path.exists():
            raise DataError(f"{path}: no such image or folder")
        return [path]
    found = sorted(item for item in path.iterdir() if item.suffix.lower() in SUFFIXES and item.is_file())
    if not found:
        raise DataError(f"{path}: no image in this folder ({', '.join(SUFFIXES)})")
    return found


def read(path: Path, shape: Sequence[int], ink: str = "auto") -> np.ndarray:
    """Return an image as a model takes it.

    Parameters
    ----------
    path : Path
        A picture, made grey and of the model's size; or an ``.npy`` array of that size, uint8 (0 to 255) or
        floating point (0 to 1).
    shape : sequence of int
        Height, width and channels (one) of the result.
    ink : {"auto", "light", "dark"}, optional
        Dark writing is inverted; "auto" takes the writing for dark where the border is light.

    Raises
    ------
    DataError
        If the file is no image, damaged, of a wrong size or with values out of range.
    OSError
        If the file cannot be read.
    """
    height, width, channels = shape
    if channels != 1:
        raise DataError(
            f"{path}: the model takes images with {channels} channels, only grey ones can be read"
        )
    pixels = _array(path, height, width) if path.suffix.lower() == ".npy" else _picture(path, height, width)
    if ink == "dark" or (ink == "auto" and np.median(_border(pixels)) > 0.5):
        pixels = 1 - pixels
    return pixels[..., np.newaxis]


def _border(pixels: np.ndarray) -> np.ndarray:
    return np.concatenate((pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))


def _picture(path: Path, height: int, width: int) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError:
        raise DataError(f"{path}: reading pictures needs Pillow: pip install 'cnnref[train]'") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                grey = image.convert("L")
        if grey.size != (width, height):
            grey = grey.resize(
                (width, height), Image.Resampling.BOX if _shrinks(grey, height, width) else None
            )
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{path}: too many pixels: {error}") from error
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(f"{path}: not an image that Pillow can read, or a damaged one: {error}") from error
    return np.asarray(grey, np.float64) / 255


def _shrinks(grey: Any, height: int, width: int) -> bool:
    return bool(grey.width >= width and grey.height >= height)


def _array(path: Path, height: int, width: int) -> np.ndarray:
    try:
        # Mapped, not read: the file must be as long as its header says before anything is allocated.
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (EOFError, ValueError) as error:
        raise DataError(f"{path}: not an .npy array, or a damaged one: {error}") from error
    if mapped.shape not in ((height, width), (height, width, 1)):
        raise DataError(f"{path}: has the shape {mapped.shape}, the model takes {(height, width)}")
    if mapped.dtype != np.uint8 and mapped.dtype.kind != "f":
        raise DataError(
            f"{path}: has the dtype {mapped.dtype}, expected uint8 (0 to 255) or floating point (0 to 1)"
        )
    pixels = np.array(mapped, np.float64).reshape(height, width)
    if mapped.dtype == np.uint8:
        pixels /= 255
    if not (pixels.min() >= 0 and pixels.max() <= 1):
        raise DataError(f"{path}: has values from {pixels.min():g} to {pixels.max():g}, expected 0 to 1")
    return pixels
