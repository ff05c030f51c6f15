"""Results written past the caches: their bits, where they end, when it is done."""

import json
import os
import subprocess
import sys
from importlib import import_module

import bits_table
import numpy as np
import pytest

import cnnref
from cnnref._limits import CACHE, cache_sizes
from cnnref.kernels.base import nontemporal

ISAS = cnnref.show_config("dicts")["instruction_sets"]

#: Everything is streamed; on stdout the digests of the large cases.
STREAMED = """
import json, sys
sys.path.insert(0, "tests")
import bits_table
from cnnref.kernels.base import nontemporal
nontemporal.set_cache_size(0)
chosen = [case for case in bits_table.cases() if case.seed == 7]
print(json.dumps(bits_table.compute(threads=(1, 3), chosen=chosen)))
"""


@pytest.fixture
def cache():
    """Sets the size that the cache is taken to have, for one test."""
    before = nontemporal.set_cache_size(0)
    yield nontemporal.set_cache_size
    nontemporal.set_cache_size(before)


@pytest.mark.parametrize("isa", ISAS)
def test_streamed_results_have_the_bits_of_the_table(isa):
    env = {**os.environ, "CNNREF_ISA": isa}
    command, root = [sys.executable, "-c", STREAMED], bits_table.TABLE.parents[2]
    done = subprocess.run(command, env=env, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found, table = json.loads(done.stdout), json.loads(bits_table.TABLE.read_text())["cnnref"]
    assert len(found) > 100
    assert [key for key, value in found.items() if table[key] != value] == []


@pytest.mark.parametrize("isa", ISAS)
def test_stores_end_where_they_should(isa):
    stream = import_module(f"cnnref._{isa}.elementary").stream
    source = np.random.default_rng(1).integers(1, 256, 700).astype(np.uint8)
    memory = np.zeros(1024, np.uint8)
    first = -memory.ctypes.data % 64
    for head in (0, 1, 4, 8, 60, 63):
        for length in (0, 1, 3, 59, 63, 64, 65, 127, 128, 200, 511, 640):
            for shift in (0, 8, 13):
                memory[:] = 0
                at = first + head
                stream(memory[at : at + length], source[shift : shift + length])
                assert (memory[at : at + length] == source[shift : shift + length]).all()
                assert not memory[:at].any()
                assert not memory[at + length :].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 15, 1023, 4097, 100_003])
def test_every_element_is_written_once(cache, n, dtype):
    """Lengths that end anywhere in a line, a buffer and a thread's share."""
    Z = np.random.default_rng(n).standard_normal(n).astype(dtype)
    dA = np.arange(1, n + 1).astype(dtype)
    before = cnnref.get_num_threads()
    try:
        for threads in (1, 2, 3, 8):
            cnnref.set_num_threads(threads)
            found = []
            for size in (0, 1 << 60):
                cache(size)
                found.append([cnnref.leaky_relu(Z)[0], cnnref.relu_backward(dA, Z), cnnref.tanh(Z)[0]])
            for streamed, plain in zip(*found, strict=True):
                assert streamed.tobytes() == plain.tobytes()
            assert (found[0][1] == np.where(Z > 0, dA, 0)).all()
    finally:
        cnnref.set_num_threads(before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_channels_that_fill_more_than_a_buffer_in_several_pieces_a_thread(cache, dtype):
    """What normalizes by running statistics treats each image as if it were alone."""
    rng = np.random.default_rng(5)
    A_prev, dA = rng.standard_normal((2, 60, 10, 10, 700)).astype(dtype)
    channels = rng.uniform(0.5, 2, (4, 1, 1, 1, 700)).astype(dtype)

    def computed(images):
        A, batch = cnnref.batch_norm_forward(A_prev[images], *channels, {"training": False})
        return A, cnnref.batch_norm_backward(dA[images], batch)[0]

    before = cnnref.get_num_threads()
    try:
        cnnref.set_num_threads(1)
        cache(1 << 60)
        alone = [np.concatenate(each) for each in zip(*(computed([i]) for i in range(60)), strict=True)]
        for threads in (1, 2):
            cnnref.set_num_threads(threads)
            for size in (0, 1 << 60):
                cache(size)
                for found, expected in zip(computed(slice(None)), alone, strict=True):
                    np.testing.assert_array_equal(found, expected)
    finally:
        cnnref.set_num_threads(before)


def test_the_size_of_the_cache_is_the_largest_ones(tmp_path):
    for index, text in enumerate(["48K\n", "1M\n", "damaged", "", "32768K\n"]):
        path = tmp_path / f"sys/devices/system/cpu/cpu0/cache/index{index}/size"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert cache_sizes(tmp_path)[1] == 32 << 20
    assert cache_sizes(tmp_path / "elsewhere")[1] == CACHE


def test_the_rule_starts_with_this_machines_cache(cache):
    assert cache(1) == 0
    assert cache(cache_sizes()[1]) == 1
