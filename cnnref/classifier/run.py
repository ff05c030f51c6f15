"""The state of a training run: everything that decides its next step, and how it is kept in a checkpoint."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cnnref.classifier import checkpoint
from cnnref.classifier.checkpoint import CheckpointError
from cnnref.classifier.data import Dataset
from cnnref.classifier.model import BLOCKS, HIDDEN, ConvBlock, Model
from cnnref.classifier.optimizers import OPTIMIZERS, SGD, Adam

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
            options, history = _options(content["options"]), _history(content["history"])
            data = content["data"]
            if not isinstance(data["name"], str) or not isinstance(data["digest"], str):
                raise TypeError("name and digest of the data must be texts")
            model = _model(options, data, _under("model.", arrays))
            _affordable(model)
            optimizer = _optimizer(options)
            optimizer.state |= _state(model, _under("optimizer.", arrays))
        except Exception as error:  # whatever somebody wrote into the fields
            raise CheckpointError(f"{path}: not a checkpoint of this version: {str(error)[:300]}") from error
        return cls(options, data, model, optimizer, history)


#: Elements of one image in a layer: what a checkpoint of a few bytes may ask for in memory (half a gigabyte).
_LARGEST_LAYER = 1 << 27


def _options(asked: dict[str, Any]) -> Options:
    """The options of a checkpoint, whose every value has the type of this version's."""
    options = Options(**asked | {name: tuple(asked[name]) for name in ("filters", "hidden")})
    for name, standard in vars(Options()).items():
        value = getattr(options, name)
        many = value if isinstance(standard, tuple) else (value,)
        wanted = int if isinstance(standard, tuple) else type(standard)
        if any(type(one) is not wanted for one in many):
            raise TypeError(f"{name} must hold {wanted.__name__}, got {value!r:.40}")
    if options.dtype not in ("float32", "float64"):
        raise ValueError(f"dtype must be float32 or float64, got {options.dtype!r:.40}")
    return options


def _history(asked: dict[str, Any]) -> History:
    history = History(**asked)
    series = vars(history).values()
    if not all(isinstance(values, list) and set(map(type, values)) <= {int, float} for values in series):
        raise TypeError("history must hold lists of numbers")
    if len(set(map(len, series))) > 1:
        raise ValueError("history must hold a number of each kind for each epoch")
    return history


def _affordable(model: Model) -> None:
    """Refuse images that a model of these weights could not have been trained on."""
    height, width, channels = model.image_shape
    largest = height * width * channels
    for block in model.blocks:
        largest = max(largest, height * width * block.filters)
        height, width = height // block.pool_stride, width // block.pool_stride
    if largest > _LARGEST_LAYER:
        raise ValueError(f"images of {model.image_shape} make a layer of {largest} elements, too large")


def _state(model: Model, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the optimiser remembers: a number of steps, and arrays like the parameters they belong to."""
    for name, array in given.items():
        if name == "steps":
            if array.shape != () or array.dtype != np.int64 or not 0 <= array < 1 << 62:
                raise ValueError("the number of steps must be an integer of at least 0")
            continue
        W = model.parameters[name.removesuffix(".mean").removesuffix(".square")]
        if array.shape != W.shape or array.dtype != W.dtype:
            raise ValueError(f"the state {name!r:.40} must be {W.shape} of {W.dtype}, got {array.shape}")
    return given


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
