"""``training.html``: curves, filters, feature maps and mistakes of a run, in one self-contained file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import cnnref
from cnnref.classifier import pages
from cnnref.classifier.data import Dataset
from cnnref.classifier.model import Model
from cnnref.classifier.run import Run
from cnnref.classifier.train import evaluate

if TYPE_CHECKING:
    from cnnref.classifier.agreement import Agreement


def write(
    path: Path, run: Run, dataset: Dataset, probabilities: np.ndarray, agreement: Agreement | None = None
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        The file.
    run : Run
        The finished run.
    dataset : Dataset
        What it was trained on.
    probabilities : ndarray, shape (m, classes)
        What the model says about the test images.
    agreement : Agreement, optional
        The same training in PyTorch.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    content = _content(run, dataset, probabilities)
    content["agreement"] = agreement
    content["agreement_plot"] = None if agreement is None else _agreement_plot(agreement)
    pages.write(path, "training.html.j2", content)


def _content(run: Run, dataset: Dataset, probabilities: np.ndarray) -> dict[str, Any]:
    from cnnref.classifier import training_gallery

    loss, accuracy = evaluate(probabilities, dataset.test)
    guessed = probabilities.argmax(axis=1)
    confusion = np.zeros((dataset.classes, dataset.classes), np.int64)
    np.add.at(confusion, (dataset.test.labels, guessed), 1)
    return {
        "run": run,
        "dataset": dataset,
        "loss": loss,
        "accuracy": accuracy,
        "wrong": int((guessed != dataset.test.labels).sum()),
        "best": int(np.argmax(run.history.validation_accuracy)) + 1,
        "curves": _curves(run),
        "filters": training_gallery.filters(run.model),
        "digit": training_gallery.digit(run.model, dataset.test.images[0]),
        "confusion": confusion.tolist(),
        "confused": _confused(confusion),
        "mistakes": training_gallery.mistakes(dataset.test, probabilities),
        "layers": _layers(run.model),
        "facts": _facts(run),
    }


def _curves(run: Run) -> list[dict[str, Any]]:
    from markupsafe import Markup

    from cnnref.classifier import pictures

    history = run.history
    losses = {"training": history.loss, "validation": history.validation_loss}
    accuracy = {"validation": [100 * share for share in history.validation_accuracy]}
    # Safe as it stands: matplotlib escapes the text it writes.
    return [
        {
            "svg": Markup(
                pictures.curves("loss", "Loss by epoch", "epoch", "mean cross-entropy", losses, log=True)
            ),
            "caption": "Loss. Training: the mean over the batches of the epoch, while the weights moved.",
        },
        {
            "svg": Markup(pictures.curves("accuracy", "Accuracy by epoch", "epoch", "correct / %", accuracy)),
            "caption": "Accuracy on the validation images, which no step has seen.",
        },
    ]


def _agreement_plot(agreement: Agreement) -> Any:
    from markupsafe import Markup

    from cnnref.classifier import pictures

    lines = {"weights": agreement.path.weights, "loss": agreement.path.loss}
    title = "Difference from PyTorch by step"
    return Markup(pictures.curves("agreement", title, "step", "largest difference", lines, log=True))


def _confused(confusion: np.ndarray) -> list[tuple[int, int, int]]:
    """The most frequent mistakes: class, what was said, how often."""
    pairs = [(int(t), int(g), int(confusion[t, g])) for t, g in np.argwhere(confusion) if t != g]
    return sorted(pairs, key=lambda pair: -pair[2])[:5]


def _layers(model: Model) -> list[dict[str, Any]]:
    """Each step with the shape of its output and the number of its parameters."""
    blank = np.zeros((1, *model.image_shape))
    return [
        {
            "name": name,
            "shape": " x ".join(map(str, output.shape[1:])),
            "parameters": sum(W.size for key, W in model.parameters.items() if key.startswith(f"{name}.")),
        }
        for name, output, _ in model.steps(blank)
    ]


def _facts(run: Run) -> list[tuple[str, str]]:
    config = cnnref.show_config("dicts") or {}
    weights = hashlib.sha256()
    for name in sorted(run.model.parameters):
        weights.update(run.model.parameters[name].tobytes())
    options = run.options
    return [
        ("data", f"{run.data['name']}, SHA-256 {run.data['digest']}"),
        ("optimiser", f"{options.optimizer}, learning rate {options.learning_rate:g}"),
        ("batch", f"{options.batch_size} images"),
        ("seed", str(options.seed)),
        ("dtype", options.dtype),
        ("weights", f"SHA-256 {weights.hexdigest()}"),
        ("cnnref", f"{config['cnnref']}, {config['instruction_set']}"),
        ("Python, NumPy", f"{config['python']}, {config['numpy']}"),
    ]
