"""The page of ``predict``: each picture, what the model saw of it, and what it makes of that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnnref.classifier import pages, pictures, training_gallery
from cnnref.classifier.model import Model
from cnnref.classifier.predict import Seen

#: Pixels of the longer side of a sheet on the page.
_SHEET = 320


def write(path: Path, place: Path, model: Model, seen: Sequence[tuple[str, Seen]], count: int) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        The file.
    place : Path
        The checkpoint that the model is from.
    model : Model
        What guesses.
    seen : sequence of (str, Seen)
        The name of each picture that is shown, and what the model sees of it.
    count : int
        Pictures in all.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    drawn = [_drawn(model, name, one) for name, one in seen]
    first = drawn[0]
    says = f"{first['name']} is a {first['guess']}, says the model, at {100 * first['probability']:.2f} %"
    title = says if count == 1 else f"{count} pictures"
    content = {"title": title, "model": place, "shape": model.image_shape, "seen": drawn}
    pages.write(path, "prediction.html.j2", {**content, "more": count - len(drawn)})


def _drawn(model: Model, name: str, seen: Seen) -> dict[str, Any]:
    made = training_gallery.digit(model, seen.image)
    guess = int(np.argmax(made["probabilities"]))
    box = None
    if seen.sheet is not None and seen.box is not None:
        (top, bottom, left, right), (height, width) = seen.box, seen.sheet.shape
        box = [
            round(100 * share, 2)
            for share in (top / height, left / width, (bottom - top) / height, (right - left) / width)
        ]
    sheet = None if seen.sheet is None else pictures.grey(_small(seen.sheet), 255)
    return {
        **made, "name": name, "guess": guess, "probability": made["probabilities"][guess],
        "sheet": sheet, "box": box,
    }  # fmt: skip


def _small(sheet: np.ndarray) -> np.ndarray:
    image = Image.fromarray(sheet)
    image.thumbnail((_SHEET, _SHEET), Image.Resampling.BOX)
    return np.asarray(image)
