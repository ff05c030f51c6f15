"""float16 and bfloat16 in arrays of many blocks and bands: the bits are those of float32, rounded once."""

import numpy as np
import pytest
from bits_table import LARGE
from half_support import HALF, NOT_HALF, bits, widened

import cnnref
from cnnref.kernels.base import nontemporal
from conformance.cases.case import Case
from conformance.generation.arrays import draw
from conformance.generation.families import FAMILIES
from conformance.implementations.implementation import here

DTYPES = dict(zip(("f16", "bf16"), HALF.values(), strict=True))

#: Beside the large cases: strides beyond the window, rows and columns behind the last window, phases.
POOLS = (
    "m3h23w21c40_f2s5",
    "m2h50w9c3_f3s2",
    "m2h9w50c1_f2s3",
    "m3h30w20c70_f5s2",
    "m2h7w6c5000_f3s3",
    "m1h64w64c64_f9s1",
)

#: What the suite hands over is not what it was given in float32: probabilities rounded to half.
ELSEWHERE = (*NOT_HALF, "cross_entropy_backward", "softmax_cross_entropy_backward", "conv_single_step")

CASES = [(op, body) for op, bodies in LARGE.items() if op not in ELSEWHERE for body in bodies]
CASES += [
    (f"pool_{way}", f"{body}_{mode}")
    for way in ("forward", "backward")
    for body in POOLS
    for mode in ("max", "average")
]
CASES += [
    (f"global_average_pool_{way}", f"m3h9w7c{c}") for way in ("forward", "backward") for c in (3, 16, 5000)
]
CASES += [
    (f"batch_norm_{way}", f"m3h9w7c5000_{kind}")
    for way in ("forward", "backward")
    for kind in ("training", "inference")
]
CASES += [
    (f"{norm}_norm_{way}", "m3h9w7c5000") for norm in ("layer", "rms") for way in ("forward", "backward")
]


@pytest.fixture(params=[False, True], ids=["kept", "streamed"])
def streamed(request):
    before = nontemporal.set_cache_size(0) if request.param else None
    yield
    if request.param:
        nontemporal.set_cache_size(before)


def outputs(case, arrays):
    outcome = here("cnnref").call(case, arrays)
    assert outcome.error is None, outcome.error
    return outcome.outputs


@pytest.mark.usefixtures("streamed")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("op", "body"), CASES, ids=lambda text: text)
def test_large_arrays_are_float32_rounded_once(op, body, dtype):
    case = Case.parse(f"{op}:{dtype}:{body}:normal:7")
    if not FAMILIES["normal"].suits(case):
        family = next(f for f in FAMILIES.values() if f.kind != "exact" and f.suits(case))
        case = case.replace(family=family.name)
    arrays = draw(case)
    first = next(name for name, x in arrays.items() if x.dtype == DTYPES[dtype])
    arrays[first].reshape(-1)[::977][:40] = np.nan
    arrays[first].reshape(-1)[5::1013][:40] = np.inf
    expected = outputs(case.replace(dtype="f32"), widened(arrays))
    before = cnnref.get_num_threads()
    try:
        for threads in (1, 2, 3):
            cnnref.set_num_threads(threads)
            got = outputs(case, arrays)
            assert got.keys() == expected.keys()
            for name, value in expected.items():
                mine, right = np.asarray(got[name]), np.asarray(value)
                if right.dtype == np.float32 != mine.dtype:
                    with np.errstate(all="ignore"):
                        right = right.astype(DTYPES[dtype])
                assert mine.dtype == right.dtype
                nan = np.isnan(right.astype(np.float64))
                np.testing.assert_array_equal(np.isnan(mine.astype(np.float64)), nan)
                np.testing.assert_array_equal(bits(mine)[~nan], bits(right)[~nan])
    finally:
        cnnref.set_num_threads(before)
