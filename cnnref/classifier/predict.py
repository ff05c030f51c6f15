"""Reads pictures the way a model saw its training images: grey, light writing on dark, values in [0, 1]."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnref.classifier import framing, npy
from cnnref.classifier.data import DataError

SUFFIXES = (".png", ".pgm", ".ppm", ".bmp", ".gif", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".npy")

#: Of the formats that Pillow knows, those of `SUFFIXES`; others start programs (EPS) or are of no use here.
_FORMATS = ("PNG", "PPM", "BMP", "DIB", "GIF", "JPEG", "MPO", "TIFF", "WEBP")

#: A picture has at most 16 pixels for each byte of its file (a photograph has four), or else this many: what
#: it takes in memory is bounded by the size of the file, however it is packed.
_PIXELS_A_BYTE, _FREE_PIXELS = 16, 1 << 24

_MOST_SCANS = 100

#: From darkest to brightest, of a picture in which there is writing.
_CONTRAST = 0.1

#: Pixels a side in which writing is looked for.
_LOOKED = 1024

#: The largest value of a pixel in scikit-learn's digits.
_SIXTEEN = 16

#: The largest value of 16 bits.
_WORD = 65535


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


class Seen(NamedTuple):
    """An image as a model takes it, and what it was cut from.

    Attributes
    ----------
    image : ndarray, shape (height, width, 1)
        Light writing, values in [0, 1].
    sheet : ndarray of uint8, or None
        The picture, grey and no larger than writing is looked for in; None of an array.
    box : tuple of int or None
        The writing in the sheet (`framing.Box`); None if the whole sheet was taken.
    """

    image: np.ndarray
    sheet: np.ndarray | None = None
    box: framing.Box | None = None

    @property
    def blank(self) -> bool:
        """Whether all of it is of about one brightness: a model has an answer for that, too."""
        return float(np.ptp(self.image)) < _CONTRAST


def look(path: Path, shape: Sequence[int], ink: str = "auto") -> list[Seen]:
    """Return an image as a model takes it, or each image of an array that has several.

    Parameters
    ----------
    path : Path
        A picture, made grey and of the model's size: turned as its EXIF says, on white where it is
        transparent, the first where there are several; where the writing is only a part of it, cut out and
        centred as MNIST's is (`framing`). Or an ``.npy`` array of that size, or of several images, uint8 (0
        to 255), floating point (0 to 1), or as scikit-learn has its digits (whole numbers from 0 to 16).
    shape : sequence of int
        Height, width and channels (one) of the result.
    ink : {"auto", "light", "dark"}, optional
        Dark writing is inverted; "auto" takes the writing for dark where the border is light.

    Raises
    ------
    DataError
        If the file is no image, damaged, of a wrong size or with values out of range; or a picture of more
        than 16 million pixels that has more than 16 for each byte of the file.
    OSError
        If the file cannot be read.
    """
    height, width, channels = shape
    if channels != 1:
        raise DataError(
            f"{path}: the model takes images with {channels} channels, only grey ones can be read"
        )
    if path.suffix.lower() == ".npy":
        return [Seen(_light(pixels, ink)[..., np.newaxis]) for pixels in _array(path, height, width)]
    return [_picture(path, height, width, ink)]


def _light(pixels: np.ndarray, ink: str) -> np.ndarray:
    """`pixels` with light writing."""
    dark = ink == "dark" or (ink == "auto" and np.median(_border(pixels)) > 0.5)
    return 1 - pixels if dark else pixels


def _border(pixels: np.ndarray) -> np.ndarray:
    return np.concatenate((pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))


def _picture(path: Path, height: int, width: int, ink: str) -> Seen:
    try:
        from PIL import Image
    except ImportError:
        raise DataError(f"{path}: reading pictures needs Pillow: pip install 'cnnref[train]'") from None
    content = path.read_bytes()  # so that every error below is one of what is in it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damage that does not matter, and pixels, counted below
            with _open(content) as image:
                grey = _grey(image)
                looked = grey.copy()
                looked.thumbnail((_LOOKED, _LOOKED), Image.Resampling.BOX)
                sheet = np.asarray(looked)
                whole = _light(sheet / 255, ink)
                box = framing.writing(whole, height, width)
                if box is not None:
                    return Seen(framing.placed(whole, box, height, width)[..., np.newaxis], sheet, box)
                if grey.size != (width, height):
                    shrinks = grey.width >= width and grey.height >= height
                    grey = grey.resize((width, height), Image.Resampling.BOX if shrinks else None)
                pixels = np.asarray(grey) / 255
    except DataError as error:
        raise DataError(f"{path}: {error}") from error.__cause__
    except Exception as error:  # Pillow has two dozen for what may be in a file
        raise DataError(
            f"{path}: not an image that Pillow can read, or a damaged one: {_one_line(error)}"
        ) from error
    return Seen(_light(pixels, ink)[..., np.newaxis], sheet)


def _open(content: bytes) -> Any:
    """The picture, nothing of it decoded yet, if it is of a format and a size that is taken."""
    from PIL import Image

    Image.init()
    try:
        image = Image.open(io.BytesIO(content), formats=[name for name in _FORMATS if name in Image.OPEN])
    except Image.UnidentifiedImageError:
        formats = ", ".join(_FORMATS)
        raise DataError(f"not an image of a format that is read ({formats}), or cut off") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"too many pixels: {error}") from error
    pixels, most = image.width * image.height, max(_FREE_PIXELS, _PIXELS_A_BYTE * len(content))
    if pixels == 0:
        raise DataError("has no pixels")
    if pixels > most:
        raise DataError(
            f"too many pixels: {image.width}x{image.height}, from {len(content)} bytes at most {most}"
        )
    # Each pass of a progressive JPEG goes over the whole picture.
    if content[:2] == b"\xff\xd8" and content.count(b"\xff\xda") > _MOST_SCANS:
        raise DataError(f"a JPEG of more than {_MOST_SCANS} scans")
    return image


def _grey(image: Any) -> Any:
    """The picture from 0 (black) to 255, upright as its EXIF says, on white where it is transparent."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise DataError("has floating-point pixels of no known range; save them as an .npy array from 0 to 1")
    if image.mode[0] == "I":  # 16 bits
        values = np.asarray(image, np.float32)
        if values.min() < 0 or values.max() > _WORD:
            raise DataError(f"has values from {values.min():g} to {values.max():g}, expected 0 to {_WORD}")
        return Image.fromarray(values * np.float32(255 / _WORD))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("L")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _array(path: Path, height: int, width: int) -> np.ndarray:
    """The images of an .npy file, of shape (m, height, width), from 0 to 1."""
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        try:
            found = npy.header(stream.read(npy.HEAD))
        except ValueError as error:
            raise DataError(f"{path}: not an .npy array, or a damaged one: it {error}") from error
        # The file must be as long as its header says before anything is allocated.
        if found.size != size:
            raise DataError(
                f"{path}: the header states an .npy array of {found.size} bytes, the file has {size}"
            )
        forms = (height, width), (height, width, 1), (height * width,)
        if found.shape not in forms and (found.shape[1:] not in forms or found.shape[0] == 0):
            raise DataError(
                f"{path}: has the shape {found.shape}, the model takes {(height, width)}, or several images, "
                f"(m, {height}, {width})"
            )
        if found.dtype != np.uint8 and found.dtype.kind != "f":
            raise DataError(
                f"{path}: has the dtype {found.dtype}, expected uint8 (0 to 255) or floating point (0 to 1)"
            )
        stream.seek(0)
        content = stream.read(size)
    if len(content) != size:
        raise DataError(f"{path}: changed while it was read")
    with np.errstate(all="ignore"):  # a long double beyond float64 is out of range anyway
        pixels = npy.array(content).astype(np.float64).reshape(-1, height, width)
    if found.dtype == np.uint8:
        pixels /= 255
    elif pixels.min() == 0 and 1 < pixels.max() <= _SIXTEEN and not (pixels % 1).any():
        pixels /= _SIXTEEN
    if not (pixels.min() >= 0 and pixels.max() <= 1):
        raise DataError(f"{path}: has values from {pixels.min():g} to {pixels.max():g}, expected 0 to 1")
    return pixels
