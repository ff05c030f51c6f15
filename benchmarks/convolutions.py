"""The rows of convolutions: the layers of networks in use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.row import Row


def _conv(layer: str, text: str, **flags: bool) -> list[Row]:
    """Rows of a convolution written as "m h w c f k s p", with its groups at the end where there are some."""
    sizes: dict[str, int | str] = dict(zip("mhwcfkspg", map(int, text.split()), strict=False))
    return [Row(f"conv_{way}", layer, sizes, **flags) for way in ("forward", "backward")]


def _transposed() -> Iterator[Row]:
    """The upsampling of DCGAN and of U-Net, and a bilinear one by depth."""
    for layer, text, quick in (
        ("dcgan-8-512-256", "4 8 8 512 4 256 2 1", True),
        ("dcgan-32-128-3", "4 32 32 128 4 3 2 1", False),
        ("unet-28-256-128", "4 28 28 256 2 128 2 0", False),
        ("upsample-28-dw96", "4 28 28 96 4 96 2 1 96", False),
    ):
        for row in _conv(layer, text, quick=quick):
            yield replace(row, function=row.function.replace("conv", "conv_transpose"))


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


def _resnext() -> Iterator[Row]:
    """ResNeXt-50 32x4d at 224x224: the grouped 3x3 of each stage; then two filters for each channel."""
    for h, c, s in ((56, 128, 1), (56, 256, 2), (28, 256, 1), (14, 512, 1), (7, 1024, 1)):
        yield from _conv(f"resnext-{h}-g32x{c // 32}-s{s}", f"4 {h} {h} {c} 3 {c} {s} 1 32", quick=h == 28)
    yield from _conv("twofold-28-dw96", "4 28 28 96 3 192 1 1 96")


def convolutions() -> Iterator[Row]:
    """Every layer, forward and backward."""
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
    yield from _resnext()
    yield from _transposed()
    yield from _conv("odd-f3", "8 37 29 24 3 40 1 1", quick=True, peers=True)
    yield from _conv("odd-f5-s2", "8 37 29 24 5 40 2 2")
