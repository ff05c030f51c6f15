"""The rows of the benchmark: which call, at which sizes, in which dtype, on how many threads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from benchmarks.small import SMALL

#: Aimed-at geometric mean of PyTorch time / cnnref time, by group of rows. No single row may be below 1.0.
AIMS: dict[str, float] = {
    "conv float32": 1.5,
    "conv float64": 3.0,
    "pooling and pointwise": 2.0,
    "affine": 1.0,
    "small calls": 5.0,
}

#: What limits a row that stays below 1.0, by a part of its name, from whoever has looked into it.
LIMITS: dict[str, str] = {
    "conv_single_step/window": "one chain of 25,088 dependent multiply-adds, 4 cycles each: 23 us at 4.4 GHz",
    "conv_forward/resnet-5": "PyTorch's filters are packed before the clock starts, ours in every call,"
    " for 196 pixels only",
    "conv_forward/resnet-": "PyTorch runs at 94 to 100% of the FMA peak, its filters packed before the clock"
    " starts",
    "conv_backward/mnist-2": "8 columns fill half of a vector; with one chain an output the rest is idle",
    "conv_backward/odd-f3": "24 columns fill 75% of two vectors, 40 columns 83% of three",
    "sigmoid_backward/": "the cache holds Z, so the exponential is computed again: 12 cycles"
    " for 16 float32, 16 for 8 float64, in cache; PyTorch reads the sigmoid that its forward pass kept",
    "softmax_backward/256x1000": "the cache holds X, so maximum, exponentials and their sum are"
    " computed again; PyTorch reads the probabilities that its forward pass kept",
    "affine_forward/small": "argument checks and the cache object, not arithmetic",
    "affine_activation_forward/small": "argument checks and the cache objects, not arithmetic",
}

DTYPES = ("float32", "float64")
THREADS = (1, 2)
WORDS = ("mode", "activation", "approximate", "statistics")

_SPATIAL = ("conv_forward", "conv_backward", "pool_forward", "pool_backward")


@dataclass(frozen=True)
class Row:
    """One measured call.

    Attributes
    ----------
    function : str
        A function of `cnnref`.
    layer : str
        The layer's name; rows of one layer share it.
    sizes : dict
        The extents by the letters of `conformance.operations` (m, h, w, c, f, k, s, p, g, i, o, n), and its
        words (mode, activation); g is left out where it is 1.
    dtype : str
    threads : int
    small : bool
        Whether the row belongs to the small calls.
    quick, peers : bool
        Whether it is part of ``--quick``, and whether JAX, ONNX Runtime and NumPy are measured on it too.
    """

    function: str
    layer: str
    sizes: dict[str, int | str]
    dtype: str = "float32"
    threads: int = 1
    small: bool = False
    quick: bool = False
    peers: bool = False

    @property
    def name(self) -> str:
        """The row in one word, unique; ``--only`` patterns match it."""
        return f"{self.function}/{self.layer}/{self.dtype}/{self.threads}"

    @property
    def group(self) -> str:
        """The key of `AIMS` that the row counts for."""
        if self.small:
            return "small calls"
        if self.function.startswith("conv_"):
            return f"conv {self.dtype}"
        return "affine" if self.function.startswith("affine_") else "pooling and pointwise"

    @property
    def shape(self) -> str:
        """The sizes, readable."""
        z = self.sizes
        if "i" in z:
            text = f"{z['m']}x{z['i']}x{z['o']}"
        else:
            text = "x".join(str(z[letter]) for letter in "mhwcn" if letter in z)
        text += "".join(f" {letter}{z[letter]}" for letter in "fkspg" if letter in z)
        return text + "".join(f" {z[word]}" for word in WORDS if word in z)

    def letter(self, name: str) -> int:
        """One extent."""
        value = self.sizes[name]
        assert isinstance(value, int), name
        return value

    @property
    def groups(self) -> int:
        """Groups of a convolution."""
        return int(self.sizes.get("g", 1))

    @property
    def extents(self) -> tuple[int, int]:
        """(n_H, n_W) of the output of a convolution or pooling."""
        f, s, p = self.letter("f"), self.letter("s"), int(self.sizes.get("p", 0))
        return (self.letter("h") + 2 * p - f) // s + 1, (self.letter("w") + 2 * p - f) // s + 1


def _conv(layer: str, text: str, **flags: bool) -> list[Row]:
    """Rows of a convolution written as "m h w c f k s p", with its groups at the end where there are some."""
    sizes: dict[str, int | str] = dict(zip("mhwcfkspg", map(int, text.split()), strict=False))
    return [Row(f"conv_{way}", layer, sizes, **flags) for way in ("forward", "backward")]


def _resnet() -> Iterator[Row]:
    """ResNet-50 at 224x224: the stem, the three convolutions of each stage, those that halve the image."""
    yield from _conv("resnet-stem-7x7", "4 224 224 3 7 64 2 3", peers=True)
    for stage, (h, narrow) in enumerate(((56, 64), (28, 128), (14, 256), (7, 512)), start=2):
        wide = 4 * narrow
        shown = {"peers": stage in (2, 4)}
        yield from _conv(f"resnet-{stage}-1x1-reduce", f"4 {h} {h} {wide} 1 {narrow} 1 0", quick=stage == 3)
        yield from _conv(
            f"resnet-{stage}-3x3", f"4 {h} {h} {narrow} 3 {narrow} 1 1", quick=stage == 4, **shown
        )
        yield from _conv(f"resnet-{stage}-1x1-expand", f"4 {h} {h} {narrow} 1 {wide} 1 0", **shown)
        if stage > 2:
            big, before = 2 * h, 2 * narrow
            yield from _conv(f"resnet-{stage}-3x3-s2", f"4 {big} {big} {narrow} 3 {narrow} 2 1")
            yield from _conv(f"resnet-{stage}-1x1-s2", f"4 {big} {big} {before} 1 {wide} 2 0")


def _mobilenet() -> Iterator[Row]:
    """MobileNet v2 at 224x224, each convolution once: 1x1 to many channels, by depth, 1x1 to few."""
    yield from _conv("mobilenet-stem", "4 224 224 3 3 32 2 1")
    depthwise = ((112, 32, 1), (112, 96, 2), (56, 144, 1), (56, 144, 2), (28, 192, 1), (28, 192, 2))
    for h, c, s in (*depthwise, (14, 384, 1), (14, 576, 1), (14, 576, 2), (7, 960, 1)):
        shown = (h, c) in ((56, 144), (14, 384)) and s == 1
        yield from _conv(f"mobilenet-{h}-dw{c}-s{s}", f"4 {h} {h} {c} 3 {c} {s} 1 {c}", quick=shown)
    pointwise = {
        112: ((32, 16), (16, 96)),
        56: ((96, 24), (24, 144), (144, 24)),
        28: ((144, 32), (32, 192), (192, 32)),
    }
    pointwise |= {14: ((192, 64), (64, 384), (384, 64), (384, 96), (96, 576), (576, 96))}
    pointwise |= {7: ((576, 160), (160, 960), (960, 160), (960, 320), (320, 1280))}
    for h, pairs in pointwise.items():
        for c, k in pairs:
            yield from _conv(f"mobilenet-{h}-1x1-{c}-{k}", f"4 {h} {h} {c} 1 {k} 1 0")


def _convnext() -> Iterator[Row]:
    """ConvNeXt-T at 224x224: patches; in each stage 7x7 by depth and two 1x1; 2x2 between the stages."""
    yield from _conv("convnext-stem-4x4", "4 224 224 3 4 96 4 0")
    for h, c in ((56, 96), (28, 192), (14, 384), (7, 768)):
        yield from _conv(f"convnext-{h}-dw{c}", f"4 {h} {h} {c} 7 {c} 1 3 {c}", quick=h == 28)
        yield from _conv(f"convnext-{h}-1x1-expand", f"4 {h} {h} {c} 1 {4 * c} 1 0")
        yield from _conv(f"convnext-{h}-1x1-reduce", f"4 {h} {h} {4 * c} 1 {c} 1 0")
        if h > 7:
            yield from _conv(f"convnext-{h}-2x2-s2", f"4 {h} {h} {c} 2 {2 * c} 2 0")


def _convolutions() -> Iterator[Row]:
    yield from _conv("mnist-1-f3", "64 28 28 1 3 8 1 1", quick=True, peers=True)
    yield from _conv("mnist-1-f5", "64 28 28 1 5 8 1 2")
    yield from _conv("mnist-2-f3", "64 14 14 8 3 16 1 1", quick=True, peers=True)
    yield from _conv("mnist-2-f5", "64 14 14 8 5 16 1 2")
    for number, (h, c, k) in enumerate(
        ((32, 3, 64), (32, 64, 64), (16, 128, 128), (8, 256, 256), (4, 512, 512))
    ):
        yield from _conv(
            f"vgg-{number + 1}", f"32 {h} {h} {c} 3 {k} 1 1", quick=number in (0, 3), peers=number in (0, 2)
        )
    yield from _resnet()
    yield from _mobilenet()
    yield from _convnext()
    yield from _conv("odd-f3", "8 37 29 24 3 40 1 1", quick=True, peers=True)
    yield from _conv("odd-f5-s2", "8 37 29 24 5 40 2 2")


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
        for function in ("relu", "relu_backward", "sigmoid", "sigmoid_backward"):
            yield Row(
                function, layer, sizes, quick=layer == "vgg-2", peers=layer == "vgg-2" and function == "relu"
            )
        for function in ("tanh", "silu", "gelu", "leaky_relu"):
            forms: tuple[str, ...] = ("none", "tanh") if function == "gelu" else ("",)
            for name in (function, f"{function}_backward"):
                for form in forms:
                    word = {"approximate": form} if form else {}
                    yield Row(
                        name, f"{layer}-{form}" if form else layer, {**sizes, **word}, quick=layer == "vgg-2"
                    )
        for way in ("forward", "backward"):
            yield Row(f"global_average_pool_{way}", layer, sizes, quick=layer == "vgg-2")
            for statistics in ("training", "inference"):
                more: dict[str, int | str] = {**sizes, "statistics": statistics}
                yield Row(f"batch_norm_{way}", f"{layer}-{statistics}", more, quick=layer == "vgg-2")
        for function in ("pad3d", "pad3d_backward"):
            yield Row(function, layer, sizes | {"p": 1}, quick=layer == "mnist-1")
        for function in ("arr2col", "col2arr"):
            yield Row(function, layer, sizes, quick=layer == "mnist-1")
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
        yield Row("softmax_cross_entropy_backward", f"{m}x{n}", {"m": m, "n": n}, quick=n == 1000)
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


def layers() -> list[Row]:
    """Every layer and function, in float32 on one thread."""
    return [*_convolutions(), *_pools(), *_pointwise(), *_affines(), *_small()]


def rows(only: str = "", quick: bool = False) -> list[Row]:
    """The rows to measure: every layer in both dtypes on one and two threads.

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
    if quick:
        every = [row for row in every if row.quick and row.threads == max(THREADS)]
    words = only.split()
    return [row for row in every if all(word in row.name for word in words)]
