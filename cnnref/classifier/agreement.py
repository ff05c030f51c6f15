"""The same training in PyTorch, step by step: what `train --agreement` shows and a test demands.

The twin has PyTorch's own operations, gradients and optimisers; it starts from the same weights and sees
the same batches. In float64 both must walk the same path; in float32 rounding parts them, and both must end
as good.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

import cnnref
from cnnref.classifier.data import Dataset, Part
from cnnref.classifier.model import Model
from cnnref.classifier.run import Options, Run
from cnnref.classifier.train import batches, evaluate

#: Steps followed in float64, and by how much a weight or a loss may differ at each.
STEPS, TOLERANCE = 200, 1e-9

#: Seeds trained to the end in float32, and by how many points the accuracies may differ for each.
SEEDS, POINTS = 5, 0.5


class Twin(torch.nn.Module):
    """A model's copy in PyTorch: same weights in the same layout, kept NHWC by permutes."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.weights = {name: torch.nn.Parameter(torch.tensor(W)) for name, W in model.parameters.items()}
        for name, W in self.weights.items():
            self.register_parameter(name.replace(".", "_"), W)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Return the scores of images (m, height, width, channels)."""
        W, activate = self.weights, getattr(torch, self.model.activation)
        for n, block in enumerate(self.model.blocks, 1):
            filters, bias = W[f"conv{n}.W"].permute(3, 2, 0, 1), W[f"conv{n}.b"].reshape(-1)
            A = functional.conv2d(X.permute(0, 3, 1, 2), filters, bias, block.stride, block.pad)
            pool = functional.max_pool2d if block.mode == "max" else functional.avg_pool2d
            X = pool(activate(A), block.pool_f, block.pool_stride).permute(0, 2, 3, 1)
        X = X.reshape(len(X), -1)
        for n in range(1, len(self.model.hidden) + 2):
            X = X @ W[f"affine{n}.W"] + W[f"affine{n}.b"]
            X = activate(X) if n <= len(self.model.hidden) else X
        return X

    def optimizer(self, options: Options) -> torch.optim.Optimizer:
        """Return PyTorch's optimiser with the settings of a run."""
        if options.optimizer == "sgd":
            return torch.optim.SGD(self.parameters(), options.learning_rate, momentum=0.9)
        return torch.optim.Adam(self.parameters(), options.learning_rate)

    def step(self, optimizer: torch.optim.Optimizer, X: torch.Tensor, Y: torch.Tensor) -> float:
        """Take one step; return the loss before it."""
        optimizer.zero_grad()
        loss = functional.cross_entropy(self(X), Y)
        loss.backward()
        optimizer.step()
        return loss.item()

    def accuracy(self, part: Part) -> float:
        """Return the share of `part` that is recognised."""
        with torch.no_grad():
            scores = self(torch.from_numpy(part.images.astype(self.model.dtype)))
        return float(np.mean(scores.argmax(1).numpy() == part.labels))


@dataclass
class Path:
    """The largest differences after each step, in float64."""

    loss: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    @property
    def worst(self) -> float:
        """The largest difference of the whole path."""
        return max(*self.loss, *self.weights)


class Agreement(NamedTuple):
    """The whole comparison."""

    path: Path
    ends: list[End]
    epochs: int
    torch: str = torch.__version__

    @property
    def holds(self) -> bool:
        """Whether every step and every end is within its limit."""
        return self.path.worst <= TOLERANCE and all(end.points <= POINTS for end in self.ends)


class End(NamedTuple):
    """Validation accuracies after the last epoch, in float32."""

    seed: int
    ours: float
    torchs: float

    @property
    def points(self) -> float:
        """Percentage points between the two."""
        return 100 * abs(self.ours - self.torchs)


def compare(
    options: Options, dataset: Dataset, epochs: int, tell: Callable[[str], None] = lambda line: None
) -> Agreement:
    """Run `path` and `ends`; `tell` gets a line for each training."""
    torch.set_num_threads(cnnref.get_num_threads())
    walked = path(options, dataset)
    tell(f"PyTorch, float64: {len(walked.loss)} steps, at most {walked.worst:.1e} apart")
    found = []
    for end in ends(options, dataset, epochs):
        found.append(end)
        tell(f"PyTorch, float32, seed {end.seed}: accuracy {end.torchs:.2%}, here {end.ours:.2%}")
    return Agreement(walked, found, epochs)


def path(options: Options, dataset: Dataset, steps: int = STEPS) -> Path:
    """Train both in float64 and return the differences after each step.

    Parameters
    ----------
    options : Options
        Those of a run; the dtype is float64 whatever they say.
    dataset : Dataset
        The images.
    steps : int, optional
        Number of steps.
    """
    differences = Path()
    walk = _beside(replace(options, dtype="float64"), dataset)
    for run, twin, ours, theirs in itertools.islice(walk, steps):
        differences.loss.append(abs(ours - theirs))
        pairs = ((W, twin.weights[name].detach().numpy()) for name, W in run.model.parameters.items())
        # A maximum of NaN would hide behind max(): NaN must count as far apart.
        differences.weights.append(max(float(np.nan_to_num(abs(W - V), nan=np.inf).max()) for W, V in pairs))
    return differences


def ends(options: Options, dataset: Dataset, epochs: int, seeds: int = SEEDS) -> Iterator[End]:
    """Train both in float32 from each of `seeds` seeds and yield where they end.

    Parameters
    ----------
    options : Options
        Those of a run; its seed is the first one, the dtype is float32 whatever they say.
    dataset : Dataset
        The images.
    epochs : int
        Epochs of each training.
    seeds : int, optional
        Number of seeds.
    """
    for seed in range(options.seed, options.seed + seeds):
        steps = epochs * math.ceil(len(dataset.train.labels) / options.batch_size)
        walk = _beside(replace(options, dtype="float32", seed=seed), dataset)
        for run, twin, _, _ in itertools.islice(walk, steps):  # noqa: B007  (the last pair is what counts)
            pass
        _, ours = evaluate(run.model.predict(dataset.validation.images), dataset.validation)
        yield End(seed, ours, twin.accuracy(dataset.validation))


def _beside(options: Options, dataset: Dataset) -> Iterator[tuple[Run, Twin, float, float]]:
    """Train both at once, without end: yield both and their losses after each step."""
    run = Run.start(options, dataset)
    twin = Twin(run.model)
    optimizer = twin.optimizer(options)
    images = dataset.train.images.astype(run.model.dtype)
    labels = dataset.train.labels
    for epoch in itertools.count(1):
        for chosen in batches(len(labels), options.batch_size, options.seed, epoch):
            X, Y = images[chosen], labels[chosen]
            theirs = twin.step(optimizer, torch.from_numpy(X), torch.from_numpy(Y))
            ours, gradients = run.model.loss_and_gradients(X, Y)
            run.optimizer.step(run.model.parameters, gradients)
            yield run, twin, ours, theirs
