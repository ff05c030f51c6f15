"""A training epoch at MNIST's size: this package against eager PyTorch, on the same threads.

60,000 images of 28x28 in batches of 64, the default model of `cnnref.classifier.model`, Adam. Each side runs
in a process of its own, turn by turn, so that both see the same machine; a sample of the batches stands for
the epoch. PyTorch has its own layers, layout (NCHW or channels last: the faster counts), cross-entropy and
optimiser; both gather their batches from an array in memory.

    python -m benchmarks.epoch                    the comparison
    python -m benchmarks.epoch --profile          where the time of this package goes, step by step
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

IMAGES, SIDE, CLASSES, BATCH = 60_000, 28, 10, 64
BATCHES = math.ceil(IMAGES / BATCH)

#: The share of PyTorch's time that an epoch may take.
LIMIT = 2 / 3

_WARM_UP = 10


def compare(rounds: int = 5, batches: int = 60, threads: int = 2) -> dict[str, Any]:
    """Measure both sides in turn.

    Parameters
    ----------
    rounds : int, optional
        Processes of each side.
    batches : int, optional
        Batches measured in each.
    threads : int, optional
        Threads of both sides.

    Returns
    -------
    dict
        ``epoch``: seconds of an epoch by side, from the median batch of the median round; ``ratio`` of cnnref
        to the faster layout of PyTorch; ``limit``; ``rounds``, ``batches``, ``threads``.
    """
    sides = tuple(_SIDES)
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(rounds):
        # Whoever goes first goes last the next time.
        for side in sides if turn % 2 == 0 else sides[::-1]:
            seconds[side].append(_in_a_process(side, batches, threads))
    epoch = {side: statistics.median(found) * BATCHES for side, found in seconds.items()}
    torch = min(epoch["torch"], epoch["torch-channels-last"])
    return {
        "epoch": epoch,
        "ratio": epoch["cnnref"] / torch,
        "limit": LIMIT,
        "rounds": rounds,
        "batches": batches,
        "threads": threads,
    }


def _in_a_process(side: str, batches: int, threads: int) -> float:
    command = [
        sys.executable,
        "-m",
        "benchmarks.epoch",
        "--side",
        side,
        "--batches",
        str(batches),
        "--threads",
        str(threads),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"epoch: the process for {side} failed: {done.stderr.strip()}")
    return float(json.loads(done.stdout))


def _data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images with strokes' share of dark pixels, labels and the order of an epoch."""
    rng = np.random.default_rng(0)
    images = rng.random((IMAGES, SIDE, SIDE, 1), np.float32)
    images *= rng.random((IMAGES, SIDE, SIDE, 1), np.float32) < 0.2
    return images, rng.integers(0, CLASSES, IMAGES), rng.permutation(IMAGES)


def _time(step: Callable[[np.ndarray], None], order: np.ndarray, batches: int) -> float:
    """Return the seconds of the median batch, after a warm-up: other processes disturb the mean."""
    seconds = []
    for i in range(_WARM_UP + batches):
        start = time.perf_counter()
        step(order[i * BATCH : (i + 1) * BATCH])
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[_WARM_UP:])


def _cnnref(batches: int, threads: int) -> float:
    import cnnref
    from cnnref.classifier.model import Model
    from cnnref.classifier.optimizers import Adam

    cnnref.set_num_threads(threads)
    images, labels, order = _data()
    model, optimizer = Model((SIDE, SIDE, 1), CLASSES), Adam()

    def step(chosen: np.ndarray) -> None:
        _, gradients = model.loss_and_gradients(images[chosen], labels[chosen])
        optimizer.step(model.parameters, gradients)

    return _time(step, order, batches)


def _torch(batches: int, threads: int, channels_last: bool = False) -> float:
    import torch
    from torch import nn

    from cnnref.classifier.model import BLOCKS, HIDDEN

    torch.set_num_threads(threads)
    layers: list[nn.Module] = []
    side, channels = SIDE, 1
    for block in BLOCKS:
        layers.append(nn.Conv2d(channels, block.filters, block.f, block.stride, block.pad))
        layers += [nn.ReLU(), nn.MaxPool2d(block.pool_f, block.pool_stride)]
        side = (side + 2 * block.pad - block.f) // block.stride + 1
        side, channels = (side - block.pool_f) // block.pool_stride + 1, block.filters
    layers.append(nn.Flatten())
    widths = (side * side * channels, *HIDDEN, CLASSES)
    for n_prev, n in itertools.pairwise(widths):
        layers += [nn.Linear(n_prev, n), nn.ReLU()]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = nn.Sequential(*layers[:-1]).to(memory_format=layout)
    optimizer = torch.optim.Adam(model.parameters())
    cost = nn.CrossEntropyLoss()
    pixels, classes, order = _data()
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    labels = torch.from_numpy(classes)

    def step(chosen: np.ndarray) -> None:
        indices = torch.from_numpy(chosen)
        optimizer.zero_grad()
        loss = cost(model(images[indices]), labels[indices])
        loss.backward()
        optimizer.step()

    return _time(step, order, batches)


_SIDES: dict[str, Callable[[int, int], float]] = {
    "cnnref": _cnnref,
    "torch": _torch,
    "torch-channels-last": lambda batches, threads: _torch(batches, threads, channels_last=True),
}


def profile(batches: int = 60, threads: int = 2) -> dict[str, float]:
    """Return the milliseconds a batch spends in each function of the package, and in the optimiser."""
    import cnnref

    spent: dict[str, float] = {}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments)
            size = f" {arguments[0].shape}" if name.startswith(("conv", "pool", "affine")) else ""
            spent[name + size] = spent.get(name + size, 0.0) + time.perf_counter() - start
            return result

        return call

    for name in cnnref.__all__:
        function = getattr(cnnref, name)
        if callable(function) and name.endswith(("forward", "backward", "cost", "softmax", "col", "arr")):
            setattr(cnnref, name, timed(name, function))
    from cnnref.classifier import model, optimizers

    for name, pair in model._ACTIVATIONS.items():
        forward, backward = pair
        model._ACTIVATIONS[name] = (timed(name, forward), timed(f"{name}_backward", backward))
    optimizers.Adam.step = timed("Adam.step", optimizers.Adam.step)  # type: ignore[method-assign]
    whole = _cnnref(batches, threads)
    per_batch = {name: 1e3 * seconds / (batches + _WARM_UP) for name, seconds in spent.items()}
    return {"whole batch": 1e3 * whole, **dict(sorted(per_batch.items(), key=lambda item: -item[1]))}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparison; 1 if it is above the limit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--side", choices=tuple(_SIDES), help="measure one side, print the seconds of a batch"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=60, help=f"of the {BATCHES} in an epoch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="milliseconds by function")
    asked = parser.parse_args(arguments)
    if asked.side:
        print(json.dumps(_SIDES[asked.side](asked.batches, asked.threads)))
        return 0
    if asked.profile:
        for name, milliseconds in profile(asked.batches, asked.threads).items():
            print(f"{milliseconds:8.3f} ms  {name}")
        return 0
    found = compare(asked.rounds, asked.batches, asked.threads)
    for side, seconds in found["epoch"].items():
        print(f"{side:20} {seconds:6.2f} s an epoch")
    print(f"ratio {found['ratio']:.2f}, at most {LIMIT:.2f}")
    return int(found["ratio"] > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
