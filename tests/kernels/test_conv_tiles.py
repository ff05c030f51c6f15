"""Convolutions of every width that tiles have, and of those around them: exact, nothing read past its end."""

import mmap

import numpy as np
import pytest
from test_conv_windows import check
from test_guards import at_the_end_of_a_page

import cnnref

#: Channels of vectors, of half ones, of several, and beside those.
WIDTHS = (
    *(1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33),
    *(40, 47, 48, 49, 63, 64, 65, 80, 88, 96, 97, 144),
)

#: Height, width, filter, stride, pad: pixels that fill tiles evenly, and rows that break them.
WINDOWS = {
    "pixels": (5, 16, 1, 1, 0),
    "many pixels": (23, 29, 1, 1, 0),
    "every other pixel": (9, 17, 1, 2, 0),
    "short rows": (6, 7, 3, 1, 1),
    "long rows": (4, 35, 3, 1, 1),
    "side by side": (8, 32, 4, 4, 0),
    "side by side in odd lines": (6, 21, 3, 3, 0),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("window", WINDOWS)
def test_every_width(window, dtype):
    h, w, f, stride, pad = WINDOWS[window]
    for place, n_C_prev in enumerate(WIDTHS):
        # Each width beside a few others, narrower and wider.
        for n_C in (WIDTHS[-1 - place], WIDTHS[(place * 7 + 3) % len(WIDTHS)]):
            check((2, h, w, n_C_prev), (f, f), n_C, {"stride": stride, "pad": pad}, dtype)


@pytest.mark.parametrize("n_C", [24, 40, 88, 104])
def test_pairs_of_pixels_that_share_a_vector(n_C):
    """Pixels that fill tiles of eight or not; long sums, taken up again; groups, whose taps lie apart."""
    for height, width in ((1, 7), (2, 4), (1, 9), (3, 5), (4, 8), (5, 23)):
        check((1, height, width, 5), (1, 1), n_C, {"stride": 1, "pad": 0}, np.float32)
        check((1, height, width, 1030), (1, 1), n_C, {"stride": 1, "pad": 0}, np.float32)
        check((3, height, width, 200), (3, 3), n_C, {"stride": 1, "pad": 1}, np.float32)
        check((2, height, width, 48), (2, 3), 2 * n_C, {"stride": 1, "pad": 2, "groups": 2}, np.float32)
        check((2, height, width, n_C), (3, 3), 17, {"stride": 2, "pad": 1}, np.float32)


@pytest.mark.skipif(not hasattr(mmap, "PROT_READ"), reason="no protected pages here")
@pytest.mark.parametrize("window", WINDOWS)
def test_nothing_is_read_behind_an_argument(window):
    """A process that reads there is killed."""
    h, w, f, stride, pad = WINDOWS[window]
    rng = np.random.default_rng(3)
    for place, n_C_prev in enumerate(WIDTHS):
        n_C = WIDTHS[(place * 5 + 2) % len(WIDTHS)]
        hparameters = {"stride": stride, "pad": pad}
        arrays = [rng.standard_normal(s, np.float32) for s in ((1, h, w, n_C_prev), (f, f, n_C_prev, n_C))]
        b = rng.standard_normal((1, 1, 1, n_C), np.float32)
        Z, cache = cnnref.conv_forward(*arrays, b, hparameters)
        dZ = rng.standard_normal(Z.shape, np.float32)
        expected = [x.tobytes() for x in (Z, *cnnref.conv_backward(dZ, cache))]
        Z, cache = cnnref.conv_forward(*map(at_the_end_of_a_page, (*arrays, b)), hparameters)
        found = [x.tobytes() for x in (Z, *cnnref.conv_backward(at_the_end_of_a_page(dZ), cache))]
        assert found == expected, (n_C_prev, n_C)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_more_patches_than_are_taken_at_once(dtype):
    """Rows of patches that are cut by panels too."""
    for n_C_prev in (1, 3, 7, 16, 20):
        check((2, 26, 46, n_C_prev), (2, 2), 40, {"stride": 2, "pad": 0}, dtype)
        check((1, 68, 72, n_C_prev), (4, 4), 10, {"stride": 4, "pad": 0}, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_few_taps_of_wide_gradients(dtype):
    """Sums over a batch that read the gradient where it lies, of taps that are neighbours or not."""
    for n_C_prev in (1, 2, 3, 4, 6, 8, 12, 16):
        for n_C in (24, 48, 96, 144):
            for dilation in (1, 2):
                check((2, 9, 11, n_C_prev), (2, 2), n_C, {"stride": 1, "pad": 1, "dilation": dilation}, dtype)
            check((2, 8, 12, n_C_prev), (2, 4), n_C, {"stride": (2, 4), "pad": 0}, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("samples", [4, 8, 11, 24])
def test_lines_that_are_no_whole_fours(samples, dtype):
    """Blocks of several samples, whose tiles run across them, and what is left over."""
    for width, n_C in ((9, 16), (10, 24), (14, 40), (13, 17)):
        check((samples, width, width, 5), (5, 5), n_C, {"stride": 1, "pad": 2}, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_C_prev", [1, 2, 3])
@pytest.mark.parametrize("n_C", range(4, 10))
def test_few_channels_with_few_filters(n_C, n_C_prev, dtype):
    """Lines shorter than a vector, of one, and beyond; in groups too, whose columns are parts of a pixel."""
    for place, width in enumerate((6, 15, 16, 17, 28, 50)):
        hparameters = {"stride": 1, "pad": place % 3, "dilation": 1 + place % 2}
        window = (3, 3) if place % 2 else (2, 5)
        check((3, 12, width, n_C_prev), window, n_C, hparameters, dtype)
        check((3, 12, width, 2 * n_C_prev), window, 2 * n_C, {**hparameters, "groups": 2}, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("f", [(3, 3), (5, 5), (5, 2), (4, 3)])
def test_one_channel_and_one_filter(f, dtype):
    """Rows and pixels that fill a tile, that a tile takes twice, that are fewer than a tile."""
    for place, width in enumerate((7, 8, 15, 16, 17, 28, 32, 33, 50, 67)):
        height = (6, 7, 8, 13, 15)[place % 5]
        hparameters = {"stride": 1, "pad": (f[0] // 2, f[1] // 2), "dilation": (1, 1 + place % 2)}
        check((2, height, width, 1), f, 3 + place % 7, hparameters, dtype)
        check((2, height, width, 1 + place % 5), f, 1, hparameters, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_few_filters_on_images_of_several_blocks(dtype):
    """A thread's planes hold rows of the block before where the next one has padding."""
    before = cnnref.get_num_threads()
    cnnref.set_num_threads(1)
    try:
        check((2, 64, 64, 64), (3, 3), 3, {"stride": 1, "pad": 1}, dtype)
    finally:
        cnnref.set_num_threads(before)


@pytest.mark.skipif(not hasattr(mmap, "PROT_READ"), reason="no protected pages here")
def test_nothing_is_read_behind_images_that_come_from_memory():
    """They are read ahead; threads that share the channels start within a pixel."""
    rng = np.random.default_rng(8)
    A_prev = at_the_end_of_a_page(rng.standard_normal((1, 130, 130, 192), np.float32))
    W = rng.standard_normal((3, 3, 1, 192), np.float32)
    hparameters = {"stride": 1, "pad": 1, "groups": 192}
    Z, cache = cnnref.conv_forward(A_prev, W, np.zeros((1, 1, 1, 192), np.float32), hparameters)
    dZ = at_the_end_of_a_page(Z)
    assert all(np.isfinite(x).all() for x in cnnref.conv_backward(dZ, cache))
