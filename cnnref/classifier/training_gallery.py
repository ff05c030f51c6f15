"""The pictures of both pages: what the model learned, what it makes of one digit, where it errs."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnref.classifier import pictures
from cnnref.classifier.data import Part
from cnnref.classifier.model import Model

#: Pictures of each kind that stand on the page.
_FILTERS, _MAPS, _MISTAKES = 32, 32, 12


def filters(model: Model) -> list[dict[str, Any]]:
    """Return the filters of each convolution, one picture for each input channel and filter."""
    layers = []
    for n, block in enumerate(model.blocks, 1):
        W = model.parameters[f"conv{n}.W"]
        extent = float(np.abs(W).max())
        pairs = [(c, k) for k in range(W.shape[3]) for c in range(W.shape[2])]
        # The strongest, as a deep layer has hundreds.
        strongest = sorted(pairs, key=lambda pair: -float(np.abs(W[:, :, pair[0], pair[1]]).sum()))[:_FILTERS]
        layers.append(
            {
                "name": f"conv{n}",
                "f": block.f,
                "filters": block.filters,
                "channels": W.shape[2],
                "extent": extent,
                "pairs": len(pairs),
                "images": [
                    {"src": pictures.signed(W[:, :, c, k], extent), "c": c, "k": k}
                    for c, k in sorted(strongest)
                ],
            }
        )
    return layers


def digit(model: Model, image: np.ndarray) -> dict[str, Any]:
    """Return an image (height, width, 1) and what each step of the model makes of it."""
    steps = []
    for name, output, _ in model.steps(image[np.newaxis]):
        A = output[0]
        if A.ndim == 1:
            maps, A = [A[np.newaxis]], A[np.newaxis, np.newaxis]
        else:
            maps = [A[:, :, c] for c in range(min(A.shape[2], _MAPS))]
        extent = float(np.abs(A).max())
        negative = bool((A < 0).any())
        steps.append(
            {
                "name": name,
                "shape": output.shape[1:],
                "images": [
                    pictures.signed(part, extent) if negative else pictures.grey(part, extent)
                    for part in maps
                ],
                "count": output.shape[-1],
                "extent": extent,
                "negative": negative,
                "flat": output.ndim == 2,
            }
        )
    return {
        "image": pictures.grey(image[:, :, 0], 1.0),
        "probabilities": output[0].tolist(),
        "steps": steps,
    }


def mistakes(part: Part, probabilities: np.ndarray) -> list[dict[str, Any]]:
    """Return the images that the model gets wrong, those it is surest of first."""
    guessed = probabilities.argmax(axis=1)
    (wrong,) = np.nonzero(guessed != part.labels)
    surest = sorted(wrong.tolist(), key=lambda i: -float(probabilities[i, guessed[i]]))
    return [
        {
            "src": pictures.grey(part.images[i, :, :, 0], 1.0),
            "index": i,
            "label": int(part.labels[i]),
            "guess": int(guessed[i]),
            "probability": float(probabilities[i, guessed[i]]),
            "truth": float(probabilities[i, part.labels[i]]),
        }
        for i in surest[:_MISTAKES]
    ]
