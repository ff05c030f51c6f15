"""The training loop. A run that is stopped at any moment goes on from its last checkpoint to the same bits.

The order of the images in an epoch depends on the seed and the number of the epoch alone, and the checkpoint
at the end of an epoch holds everything else, so an epoch that was cut short is simply done again.
"""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import cnnref
from cnnref.classifier.checkpoint import CheckpointError
from cnnref.classifier.data import Dataset, Part
from cnnref.classifier.run import Options, Run

CHECKPOINT = "checkpoint.npz"

Progress = Callable[[Iterable[np.ndarray], int, str], Iterable[np.ndarray]]


class TrainingError(RuntimeError):
    """Training cannot go on; the message is one line and says what to do."""


def resume_or_start(options: Options, dataset: Dataset, path: Path) -> Run:
    """Return the run that the checkpoint at `path` holds, or a new one if there is none.

    Raises
    ------
    CheckpointError
        If the checkpoint is damaged, or of a run with other options or other images.
    ValueError
        If an option is not possible for these images.
    """
    if not path.exists():
        return Run.start(options, dataset)
    run = Run.load(path)
    if run.options != options:
        differ = [
            f"{name} {theirs} (asked for: {ours})"
            for (name, theirs), ours in zip(vars(run.options).items(), vars(options).values(), strict=True)
            if theirs != ours
        ]
        raise CheckpointError(f"{path}: is of a run with {', '.join(differ)}; name another folder with --out")
    if run.data["digest"] != dataset.digest():
        raise CheckpointError(
            f"{path}: is of a run on other images ({run.data['name']!r:.80}); name another folder with --out"
        )
    return run


def train(
    run: Run,
    dataset: Dataset,
    epochs: int,
    path: Path,
    tell: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda batches, count, label: batches,
) -> None:
    """Train until `epochs` epochs are done, with a checkpoint at `path` after each.

    Parameters
    ----------
    run : Run
        Changed in place.
    dataset : Dataset
        The images that `run` was started on.
    epochs : int
        Epochs in all, those done already included.
    path : Path
        The checkpoint.
    tell : callable, optional
        Gets a line for each epoch.
    progress : callable, optional
        Gets the batches of an epoch, their number and a label; returns the batches.

    Raises
    ------
    TrainingError
        If the loss is no longer finite.
    OSError
        If the checkpoint cannot be written.
    """
    images = dataset.train.images.astype(run.model.dtype)
    labels = dataset.train.labels
    size = run.options.batch_size
    while run.epochs < epochs:
        epoch = run.epochs + 1
        label = f"epoch {epoch:{len(str(epochs))}}/{epochs}"
        total = 0.0
        order = batches(len(labels), size, run.options.seed, epoch)
        for chosen in progress(order, math.ceil(len(labels) / size), label):
            loss, gradients = run.model.loss_and_gradients(images[chosen], labels[chosen])
            if not math.isfinite(loss):
                raise TrainingError(f"{label}: the loss became {loss}; try a lower --learning-rate")
            run.optimizer.step(run.model.parameters, gradients)
            total += loss * len(chosen)
        loss, accuracy = evaluate(run.model.predict(dataset.validation.images), dataset.validation)
        run.history.loss.append(total / len(labels))
        run.history.validation_loss.append(loss)
        run.history.validation_accuracy.append(accuracy)
        run.save(path)
        tell(f"{label}  loss {run.history.loss[-1]:.4f}  validation loss {loss:.4f}  accuracy {accuracy:.2%}")


def batches(count: int, size: int, seed: int, epoch: int) -> Iterator[np.ndarray]:
    """Yield the indices of each batch: every image once, in an order of this seed and epoch alone."""
    order = np.random.default_rng([seed, epoch]).permutation(count)
    for start in range(0, count, size):
        yield order[start : start + size]


def evaluate(probabilities: np.ndarray, part: Part) -> tuple[float, float]:
    """Return the mean cross-entropy and the accuracy of the `probabilities` of the images of `part`."""
    loss, _ = cnnref.cross_entropy_cost(probabilities, part.labels)
    return loss, float(np.mean(probabilities.argmax(axis=1) == part.labels))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make `folder` and keep every other run out of it; the lock goes with the process, however it ends.

    Raises
    ------
    TrainingError
        If another run is writing there.
    OSError
        If the folder cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(
                f"{folder}: another run writes there; name another folder with --out"
            ) from None
        yield
    finally:
        os.close(handle)
