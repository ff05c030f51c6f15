"""Digests of every output of every function on a fixed list of cases.

`python tests/bits_table.py` compares this machine and build with the table and says what differs;
`--update` writes the table anew, so that a change of bits is seen in review; `--print` writes what this
process computes (the tests run it so, under each instruction set).
"""

import argparse
import hashlib
import json
import sys
from fnmatch import fnmatchcase
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
from calls import ELEMENTWISE, LOSSES

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from conformance.cases.case import Case
from conformance.cases.dtypes import DTYPES, HALF
from conformance.conventions import Settings, offered
from conformance.generation.arrays import draw
from conformance.generation.families import FAMILIES
from conformance.generation.generate import generate
from conformance.implementations.perform import performed
from conformance.implementations.refusals import Own
from conformance.operations import OPERATIONS
from conformance.operations.call import resolved

TABLE = Path(__file__).parent / "data" / "bits.json"

#: More threads than the machine has are welcome: the bits may not depend on who runs when.
THREADS = (1, 2, 3, 5, 8)

#: Small cases of each function and dtype.
SMALL = 12

#: Of each half dtype: the bits are those of float32, rounded.
SMALL_HALF = 3

IMAGE = "m5h41w50c49"

#: Cases large enough for a team of eight, with remainders everywhere.
LARGE = {
    "pad3d": (f"{IMAGE}_p2",),
    "pad3d_backward": (f"{IMAGE}_p2",),
    "conv_single_step": ("f7c61",),
    **dict.fromkeys(
        ("conv_forward", "conv_backward"),
        (
            "m5h23w26c17_f3k33_s1p1",
            "m1h45w43c3_f5k65_s2p2",
            "m3h30w31c64_f1k40_s1p0",
            "m7h29w28c1_f3k5_s1p1",
            "m9h39w34c1_f5k8_s1p2",
            "m3h31w32c3_f7k18_s2p3",
            "m2h21w37c24_f3k10_s1p1",
            "m2h40w37c130_f3k3_s1p0",
            "m33h9w8c12_f4k16_s3p2",
            "m3h31w32c49_f3k49_s1p1_g49",
            "m2h31w32c35_f5x3k70_s2p2.1.0.1_g35",
            "m3h23w26c24_f3k36_s1x2psame_d2_g3",
            "m3h19w31c48_f3k48_s1p1_g12",
            "m3h25w26c64_f3k64_s2p1_g8",
            "m4h14w15c80_f3k80_s1p1_g5",
        ),
    ),
    **dict.fromkeys(
        ("conv_transpose_forward", "conv_transpose_backward"),
        (
            "m3h15w16c33_f3k17_s2p1_e1",
            "m2h31w29c49_f4k49_s2p1_g49",
            "m5h11w12c24_f5x3k36_s1x3p2.1.0.1_d2x1_g3",
        ),
    ),
    **dict.fromkeys(
        ("pool_forward", "pool_backward"),
        (
            f"{IMAGE}_f3s2_max",
            f"{IMAGE}_f2s2_max",
            f"{IMAGE}_f3s2_average",
            "m3h90w81c3_f5s1_average",
            f"{IMAGE}_f3x2s2x1_max_p1x0_d2x3",
            "m3h90w81c3_f4s3_average_p1.2.0.1_ceil_exclude",
        ),
    ),
    "create_mask_from_window": ("h700w703",),
    "distribute_value": ("h700w703",),
    **dict.fromkeys(("arr2col", "col2arr"), (IMAGE,)),
    **dict.fromkeys(ELEMENTWISE, (IMAGE,)),
    **dict.fromkeys(("affine_forward", "affine_backward"), ("m203i301o101", "m3i2050o257", "m1030i9o7")),
    **dict.fromkeys(
        ("affine_activation_forward", "affine_activation_backward"),
        ("m203i301o101_relu", "m203i301o101_sigmoid", "m203i301o101_NULL"),
    ),
    **dict.fromkeys(("global_average_pool_forward", "global_average_pool_backward"), (IMAGE,)),
    **dict.fromkeys(("gelu", "gelu_backward"), (f"{IMAGE}_none", f"{IMAGE}_tanh")),
    **dict.fromkeys(("leaky_relu", "leaky_relu_backward"), (f"{IMAGE}_a0.3",)),
    **dict.fromkeys(
        ("prelu", "prelu_backward"),
        (f"{IMAGE}_channelwise", f"{IMAGE}_shared", "m5h30w31c16_channelwise", "m5h30w31c64_channelwise"),
    ),
    **dict.fromkeys(
        ("batch_norm_forward", "batch_norm_backward"),
        (
            f"{IMAGE}_training",
            "m7h29w28c5_training",
            "m5h30w31c16_training",
            f"{IMAGE}_inference",
            "m3h7w7c1030_training",
        ),
    ),
    **dict.fromkeys(
        ("layer_norm_forward", "layer_norm_backward", "rms_norm_forward", "rms_norm_backward"),
        (IMAGE, "m7h29w28c5", "m3h9w11c768", "m2h3w3c5003"),
    ),
    **dict.fromkeys(
        (
            "log_softmax",
            "log_softmax_backward",
            "softmax",
            "softmax_backward",
            "cross_entropy_cost",
            "cross_entropy_backward",
            *LOSSES,
            "softmax_cross_entropy",
            "softmax_cross_entropy_backward",
        ),
        (
            "m5003n101",
            "m70n7001",
        ),
    ),
}
for _loss in (name for name in LARGE if "cross_entropy" in name):
    LARGE[_loss] += ("m5003n31_smooth0.1", "m5003n31_ignore7", "m5003n31_smooth0.3_ignore-100")


def cases():
    """The fixed list: corners and families as the suite draws them, then the large ones."""
    yield from generate(OPERATIONS.values(), DTYPES, SMALL, 2024)
    yield from generate(OPERATIONS.values(), HALF, SMALL_HALF, 2024)
    for op, bodies in LARGE.items():
        for dtype in DTYPES:
            for body in bodies:
                case = Case.parse(f"{op}:{dtype}:{body}:normal:7")
                if not FAMILIES["normal"].suits(case):
                    family = next(f for f in FAMILIES.values() if f.kind != "exact" and f.suits(case))
                    case = case.replace(family=family.name)
                yield case


def digest(value):
    """Twelve hexadecimal digits for dtype, shape and bits; which NaN it is does not count."""
    array = np.array(value)
    if np.isnan(array).any():
        array[np.isnan(array)] = np.nan
    form = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(form + array.tobytes()).hexdigest()[:12]


class Here:
    """A module of this process, called as the suite calls one.

    An `Implementation` would do too, but for the packages of messages between processes and of PyTorch,
    which are not there for every machine and Python that the bits are looked at on.
    """

    layout = "NHWC"

    def __init__(self, name):
        self.target = import_module(name)
        self.own = Own.of(self.target)
        self.function = partial(getattr, self.target)

    def has(self, name):
        return callable(getattr(self.target, name, None))

    def call(self, case, arrays):
        request = resolved(OPERATIONS, case, self.has, offered(case, arrays, Settings()))
        return performed(self, request, arrays, (), (np.nan,))[0]


def digests(implementation, case, arrays):
    answer = implementation.call(case, arrays)
    if answer.kind == "error":
        return {"error": answer.text}
    return {name: digest(value) for name, value in answer.outputs.items()}


def compute(name="cnnref", threads=THREADS, chosen=None):
    """``{"case output": digest}``; where the thread counts differ, the digests of each."""
    import cnnref

    implementation = Here(name)
    found, before = {}, cnnref.get_num_threads()
    try:
        for case in chosen or cases():
            arrays, each = draw(case), {}
            for count in threads:
                cnnref.set_num_threads(count)
                for output, value in digests(implementation, case, arrays).items():
                    each.setdefault(output, []).append(value)
            for output, values in each.items():
                found[f"{case} {output}"] = values[0] if len(set(values)) == 1 else str(values)
    finally:
        cnnref.set_num_threads(before)
    return found


def every_part():
    """The table's parts: cases, and the post's conventions where they have their own code."""
    import cnnref
    from cnnref import blog

    own = [n for n in OPERATIONS if getattr(blog, n) is not getattr(cnnref, n)]
    mine = [
        case
        for case in cases()
        if case.op in own
        and all(any(fnmatchcase(f"{case.op}.{key}", known) for known in blog.options) for key in case.beyond)
    ]
    return {
        "cnnref": compute(),
        "cnnref.blog": compute("cnnref.blog", (1, 2), mine),
    }


def differences(table, found):
    """One line for each digest that is missing, new or other."""
    lines = []
    for part in sorted(table.keys() | found.keys()):
        old, new = table.get(part, {}), found.get(part, {})
        lines += [
            f"{part} {key}: {old.get(key, 'not in the table')} -> {new.get(key, 'not computed')}"
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key)
        ]
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--update", action="store_true", help="write the table anew")
    parser.add_argument("--print", action="store_true", help="print the digests as JSON")
    asked = parser.parse_args()
    found = every_part()
    if asked.print:
        print(json.dumps(found))
        return 0
    lines = differences(json.loads(TABLE.read_text()) if TABLE.exists() else {}, found)
    print("\n".join(lines))
    print(f"{sum(map(len, found.values()))} outputs, {len(lines)} differ from the table")
    if asked.update:
        TABLE.write_text(json.dumps(found, indent=0, sort_keys=True) + "\n")
        return 0
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
