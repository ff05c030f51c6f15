"""Sizes of real networks, thin so that a call costs little: (name, source, parameters) of corner cases.

Their names begin with `SIZE`. A case of such a size is left out, by its name, where the implementation is so
slow that the call is predicted to take longer than `PATIENCE`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

#: (name, source, parameters).
Size = tuple[str, str, str]

#: How the name of a size begins.
SIZE = "size-"

#: Seconds that a call of such a size may take.
PATIENCE = 0.5

_STAGE = "the last stages of ResNet-50; FlagGems, KernelBench: a buffer of 128, 256 or 768 channels"
_ALEXNET = "the first layer of AlexNet"
_REPLK = "RepLKNet's windows of 31"
_BATCH = "more samples than a power of two, and than a block of threads"
_IMAGENET = "an image of ImageNet, thin"
_DEEPLAB = "an image of DeepLab, thin: one more than a power of two"
_GRID = "65,535 is the largest index of 16 bits and the most blocks of a CUDA grid's second axis"
_CHECKED = "KernelBench, AgentKernelArena #82: beyond the sizes that checks reach"
_LONG = "the errors of a sum of more than 100,000 terms add up"
_CLASSES = "the classes of ImageNet; a sum that stops at three blocks of 256"
_HIDDEN = "the hidden layer of AlexNet and VGG"
_VOCABULARY = "the vocabulary of a language model"

CONV = (
    ("size-channels-512", _STAGE, "m1h3w4c512_f3k2_s1p1"),
    ("size-channels-1024", _STAGE, "m2h2w3c1024_f1k3_s1p0"),
    ("size-channels-2048", _STAGE, "m1h2w3c2048_f1k2_s1p0"),
    ("size-filters-512", _STAGE, "m1h4w3c2_f3k512_s1p1"),
    ("size-filters-2048", _STAGE, "m1h2w1c3_f1k2048_s1p0"),
    ("size-window-11", _ALEXNET, "m1h15w22c3_f11k4_s4p2"),
    ("size-window-31", _REPLK, "m1h32w33c2_f31k3_s1p0"),
    ("size-batch-129", _BATCH, "m129h3w2c3_f2k4_s1p0"),
    ("size-batch-1025", _BATCH, "m1025h2w1c2_f1k3_s1p0"),
    ("size-image-224", _IMAGENET, "m1h224w5c3_f3k2_s2p1"),
    ("size-image-513", _DEEPLAB, "m1h4w513c2_f3k3_s1p1"),
    ("size-outputs-65536", _GRID, "m1h128w129c2_f2k5_s1p1"),
    ("size-outputs-131072", _CHECKED + "; " + _LONG, "m1h317w319c1_f1k2_s1p0"),
    ("size-terms-100000", _LONG, "m1h1w2c100003_f1k2_s1p0"),
)

TRANSPOSE = (
    ("size-channels-512", _STAGE, "m1h2w3c512_f2k3_s2p0"),
    ("size-channels-2048", _STAGE, "m1h2w1c2048_f2k3_s1p0"),
    ("size-filters-1024", _STAGE, "m1h2w1c3_f2k1024_s2p0"),
    ("size-window-11", _ALEXNET, "m1h5w4c3_f11k4_s4p2"),
    ("size-window-31", _REPLK, "m1h3w2c2_f31k3_s1p15"),
    ("size-batch-129", _BATCH, "m129h2w3c3_f2k4_s2p0"),
    ("size-batch-1025", _BATCH, "m1025h2w1c2_f1k3_s1p0"),
    ("size-image-224", _IMAGENET, "m1h112w3c2_f3k3_s2p1_e1"),
    ("size-image-513", _DEEPLAB, "m1h2w257c2_f3k3_s2p1"),
    ("size-outputs-65536", _GRID, "m1h64w65c2_f3k5_s2p1"),
    ("size-outputs-131072", _CHECKED + "; " + _LONG, "m1h317w319c1_f1k2_s1p0"),
    ("size-terms-100000", _LONG, "m1h1w2c100003_f1k2_s1p0"),
)

#: (name, source, image and window, mode, options).
POOL = (
    ("size-channels-512", _STAGE, "m1h5w4c512_f2s2", "max", ""),
    ("size-channels-1024", _STAGE, "m1h3w4c1024_f2s1", "average", ""),
    ("size-channels-2048", _STAGE, "m1h3w2c2048_f2s1", "max", ""),
    ("size-window-11", _ALEXNET, "m1h14w12c3_f11s1", "average", ""),
    ("size-window-31", _REPLK, "m1h33w32c2_f31s1", "max", ""),
    ("size-batch-129", _BATCH, "m129h4w3c2_f2s1", "average", ""),
    ("size-batch-1025", _BATCH, "m1025h2w3c1_f2s1", "max", ""),
    ("size-image-224", _IMAGENET, "m1h224w5c2_f2s2", "average", ""),
    ("size-image-513", _DEEPLAB, "m1h4w513c2_f3s2", "max", "p1"),
    ("size-outputs-65536", _GRID, "m1h259w257c1_f2s1", "max", ""),
    ("size-outputs-131072", _CHECKED, "m1h184w182c4_f2s1", "average", ""),
    ("size-terms-100000", _LONG, "m1h317w318c1_f317s1", "average", ""),
)

IMAGES = (
    ("size-channels-512", _STAGE, "m1h3w2c512"),
    ("size-channels-1024", _STAGE, "m3h2w1c1024"),
    ("size-channels-2048", _STAGE, "m2h1w2c2048"),
    ("size-batch-129", _BATCH, "m129h2w3c5"),
    ("size-batch-1025", _BATCH, "m1025h2w1c3"),
    ("size-image-224", _IMAGENET, "m1h224w5c3"),
    ("size-image-513", _DEEPLAB, "m1h4w513c2"),
    ("size-outputs-65536", _GRID, "m1h257w85c3"),
    ("size-outputs-131072", _CHECKED, "m1h317w415c1"),
)

ROWS = (
    ("size-classes-1000", _CLASSES, "m3n1000"),
    ("size-classes-4096", _HIDDEN, "m2n4096"),
    ("size-classes-32000", _VOCABULARY, "m2n32000"),
    ("size-batch-129", _BATCH, "m129n5"),
    ("size-batch-1025", _BATCH, "m1025n3"),
    ("size-outputs-65536", _GRID, "m257n256"),
    ("size-outputs-131072", _CHECKED + "; " + _LONG, "m1n131101"),
)

LOSSES = (("size-terms-100000", _LONG, "m100003n2"),)

AFFINE = (
    ("size-inputs-512", _STAGE, "m3i512o2"),
    ("size-inputs-2048", _STAGE, "m2i2048o3"),
    ("size-inputs-4096", _HIDDEN, "m2i4096o3"),
    ("size-outputs-1000", _CLASSES, "m3i2o1000"),
    ("size-outputs-4096", _HIDDEN, "m2i3o4096"),
    ("size-outputs-32000", _VOCABULARY, "m2i1o32000"),
    ("size-batch-129", _BATCH, "m129i5o3"),
    ("size-batch-1025", _BATCH, "m1025i3o2"),
    ("size-outputs-65536", _GRID, "m257i2o257"),
    ("size-outputs-131072", _CHECKED + "; " + _LONG, "m100003i1o2"),
    ("size-terms-100000", _LONG, "m2i100003o1"),
)

SINGLE_STEP = (
    *((f"size-channels-{c}", _STAGE, f"f3c{c}") for c in (512, 1024, 2048)),
    ("size-window-11", _ALEXNET, "f11c3"),
    ("size-window-31", _REPLK, "f31c2"),
    ("size-terms-100000", _LONG, "f31c105"),
)

WINDOWS = (
    ("size-window-11", _ALEXNET, "h11w12"),
    ("size-window-31", _REPLK, "h31w33"),
    ("size-image-224", _IMAGENET, "h224w5"),
    ("size-image-513", _DEEPLAB, "h4w513"),
    ("size-outputs-65536", _GRID, "h257w259"),
    ("size-outputs-131072", _CHECKED, "h317w415"),
)

NORM = (
    *((name, source, params) for name, source, params in IMAGES if "outputs" not in name),
    ("size-outputs-65536", _GRID, "m2h129w85c3"),
    ("size-outputs-131072", _CHECKED, "m2h183w181c2"),
    ("size-terms-100000", _LONG, "m1h317w317c1"),
)

PIXELS = (*IMAGES, ("size-terms-100000", _LONG, "m1h1w2c100003"))

MEANS = (
    *IMAGES[:-3],
    ("size-image-513", _DEEPLAB, "m2h513w1c3"),
    ("size-terms-100000", _LONG, "m1h317w319c2"),
)


def ended(sizes: Iterable[Size], family: str, *words: str) -> Iterator[tuple[str, str, str, str]]:
    """The sizes as corners in data of `family`, the words of a case in turn behind their parameters."""
    for number, (name, source, params) in enumerate(sizes):
        yield name, source, params + (f"_{words[number % len(words)]}" if words else ""), family
