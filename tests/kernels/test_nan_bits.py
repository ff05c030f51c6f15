"""NaN is where it is on every instruction set and thread count; its sign and payload are nobody's promise."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bits_table import LARGE, digest

from conformance.cases.case import Case
from conformance.generation.arrays import draw
from conformance.generation.families import FAMILIES
from conformance.implementations.implementation import here

THREADS = (1, 2, 3)

#: Of each function, enough for every kind of kernel: whole vectors and tiles, remainders, groups.
BODIES = 3


def cases():
    for op, bodies in LARGE.items():
        for dtype in ("f32", "f64", "f16"):
            for body in bodies[: BODIES if dtype != "f16" else 1]:
                case = Case.parse(f"{op}:{dtype}:{body}:normal:3")
                if not FAMILIES["normal"].suits(case):
                    family = next(f for f in FAMILIES.values() if f.kind != "exact" and f.suits(case))
                    case = case.replace(family=family.name)
                yield case


def spoiled(case):
    """The arrays of a case with NaNs of both signs and any payload here and there, and both infinities."""
    rng, arrays = np.random.default_rng(5), draw(case)
    for name, array in arrays.items():
        if array.dtype.kind != "f" or array.size < 8:
            continue
        bits = array.view(f"u{array.itemsize}").reshape(-1)
        quiet = {2: 0x7E00, 4: 0x7FC00000, 8: 0x7FF8000000000000}[array.itemsize]
        count = max(2, array.size // 500)
        places = rng.integers(0, array.size, count)
        payloads = rng.integers(0, 1 << 8, count).astype(bits.dtype)
        signs = rng.integers(0, 2, count).astype(bits.dtype) << (8 * array.itemsize - 1)
        bits[places] = quiet | payloads | signs
        array.reshape(-1)[rng.integers(0, array.size, 2)] = np.inf, -np.inf
        assert np.isnan(array).any(), name
    return arrays


def compute(form):
    """For each output the digests on each number of threads, and whether it holds a NaN."""
    import cnnref

    implementation, found = here("cnnref"), {}
    for case in cases():
        arrays = spoiled(case)
        for count in THREADS:
            cnnref.set_num_threads(count)
            outcome = implementation.call(case, arrays)
            assert outcome.error is None, f"{case}: {outcome.error}"
            for name, value in outcome.outputs.items():
                entry = found.setdefault(f"{case} {name}", [bool(np.isnan(value).any())])
                entry.append(form(value))
    return found


@pytest.fixture(scope="module")
def of_each():
    import cnnref

    found = {}
    for isa in cnnref.show_config("dicts")["instruction_sets"]:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", __file__], env={**os.environ, "CNNREF_ISA": isa},
            capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found[isa] = json.loads(done.stdout)
    return found


def test_one_nan_is_another_on_every_instruction_set_and_thread_count(of_each):
    first = next(iter(of_each.values()))
    assert sum(nan for nan, *_ in first.values()) > len(first) * 3 // 4
    for isa, found in of_each.items():
        assert found.keys() == first.keys()
        differ = [key for key, (_, *seen) in found.items() if set(seen) != {first[key][1]}]
        assert not differ, f"{isa}: {len(differ)} of {len(found)} outputs: {differ[:9]}"


if __name__ == "__main__":
    print(json.dumps(compute(digest)))
