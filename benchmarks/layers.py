"""The rows of the benchmark: which call, at which sizes, in which dtype, on how many threads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.convolutions import convolutions
from benchmarks.row import WORDS, Row
from benchmarks.small import ELEMENTWISE, LOSSES, SMALL

#: Aimed-at geometric mean of PyTorch time / cnnref time, by group of rows. No single row may be below 1.0.
AIMS: dict[str, float] = {
    "conv float32": 1.5,
    "conv float64": 3.0,
    "conv grouped": 1.0,
    "conv transposed": 1.0,
    "pooling and pointwise": 2.0,
    "affine": 1.0,
    "small calls": 5.0,
    # PyTorch multiplies bfloat16 by AVX512_BF16 or AMX where there is such, with sums in another order:
    # a limit that is not taken here.
    "half conv": 0.45,
    "half pooling and pointwise": 1.0,
    "half affine": 0.45,
}

DTYPES = ("float32", "float64")
HALF = ("float16", "bfloat16")
THREADS = (1, 2)


def _pools() -> Iterator[Row]:
    shapes = {"mnist-1": "64 28 28 8 2 2", "mnist-2": "64 14 14 16 2 2", "vgg-2": "32 32 32 64 2 2"}
    shapes |= {"vgg-4": "32 8 8 256 2 2", "resnet-stem": "4 112 112 64 3 2"}
    for layer, text in shapes.items():
        sizes: dict[str, int | str] = dict(zip("mhwcfs", map(int, text.split()), strict=True))
        for mode in ("max", "average"):
            for way in ("forward", "backward"):
                shown = {"quick": layer == "vgg-2", "peers": mode == "max" and layer in ("vgg-2", "mnist-1")}
                yield Row(f"pool_{way}", f"{layer}-{mode}", sizes | {"mode": mode}, **shown)


def _pointwise() -> Iterator[Row]:
    shapes = {"mnist-1": (64, 28, 28, 8), "vgg-2": (32, 32, 32, 64), "resnet-4": (4, 14, 14, 1024)}
    for layer, extents in shapes.items():
        sizes: dict[str, int | str] = dict(zip("mhwc", extents, strict=True))
        for function in ELEMENTWISE:
            yield Row(
                function, layer, sizes, quick=layer == "vgg-2", peers=layer == "vgg-2" and function == "relu"
            )
        for function in ("gelu", "gelu_backward"):
            for form in ("none", "tanh"):
                yield Row(function, f"{layer}-{form}", {**sizes, "approximate": form}, quick=layer == "vgg-2")
        for function in ("prelu", "prelu_backward"):
            each: dict[str, int | str] = {**sizes, "slopes": "channelwise"}
            yield Row(function, layer, each, quick=layer == "vgg-2")
        for way in ("forward", "backward"):
            yield Row(f"global_average_pool_{way}", layer, sizes, quick=layer == "vgg-2")
            for statistics in ("training", "inference"):
                more: dict[str, int | str] = {**sizes, "statistics": statistics}
                yield Row(f"batch_norm_{way}", f"{layer}-{statistics}", more, quick=layer == "vgg-2")
        for function in ("pad3d", "pad3d_backward"):
            yield Row(function, layer, sizes | {"p": 1}, quick=layer == "mnist-1")
        for function in ("arr2col", "col2arr"):
            yield Row(function, layer, sizes, quick=layer == "mnist-1")
    for layer, extents in {"convnext-1": (4, 56, 56, 96), "convnext-4": (4, 7, 7, 768)}.items():
        sizes = dict(zip("mhwc", extents, strict=True))
        for way in ("forward", "backward"):
            for norm in ("layer", "rms"):
                yield Row(f"{norm}_norm_{way}", layer, sizes, quick=layer == "convnext-1")
    for m, n in ((256, 1000), (64, 10)):
        for function in (
            "softmax",
            "softmax_backward",
            "log_softmax",
            "log_softmax_backward",
            "cross_entropy_cost",
            "cross_entropy_backward",
        ):
            yield Row(function, f"{m}x{n}", {"m": m, "n": n}, quick=n == 1000, peers=function == "softmax")
        for function in ("softmax_cross_entropy", "softmax_cross_entropy_backward"):
            yield Row(function, f"{m}x{n}", {"m": m, "n": n}, quick=n == 1000)
        for function in LOSSES:
            yield Row(function, f"{m}x{n}", {"m": m, "n": n}, quick=n == 1000)
    for function in ("create_mask_from_window", "distribute_value"):
        yield Row(function, "224x224", {"h": 224, "w": 224}, quick=True)
    yield Row("conv_single_step", "window-7x7x512", {"f": 7, "c": 512}, quick=True)


def _affines() -> Iterator[Row]:
    for layer, text in {
        "mnist": "64 784 128",
        "mnist-logits": "64 784 10",
        "resnet-head": "256 1024 1000",
    }.items():
        sizes: dict[str, int | str] = dict(zip("mio", map(int, text.split()), strict=True))
        for way in ("forward", "backward"):
            yield Row(
                f"affine_{way}", layer, sizes, quick=layer != "mnist-logits", peers=layer != "mnist-logits"
            )
            for activation in ("relu", "sigmoid"):
                name = f"affine_activation_{way}"
                yield Row(name, f"{layer}-{activation}", sizes | {"activation": activation})


def _small() -> Iterator[Row]:
    for function, sizes in SMALL:
        word = "".join(f"-{sizes[key]}" for key in WORDS if key in sizes)
        # One call of each function for --quick.
        yield Row(
            function, f"small{word}", dict(sizes), small=True, quick=word not in ("-average", "-sigmoid")
        )


#: Layers, one of a kind, that are measured in half too.
_IN_HALF = (
    *("vgg-2", "vgg-2-max", "vgg-2-average", "vgg-2-none", "vgg-2-tanh", "vgg-2-training", "vgg-2-inference"),
    *("resnet-4-3x3", "resnet-2-1x1-expand", "mobilenet-56-dw144-s1", "256x1000", "64x10", "resnet-head"),
    "convnext-1",
)
#: What has no PyTorch counterpart in half, or whose cost there is that of float32.
_NOT_IN_HALF = (
    *("cross_entropy_cost", "cross_entropy_backward"),
    *("softmax_cross_entropy", "softmax_cross_entropy_backward"),
    *LOSSES,
)


def halves() -> list[Row]:
    """Rows in both half dtypes."""
    return [
        replace(row, dtype=dtype, peers=False, quick=False)
        for row in layers()
        if row.layer in _IN_HALF and row.function not in _NOT_IN_HALF
        for dtype in HALF
    ]


def layers() -> list[Row]:
    """Every layer and function, in float32 on one thread."""
    return [*convolutions(), *_pools(), *_pointwise(), *_affines(), *_small()]


def rows(only: str = "", quick: bool = False) -> list[Row]:
    """The rows to measure: every layer in float32 and float64, some in half, on one and two threads.

    Parameters
    ----------
    only : str, optional
        Words that must all occur in a row's name.
    quick : bool, optional
        Only what is marked so: some of each group, on two threads.

    Returns
    -------
    list of Row
    """
    every = [
        replace(row, dtype=dtype, threads=threads, peers=row.peers and dtype == "float32")
        for row in layers()
        for dtype in DTYPES
        for threads in THREADS
    ]
    every += [replace(row, threads=threads) for row in halves() for threads in THREADS]
    if quick:
        every = [row for row in every if row.quick and row.threads == max(THREADS)]
    words = only.split()
    return [row for row in every if all(word in row.name for word in words)]
