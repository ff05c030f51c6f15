"""Finds the writing in a picture and puts it where a training image has it.

MNIST's digits were scaled to fit a box of 20x20 pixels, which was put into 28x28 with the digit's centre of
mass in the middle; scikit-learn's fill their 8x8 pixels. A picture that is nothing but such a digit, however
large, is left alone.

Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import numpy as np

#: In images of at least so many pixels the writing has MNIST's share, in smaller ones all.
_LARGE, _SHARE = 20, 20 / 28

#: Writing that takes more of a picture than this stands in it as in a training image.
_FILLED = 0.65

#: How far writing stands out of the paper, at least, and how much of a picture it is, at most.
_CONTRAST, _MOST = 0.2, 0.5

#: The share of the pixels in a row or column that is writing and no speck.
_SPECK = 0.004

Box = tuple[int, int, int, int]


def writing(pixels: np.ndarray, height: int, width: int) -> Box | None:
    """The box (top, bottom, left, right) of light writing that is a part of a picture; None if it is not one.

    Parameters
    ----------
    pixels : ndarray, shape (h, w)
        The picture, writing light, values in [0, 1].
    height, width : int
        Of a training image.
    """
    if pixels.shape[0] <= height or pixels.shape[1] <= width:
        return None
    ink = pixels > threshold(pixels)
    if not 0 < ink.mean() < _MOST or pixels[ink].mean() - pixels[~ink].mean() < _CONTRAST:
        return None
    rows, columns = (np.nonzero(ink.sum(axis) > max(1, _SPECK * ink.shape[axis]))[0] for axis in (1, 0))
    if not (rows.size and columns.size):
        return None
    box = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    filled = max(box[1] - box[0], box[3] - box[2]) / max(pixels.shape)
    return None if filled > _FILLED else box


def threshold(pixels: np.ndarray) -> float:
    """The value between two kinds of pixels that parts them best (Otsu 1979)."""
    counts, edges = np.histogram(pixels, 256, (0, 1))
    middles = (edges[1:] + edges[:-1]) / 2
    below, sums = np.cumsum(counts), np.cumsum(counts * middles)
    above, rest = below[-1] - below, sums[-1] - sums
    with np.errstate(all="ignore"):
        between = np.nan_to_num(below * above * (sums / below - rest / above) ** 2)
    return float(edges[1:][between.argmax()])


def placed(pixels: np.ndarray, box: Box, height: int, width: int) -> np.ndarray:
    """The writing in `box`, paper made 0 and ink 1, as a training image of `height` x `width` has it."""
    from PIL import Image

    level = threshold(pixels)
    paper, ink = np.median(pixels[pixels <= level]), np.percentile(pixels[pixels > level], 75)
    top, bottom, left, right = box
    clean = np.clip((pixels[top:bottom, left:right] - paper) / (ink - paper), 0, 1)
    room = min(height, width) * (_SHARE if min(height, width) >= _LARGE else 1)
    scale = room / max(clean.shape)
    extents = [max(1, round(extent * scale)) for extent in clean.shape]
    image = Image.fromarray(clean.astype(np.float32)).resize(extents[::-1], Image.Resampling.BOX)
    small = np.clip(np.asarray(image, np.float64), 0, 1)
    result = np.zeros((height, width))
    y, x = (_start(small.sum(1 - axis), extent) for axis, extent in ((0, height), (1, width)))
    result[y : y + small.shape[0], x : x + small.shape[1]] = small
    return result


def _start(mass: np.ndarray, extent: int) -> int:
    """Where writing starts whose centre of mass is to be in the middle, all of it inside."""
    centre = (mass * (np.arange(mass.size) + 0.5)).sum() / mass.sum()
    return int(np.clip(round(extent / 2 - centre), 0, extent - mass.size))
