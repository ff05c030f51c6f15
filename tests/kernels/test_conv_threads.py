"""Every way in which threads share a convolution gives the bits of one thread, at sizes worth a team.

No input is a NaN, so bytes are compared.
"""

import numpy as np
import pytest

import cnnref

#: m, h, w, channels, filter, filters, stride, pad, groups
CASES = {
    "columns of one block": (4, 7, 7, 96, 1, 160, 1, 0, 1),
    "columns of one block, some left over": (3, 9, 9, 40, 3, 149, 1, 1, 1),
    "panels of several blocks": (4, 28, 28, 32, 1, 96, 1, 0, 1),
    "few filters": (8, 20, 20, 16, 3, 8, 1, 1, 1),
    "three channels": (6, 32, 32, 3, 3, 40, 2, 1, 1),
    "three channels, taps of some phases only": (3, 33, 31, 3, 2, 24, 3, 1, 1),
    "24 channels": (3, 21, 37, 24, 3, 10, 1, 1, 1),
    "a grey image, three chunks a sample": (7, 39, 34, 1, 5, 8, 1, 2, 1),
    "a grey image, samples of a chunk": (11, 14, 13, 1, 3, 5, 1, 1, 1),
    "windows side by side": (4, 32, 32, 3, 4, 96, 4, 0, 1),
    "windows side by side, odd lines": (5, 44, 36, 5, 4, 40, 4, 0, 1),
    "samples of odd lines": (24, 14, 14, 8, 5, 16, 1, 2, 1),
    "by depth": (4, 28, 28, 144, 3, 144, 1, 1, 144),
    "three filters a channel": (4, 20, 20, 96, 3, 288, 2, 1, 96),
    "groups of two channels": (4, 20, 20, 128, 3, 128, 1, 1, 64),
    "samples that fill tiles": (16, 14, 14, 8, 3, 16, 1, 1, 1),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_threads_change_no_bit(case, dtype):
    m, h, w, n_C_prev, f, n_C, stride, pad, groups = CASES[case]
    rng = np.random.default_rng(7)
    A_prev = rng.standard_normal((m, h, w, n_C_prev)).astype(dtype)
    W = rng.standard_normal((f, f, n_C_prev // groups, n_C)).astype(dtype)
    b = rng.standard_normal((1, 1, 1, n_C)).astype(dtype)
    hparameters = {"stride": stride, "pad": pad, "groups": groups}
    dZ = rng.standard_normal(cnnref.conv_forward(A_prev, W, b, hparameters)[0].shape).astype(dtype)

    def outputs(threads):
        cnnref.set_num_threads(threads)
        Z, cache = cnnref.conv_forward(A_prev, W, b, hparameters)
        return [x.tobytes() for x in (Z, *cnnref.conv_backward(dZ, cache))]

    before = cnnref.get_num_threads()
    try:
        one = outputs(1)
        assert all(outputs(threads) == one for threads in (2, 3, 5))
    finally:
        cnnref.set_num_threads(before)


def test_a_sample_alone_has_the_bits_it_has_among_others():
    m, h, w, n_C_prev, f, n_C, stride, pad, _ = CASES["samples that fill tiles"]
    rng = np.random.default_rng(7)
    A_prev = rng.standard_normal((m, h, w, n_C_prev), np.float32)
    W = rng.standard_normal((f, f, n_C_prev, n_C), np.float32)
    b = rng.standard_normal((1, 1, 1, n_C), np.float32)
    Z = cnnref.conv_forward(A_prev, W, b, {"stride": stride, "pad": pad})[0]
    for i in range(m):
        alone = cnnref.conv_forward(A_prev[i : i + 1], W, b, {"stride": stride, "pad": pad})[0]
        assert alone.tobytes() == Z[i : i + 1].tobytes()
