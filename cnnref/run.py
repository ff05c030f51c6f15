"""The state of a training run: everything that decides its next step, and how it is kept in a checkpoint."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cnnref import checkpoint
from cnnref.checkpoint import CheckpointError
from cnnref.data import Dataset
from cnnref.model import BLOCKS, HIDDEN, ConvBlock, Model
from cnnref.optimizers import OPTIMIZERS, SGD, Adam

#: The learning rate of an optimiser where none was asked for.
LEARNING_RATES = {"adam": 2e-3, "sgd": 0.05}


@dataclass(frozen=True)
class Options:
    """What decides the weights of a run, apart from the data and the number of epochs."""

    seed: int = 0
    filters: tuple[int, ...] = tuple(block.filters for block in BLOCKS)
    hidden: tuple[int, ...] = HIDDEN
    optimizer: str = "adam"
    learning_rate: float = LEARNING_RATES["adam"]
    batch_size: int = 32
    dtype: str = "float32"


@dataclass
class History:
    """One number for each finished epoch: mean training loss, validation loss, validation accuracy."""

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)


@dataclass
class Run:
    """A model on its way, after `epochs` epochs."""

    options: Options
    data: dict[str, Any]
    model: Model
    optimizer: SGD | Adam
    history: History

    @property
    def epochs(self) -> int:
        """Number of finished epochs."""
        return len(self.history.loss)

    @classmethod
    def start(cls, options: Options, dataset: Dataset) -> Run:
        """Return a run before its first epoch.

        Raises
        ------
        ValueError
            If an option is not possible for these images.
        """
        data = {
            "name": dataset.name,
            "digest": dataset.digest(),
            "classes": dataset.classes,
            "image_shape": list(dataset.image_shape),
        }
        return cls(options, data, _model(options, data), _optimizer(options), History())

    def save(self, path: Path) -> None:
        """Write the checkpoint, all at once."""
        arrays = {f"model.{name}": W for name, W in self.model.parameters.items()}
        arrays |= {f"optimizer.{name}": state for name, state in self.optimizer.state.items()}
        content = {
            "options": dataclasses.asdict(self.options),
            "data": self.data,
            "history": dataclasses.asdict(self.history),
        }
        checkpoint.write(path, content, arrays)

    @classmethod
    def load(cls, path: Path) -> Run:
        """Return the run as the checkpoint at `path` left it.

        Raises
        ------
        CheckpointError
            If the file is not a usable checkpoint.
        OSError
            If the file cannot be read.
        """
        content, arrays = checkpoint.read(path)
        try:
            asked = content["options"]
            options = Options(**asked | {name: tuple(asked[name]) for name in ("filters", "hidden")})
            history = History(**content["history"])
            optimizer = _optimizer(options)
            optimizer.state |= _under("optimizer.", arrays)
            model = _model(options, content["data"], _under("model.", arrays))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path}: not a checkpoint of this version: {error}") from error
        return cls(options, content["data"], model, optimizer, history)


def _under(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}


def _model(options: Options, data: dict[str, Any], parameters: dict[str, np.ndarray] | None = None) -> Model:
    return Model(
        data["image_shape"],
        data["classes"],
        [ConvBlock(filters) for filters in options.filters],
        options.hidden,
        dtype=options.dtype,
        seed=options.seed,
        parameters=parameters,
    )


def _optimizer(options: Options) -> SGD | Adam:
    return OPTIMIZERS[options.optimizer](options.learning_rate)
