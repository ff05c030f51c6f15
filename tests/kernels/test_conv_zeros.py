"""Zeros around an image are terms of a sum or are not: the same choice under every instruction set.

A kernel that adds the zeros of the padding and one that leaves them out give the same bits on ordinary
data, not where products underflow to -0, some beside infinities: a -0 and 0 are 0.
"""

from pathlib import Path

import numpy as np
from child import run

import cnnref
from cnnref._dispatch import available

#: Run with the folder of this file and that of `bits_table` in the path.
PRINTED = """
import sys
sys.path[:0] = {folders!r}
import numpy as np
from bits_table import digest
from test_conv_zeros import calls
with np.errstate(all="ignore"):
    for outputs in calls():
        print(*map(digest, outputs))
"""


def values(rng, shape, dtype):
    """Products of two of them are too small for `dtype`."""
    tiny = 1e-30 if dtype == np.float32 else 1e-200
    array = rng.choice([-1, 1, -1], shape) * tiny
    if rng.random() < 0.3:
        array = np.where(rng.random(shape) < 0.01, np.inf, array)
    return array.astype(dtype)


def calls(count=150):
    """The outputs of seeded calls of conv and its gradient, and of the transposed one."""
    rng = np.random.default_rng(5)
    for _ in range(count):
        m, height, width = (int(n) for n in rng.integers((1, 5, 5), (10, 30, 30)))
        channels, filters = (int(n) for n in rng.choice([1, 2, 3, 4, 6, 8, 16, 24], 2))
        f, stride, pad = (int(n) for n in rng.integers((1, 1, 0), (6, 3, 3)))
        dtype = np.float32 if rng.random() < 0.8 else np.float64
        hparameters = {"stride": stride, "pad": pad}
        W = values(rng, (f, f, channels, filters), dtype)
        bias = np.full((1, 1, 1, filters), -0.0, dtype)
        Z, cache = cnnref.conv_forward(values(rng, (m, height, width, channels), dtype), W, bias, hparameters)
        yield Z, *cnnref.conv_backward(values(rng, Z.shape, dtype), cache)
        dense = {"stride": stride, "pad": 0}
        W = values(rng, (f, f, filters, channels), dtype)
        bias = np.full((1, 1, 1, filters), -0.0, dtype)
        yield cnnref.conv_transpose_forward(values(rng, (m, 5, 6, channels), dtype), W, bias, dense)[:1]


def digests(isa):
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    return run(PRINTED.format(folders=folders), CNNREF_ISA=isa).splitlines()


def test_products_that_underflow_have_the_same_sign_under_every_instruction_set():
    found = {isa: digests(isa) for isa in available()}
    first, *others = found.values()
    assert len(first) == 300
    for lines in others:
        assert lines == first
