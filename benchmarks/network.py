"""Whole networks: forward and backward of one batch of ResNet-18 and MobileNet v2, beside eager PyTorch.

    python -m benchmarks.network               both sides in float32; our bfloat16 beside our float32
    python -m benchmarks.network --profile     where cnnref's time goes, by function

Both are chains of the public functions with batch normalization in training; the gradient of the logits is
given. PyTorch is channels_last, with autograd. MobileNet has relu for relu6, on both sides. A network is a
tuple of steps: a convolution with its normalization and activation, a residual block, a pooling.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from benchmarks.inputs import Arrays, numpy_dtype
from benchmarks.measure import QUICK, alternate
from benchmarks.rounds import Rounds
from benchmarks.row import Row

CLASSES = 1000
PEERS = ("cnnref", "pytorch")
FUNCTION = "network"
#: What a chain gives: its output, and what takes the gradient of that to the gradient of its input.
Passed = tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]
Chain = Callable[[np.ndarray], Passed]


class Conv(NamedTuple):
    """A convolution without bias, its batch normalization, and what follows."""

    f: int
    c: int
    k: int
    stride: int = 1
    groups: int = 1
    activation: str = "relu"


class Residual(NamedTuple):
    """The sum of two chains; an empty shortcut is the input itself."""

    body: tuple[Any, ...]
    shortcut: tuple[Any, ...]
    activation: str


class MaxPool(NamedTuple):
    """3x3 windows, every second, padded by one."""


def resnet18() -> tuple[Any, ...]:
    """He et al. 2015, table 1."""
    steps: list[Any] = [Conv(7, 3, 64, 2), MaxPool()]
    c = 64
    for k in (64, 128, 256, 512):
        for _ in range(2):
            stride = 2 if k > c else 1
            shortcut = (Conv(1, c, k, stride, 1, ""),) if k > c else ()
            steps.append(Residual((Conv(3, c, k, stride), Conv(3, k, k, 1, 1, "")), shortcut, "relu"))
            c = k
    return tuple(steps)


def mobilenet2() -> tuple[Any, ...]:
    """Sandler et al. 2018, table 2."""
    steps: list[Any] = [Conv(3, 3, 32, 2)]
    c = 32
    stages = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    for expansion, k, count, first in stages:
        for number in range(count):
            stride, wide = first if number == 0 else 1, c * expansion
            body = (Conv(3, wide, wide, stride, wide), Conv(1, wide, k, 1, 1, ""))
            if expansion > 1:
                body = (Conv(1, c, wide), *body)
            steps.extend((Residual(body, (), ""),) if stride == 1 and c == k else body)
            c = k
    return (*steps, Conv(1, c, 1280))


NETWORKS: dict[str, Callable[[], tuple[Any, ...]]] = {"resnet-18": resnet18, "mobilenet-2": mobilenet2}


def rows() -> Iterator[Row]:
    """Each network on one and two threads."""
    for name in NETWORKS:
        for threads in (1, 2):
            yield Row(FUNCTION, name, {"m": 4, "h": 224, "w": 224, "c": 3}, threads=threads)


def last_channels(steps: tuple[Any, ...]) -> int:
    """The channels that a chain ends with."""
    last = steps[-1]
    return int(last.k) if isinstance(last, Conv) else last_channels(last.body)


class Parameters:
    """Drawn in the order in which the steps ask for them, the same for both sides."""

    def __init__(self, dtype: np.dtype) -> None:
        self.rng, self.dtype = np.random.default_rng(0), dtype

    def filters(self, *shape: int) -> np.ndarray:
        """Of outputs of about unit variance."""
        drawn = self.rng.standard_normal(shape, dtype=np.float32) * np.float32(np.prod(shape[:-1]) ** -0.5)
        return drawn.astype(self.dtype)


def ours(row: Row, a: Arrays) -> Callable[[], Any]:
    """A call of cnnref's functions, forward and backward."""
    import cnnref

    own = Parameters(numpy_dtype(row.dtype))
    one = np.ones(1, own.dtype)

    def conv(step: Conv) -> Chain:
        W = own.filters(step.f, step.f, step.c // step.groups, step.k)
        none, unit = (np.zeros((1, 1, 1, step.k), own.dtype) + value for value in (0 * one, one))
        hparameters = {"stride": step.stride, "pad": step.f // 2, "groups": step.groups}

        def run(x: np.ndarray) -> Passed:
            z, cache = cnnref.conv_forward(x, W, none, hparameters)
            z, norm = cnnref.batch_norm_forward(z, unit, none, None, None, {"training": True})
            z, kept = cnnref.relu(z) if step.activation else (z, None)

            def back(g: np.ndarray) -> np.ndarray:
                g = g if kept is None else cnnref.relu_backward(g, kept)
                return cnnref.conv_backward(cnnref.batch_norm_backward(g, norm)[0], cache)[0]

            return z, back

        return run

    def pool(step: MaxPool) -> Chain:
        def run(x: np.ndarray) -> Passed:
            z, cache = cnnref.pool_forward(x, {"f": 3, "stride": 2, "pad": 1})
            return z, lambda g: cnnref.pool_backward(g, cache)

        return run

    def residual(
        step: Residual,
    ) -> Chain:
        body, shortcut = chain(step.body), chain(step.shortcut)

        def run(x: np.ndarray) -> Passed:
            (z, back), (y, other) = body(x), shortcut(x)
            z, kept = cnnref.relu(z + y) if step.activation else (z + y, None)

            def both(g: np.ndarray) -> np.ndarray:
                g = g if kept is None else cnnref.relu_backward(g, kept)
                return back(g) + other(g)

            return z, both

        return run

    def chain(
        steps: tuple[Any, ...],
    ) -> Chain:
        kinds: dict[type, Callable[[Any], Any]] = {Conv: conv, MaxPool: pool, Residual: residual}
        made = [kinds[type(step)](step) for step in steps]

        def run(x: np.ndarray) -> Passed:
            backs = []
            for each in made:
                x, back = each(x)
                backs.append(back)

            def all_back(g: np.ndarray) -> np.ndarray:
                for back in reversed(backs):
                    g = back(g)
                return g

            return x, all_back

        return run

    steps = NETWORKS[row.layer]()
    whole, channels, x = chain(steps), last_channels(steps), a["X"]
    W = own.filters(channels, CLASSES)
    b, upstream = np.zeros((1, CLASSES), own.dtype), own.filters(len(x), CLASSES)

    def call() -> tuple[np.ndarray, np.ndarray]:
        features, back = whole(x)
        means, cache = cnnref.global_average_pool_forward(features)
        logits, head = cnnref.affine_forward(means.reshape(len(x), channels), W, b)
        g = cnnref.affine_backward(upstream, head)[0].reshape(means.shape)
        return logits, back(cnnref.global_average_pool_backward(g, cache))

    return call


def theirs(row: Row, a: Arrays) -> Callable[[], Any]:
    """The same in PyTorch, with autograd."""
    import torch
    from torch.nn import functional

    own = Parameters(numpy_dtype(row.dtype))
    last = torch.channels_last

    def conv(step: Conv) -> Callable[[Any], Any]:
        drawn = own.filters(step.f, step.f, step.c // step.groups, step.k)
        w = torch.tensor(drawn).permute(3, 2, 0, 1).contiguous(memory_format=last).requires_grad_()
        b, beta = (torch.zeros(step.k, requires_grad=True) for _ in range(2))
        gamma = torch.ones(step.k, requires_grad=True)

        def run(x: Any) -> Any:
            z = functional.conv2d(x, w, b, step.stride, step.f // 2, 1, step.groups)
            z = functional.batch_norm(z, None, None, gamma, beta, True)
            return functional.relu(z) if step.activation else z

        return run

    def residual(step: Residual) -> Callable[[Any], Any]:
        body, shortcut = chain(step.body), chain(step.shortcut)
        return lambda x: functional.relu(body(x) + shortcut(x)) if step.activation else body(x) + shortcut(x)

    def chain(steps: tuple[Any, ...]) -> Callable[[Any], Any]:
        made = [
            conv(step) if isinstance(step, Conv)
            else residual(step) if isinstance(step, Residual)
            else lambda x: functional.max_pool2d(x, 3, 2, 1)
            for step in steps
        ]  # fmt: skip

        def run(x: Any) -> Any:
            for each in made:
                x = each(x)
            return x

        return run

    with torch.inference_mode(False), torch.enable_grad():
        steps = NETWORKS[row.layer]()
        whole, channels = chain(steps), last_channels(steps)
        image = torch.tensor(a["X"]).permute(0, 3, 1, 2).contiguous(memory_format=last).requires_grad_()
        w = torch.tensor(own.filters(channels, CLASSES)).requires_grad_()
        b = torch.zeros(CLASSES, requires_grad=True)
        upstream = torch.tensor(own.filters(len(a["X"]), CLASSES))

    def call() -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode(False), torch.enable_grad():
            image.grad = None
            logits = torch.addmm(b, functional.adaptive_avg_pool2d(whole(image), 1).flatten(1), w)
            logits.backward(upstream)
            assert image.grad is not None
            return logits.detach().numpy(), image.grad.permute(0, 2, 3, 1).numpy()

    return call


def measure(plan: Any = QUICK) -> list[dict[str, Any]]:
    """Of each row the seconds of both sides and PyTorch's over cnnref's, median and quartiles."""
    from benchmarks.worker import Worker

    found = []
    for row in rows():
        workers = {peer: Worker(peer, row.threads) for peer in PEERS}
        rounds = Rounds()
        for worker in workers.values():
            worker.prepare(row)
        rounds.add(alternate({peer: worker.turn for peer, worker in workers.items()}, plan))
        found.append({"name": row.name, **rounds.record()})
        for worker in workers.values():
            worker.close()
    return found


def in_half(row: Row, rounds: int = 5) -> float:
    """Cnnref's time in float32 over that in bfloat16."""
    from dataclasses import replace

    import cnnref
    from benchmarks.inputs import draw

    cnnref.set_num_threads(row.threads)
    calls = [ours(r, draw(r)) for r in (row, replace(row, dtype="bfloat16"))]
    seconds: list[list[float]] = [[], []]
    for _ in range(rounds):
        for call, times in zip(calls, seconds, strict=True):
            call()
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
    return float(np.median(seconds[0]) / np.median(seconds[1]))


def profile(row: Row) -> dict[str, float]:
    """Seconds in each function of cnnref in one call; "between" is everything else."""
    import cnnref
    from benchmarks.inputs import draw

    taken: dict[str, float] = defaultdict(float)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            began = time.perf_counter()
            result = function(*args)
            taken[name] += time.perf_counter() - began
            return result

        return run

    cnnref.set_num_threads(row.threads)
    call = ours(row, draw(row))
    call()
    kept = {
        name: getattr(cnnref, name)
        for name in cnnref.__all__
        if name.endswith(("_forward", "_backward", "relu"))
    }
    try:
        for name, function in kept.items():
            setattr(cnnref, name, timed(name, function))
        began = time.perf_counter()
        call()
        whole = time.perf_counter() - began
    finally:
        for name, function in kept.items():
            setattr(cnnref, name, function)
    return dict(sorted(taken.items(), key=lambda item: -item[1])) | {"between": whole - sum(taken.values())}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.network", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--profile", action="store_true", help="where cnnref's time goes")
    if parser.parse_args().profile:
        for row in rows():
            print(
                row.name,
                *(f"{name} {1e3 * seconds:.1f} ms" for name, seconds in profile(row).items()),
                sep="\n  ",
            )
        return
    for record, row in zip(measure(), rows(), strict=True):
        ratio, (mine, other) = record["ratio"], (1e3 * record["seconds"][peer] for peer in PEERS)
        print(
            f"{row.name:32} cnnref {mine:7.1f} ms, PyTorch {other:7.1f} ms:"
            f" {ratio['median']:.2f} ({ratio['lower']:.2f}-{ratio['upper']:.2f}); own float32 over bfloat16"
            f" {in_half(row):.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
