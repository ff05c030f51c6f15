"""The bits of every output: the same on any threads, instruction set, batch and process, and as committed.

All NaNs count as one (`bits_table.digest`).
"""

import itertools
import json
import multiprocessing
import os
import subprocess
import sys

import bits_table
import numpy as np
import pytest
from calls import ELEMENTWISE, LOSSES

import cnnref
from conformance.cases.case import Case
from conformance.cases.dtypes import KNOWN
from conformance.generation.arrays import draw
from conformance.generation.generate import generate
from conformance.implementations.implementation import here
from conformance.operations import OPERATIONS, select

ROOT = bits_table.TABLE.parents[2]

#: Outputs with a sample of their own for each sample of the input.
PER_SAMPLE = {
    "pad3d": "output",
    "pad3d_backward": "dinput",
    "conv_forward": "Z",
    "conv_backward": "dA_prev",
    "conv_transpose_forward": "Z",
    "conv_transpose_backward": "dA_prev",
    "pool_forward": "A",
    "pool_backward": "dA_prev",
    "arr2col": "output",
    "col2arr": "output",
    "affine_forward": "Z",
    "affine_backward": "dA_prev",
    "affine_activation_forward": "A",
    "affine_activation_backward": "dA_prev",
    **{name: OPERATIONS[name].outputs[0] for name in ELEMENTWISE},
    "prelu": "A",
    "prelu_backward": "dZ",
    "global_average_pool_forward": "A",
    "global_average_pool_backward": "dA_prev",
    "log_softmax": "logp",
    "log_softmax_backward": "dX",
    "softmax": "probs",
    "softmax_backward": "dX",
    **{name: "dX" for name in LOSSES if OPERATIONS[name].forward},
    "cross_entropy_backward": "dAL",
    "softmax_cross_entropy_backward": "dX",
}

#: These divide by the number of samples, so that a part of a batch is another problem; the others, except
#: the four without samples and the cost, are in PER_SAMPLE.
MEANS = {"cross_entropy_backward", "softmax_cross_entropy_backward"} | {n for n in LOSSES if n in PER_SAMPLE}

SHARED = ("W", "b", "slopes")


@pytest.fixture(scope="module")
def table():
    return json.loads(bits_table.TABLE.read_text())


def instruction_sets():
    return cnnref.show_config("dicts")["instruction_sets"]


@pytest.mark.parametrize("isa", instruction_sets())
def test_every_instruction_set_and_thread_count_gives_the_bits_of_the_table(isa, table):
    """Each in a process of its own; 1, 2, 3, 5 and 8 threads inside."""
    command = [sys.executable, str(ROOT / "tests" / "bits_table.py"), "--print"]
    env = {**os.environ, "CNNREF_ISA": isa}
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = bits_table.differences(table, json.loads(done.stdout))
    said = "\n".join(lines[:20])
    assert not lines, f"{len(lines)} outputs; if that is meant, tests/bits_table.py --update:\n{said}"


def test_the_table_has_every_output_in_every_dtype(table):
    wanted = {(op, d, out) for op, o in OPERATIONS.items() for d in KNOWN for out in o.outputs}
    listed = {(*key.partition(" ")[0].split(":")[:2], key.partition(" ")[2]) for key in table["cnnref"]}
    assert listed == wanted
    assert not [key for part in table.values() for key, value in part.items() if len(value) != 12]


def test_a_change_of_one_bit_is_seen(table):
    case = Case.parse("affine_forward:f32:m203i301o101:normal:7")
    implementation, arrays = here("cnnref"), draw(case)
    outputs = implementation.call(case, arrays).outputs
    assert bits_table.digest(outputs["Z"]) == table["cnnref"][f"{case} Z"]
    outputs["Z"].view(np.uint32)[100, 50] ^= 1
    assert bits_table.digest(outputs["Z"]) != table["cnnref"][f"{case} Z"]
    changed = {**table, "cnnref": {**table["cnnref"], f"{case} Z": "0" * 12}}
    assert len(bits_table.differences(table, changed)) == 1


def sliced(case, arrays, low, high):
    part = {n: a if n in SHARED else a[low:high] for n, a in arrays.items()}
    return case.replace(m=high - low), part


def batch_cases():
    names = sorted(PER_SAMPLE.keys() - MEANS)
    drawn = [case for case in generate(select(names), ("f32", "f64"), 40, 5) if case["m"] > 1]
    fixed = [case for case in bits_table.cases() if case.seed == 7 and case.op in names]
    large = [case for case in fixed if 2 <= case["m"] <= 7]
    return drawn + large


@pytest.mark.parametrize("module", ["cnnref", "cnnref.blog"])
def test_a_sample_has_the_same_bits_in_every_batch(module):
    implementation, compared = here(module), set()
    for case in batch_cases():
        arrays, name = draw(case), PER_SAMPLE[case.op]
        whole = implementation.call(case, arrays).outputs[name]
        m = case["m"]
        for bounds in (list(range(m + 1)), [0, m // 2, m]):  # alone, and in two parts
            parts = []
            for low, high in itertools.pairwise(bounds):
                outcome = implementation.call(*sliced(case, arrays, low, high))
                assert outcome.error is None, f"{case}: {outcome.error}"
                parts.append(outcome.outputs[name])
            assert bits_table.digest(np.concatenate(parts)) == bits_table.digest(whole), f"{case} {bounds}"
        compared.add(case.op)
    assert compared == PER_SAMPLE.keys() - MEANS


@pytest.mark.filterwarnings("ignore::cnnref.ProbabilityWarning")  # the family `undefined` has such
def test_the_gradient_of_the_mean_is_the_same_row_in_every_batch_of_the_same_size():
    implementation = here("cnnref")
    large = [case for case in bits_table.cases() if case.seed == 7 and case.op in MEANS]
    assert {case.levels.get("smooth", "none") for case in large} == {"none", "some"}
    for case in [*generate(select(sorted(MEANS)), ("f32", "f64"), 40, 5), *large]:
        arrays, m = draw(case), case["m"]
        order = np.arange(m)[::-1]
        outputs = [
            implementation.call(case, {n: a[rows] for n, a in arrays.items()}).outputs[PER_SAMPLE[case.op]]
            for rows in (np.arange(m), order)
        ]
        assert bits_table.digest(outputs[0][order]) == bits_table.digest(outputs[1]), str(case)


def few():
    return [case for case in bits_table.cases() if case.seed == 7][::3]


def in_a_child(connection):
    connection.send(bits_table.compute(threads=(1, 2), chosen=few()))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of fork in a process with threads: the point
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_child_processes_give_the_bits_of_the_table(method, table):
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=in_a_child, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    assert ours.poll(120), f"no answer after {method}"
    found = ours.recv()
    process.join(30)
    assert found
    assert found == {key: table["cnnref"][key] for key in found}
