"""Blocks are cut for the caches of the machine: what it says of them, and that no bit depends on it."""

import json

import bits_table
import pytest

import cnnref
from cnnref._limits import CACHE, SECOND_LEVEL, cache_sizes
from cnnref.kernels.base import caches

#: What ``/sys`` says of three processors' caches, (level, type, size) in the order of their folders, with
#: what is taken from it: a server that shares little, a laptop with small second levels, cores that share all
FIRST = ((1, "Data", "48K"), (1, "Instruction", "32K"))
MACHINES = {
    "server": ((*FIRST, (2, "Unified", "2048K"), (3, "Unified", "107520K")), (2 << 20, 105 << 20)),
    "laptop": ((*FIRST, (2, "Unified", "256K"), (3, "Unified", "6144K")), (256 << 10, 6 << 20)),
    "shared": ((*FIRST, (2, "Unified", "12M")), (12 << 20, 12 << 20)),
}


def files(folder, lines):
    place = folder / "sys/devices/system/cpu/cpu0/cache"
    for number, (level, kind, size) in enumerate(lines):
        index = place / f"index{number}"
        index.mkdir(parents=True)
        for name, value in (("level", level), ("type", kind), ("size", size)):
            (index / name).write_text(f"{value}\n")
    return folder


@pytest.fixture
def taken():
    before = caches.taken()
    yield caches.take
    caches.take(*before)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_sizes_are_those_of_the_machine(machine, tmp_path):
    lines, sizes = MACHINES[machine]
    assert cache_sizes(files(tmp_path, lines)) == sizes


def test_without_files_the_sizes_are_usual_ones(tmp_path):
    assert cache_sizes(tmp_path) == (SECOND_LEVEL, CACHE)
    # A cache whose level nobody tells is the last one, and no smaller than the second.
    lines = ((3, "Unified", "512K"), ("x", "Unified", "?"))
    assert cache_sizes(files(tmp_path, lines)) == (512 << 10, 512 << 10)


def test_what_is_taken_has_bounds_and_is_shown(taken):
    taken(1, 6 << 20)
    assert caches.taken() == (128 << 10, 6 << 20)
    taken(1 << 40, 1 << 40)
    assert caches.taken() == (4 << 20, 1 << 40)
    assert cnnref.show_config("dicts")["caches"] == {"second_level": 4 << 20, "last_level": 1 << 40}


@pytest.mark.parametrize("machine", MACHINES)
def test_no_bit_depends_on_the_machine(machine, tmp_path, taken):
    taken(*cache_sizes(files(tmp_path, MACHINES[machine][0])))
    kinds = ("conv_", "pool_", "affine")
    chosen = [case for case in bits_table.cases() if case.seed == 7 and case.op.startswith(kinds)]
    found = bits_table.compute(threads=(1, 3), chosen=chosen)
    table = json.loads(bits_table.TABLE.read_text())["cnnref"]
    assert len(found) > 100
    assert [key for key, value in found.items() if table[key] != value] == []
