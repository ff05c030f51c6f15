"""One shape a kernel and more: what `cnnref.kernel_for` must answer for it on each instruction set.

`python tests/kernels/kernel_rows.py` compares the table in docs/kernels.md with these rows; `--update` writes
it anew.
"""

import sys
from pathlib import Path
from typing import Any, NamedTuple

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "kernels.md"
BEGIN, END = "<!-- rows of tests/kernels/kernel_rows.py -->\n\n", "<!-- end of rows -->"

SETS = ("baseline", "avx2", "avx512")


class Row(NamedTuple):
    """A call, the output looked at, and the kernels that compute it: one, or one an instruction set."""

    name: str
    function: str
    A_shape: tuple[int, ...]
    W_shape: tuple[int, ...] | None
    hparameters: dict[str, Any] | None
    output: str
    kernels: tuple[str, ...]
    dtype: str = "float32"

    def kernel(self, isa: str) -> str:
        """The kernel on one of `SETS`."""
        return self.kernels[SETS.index(isa)] if len(self.kernels) > 1 else self.kernels[0]


def conv(name, A, W, output, *kernels, stride=1, pad=0, dtype="float32", way=None, **more):
    """A row of a convolution; of its gradients where the output is one."""
    function = f"conv_{way or ('forward' if output == 'Z' else 'backward')}"
    return Row(name, function, A, W, {"stride": stride, "pad": pad, **more}, output, kernels, dtype)


def affine(name, m, W, output, *kernels, dtype="float32"):
    function = f"affine_{'forward' if output == 'Z' else 'backward'}"
    return Row(name, function, (m, W[0]), W, None, output, kernels, dtype)


def pool(name, A, output, *kernels, **hparameters):
    function = f"pool_{'forward' if output == 'A' else 'backward'}"
    return Row(name, function, A, None, hparameters, output, kernels)


GEMM, STRIDED, TAIL = "gemm/micro_kernel", "gemm/micro_kernel:strided", "gemm/micro_kernel:tail"
HALF_VECTOR, PREFETCH = "gemm/micro_kernel:half_vector", "gemm/micro_kernel:prefetching"
PAIRS = "wgrad/micro_kernel_sample_pairs"
PLANAR, FEW_IN = "planar/micro_kernel", "planar/micro_kernel_few_channels_in"
ONE_OUT = "planar/micro_kernel_one_channel_out"
DEPTHWISE, SLIDING = "depthwise/micro_kernel", "depthwise/micro_kernel_sliding"
GROUPED = "depthwise/micro_kernel:grouped"
GROUPED_SUMS = "depthwise/wgrad_micro_kernel:grouped"
SUMS, SLIDING_SUMS = "depthwise/wgrad_micro_kernel", "depthwise/wgrad_micro_kernel_sliding"

ROWS = (
    conv("depthwise 3x3", (2, 12, 14, 32), (3, 3, 1, 32), "Z", SLIDING, pad=1, groups=32),
    conv(
        "depthwise, no whole vector",
        (2, 12, 14, 20),
        (3, 3, 1, 20),
        "Z",
        SLIDING,
        SLIDING,
        DEPTHWISE,
        pad=1,
        groups=20,
    ),
    conv("depthwise, dilated", (2, 12, 14, 32), (3, 3, 1, 32), "Z", DEPTHWISE, pad=2, groups=32, dilation=2),
    conv("groups of 4", (2, 12, 14, 64), (3, 3, 4, 64), "Z", GROUPED, pad=1, groups=16),
    conv(
        "groups of 2, double",
        (2, 12, 14, 16),
        (3, 3, 2, 16),
        "dA_prev",
        GROUPED,
        pad=1,
        groups=8,
        dtype="float64",
    ),
    conv("grey image, 8 filters", (3, 20, 20, 1), (5, 5, 1, 8), "Z", FEW_IN),
    conv("one filter", (2, 20, 20, 16), (5, 5, 16, 1), "Z", PLANAR, PLANAR, ONE_OUT, pad=2),
    conv("three filters, double", (2, 20, 20, 4), (3, 3, 4, 3), "Z", PLANAR, pad=1, dtype="float64"),
    conv("grey image's gradient", (3, 20, 20, 1), (5, 5, 1, 8), "dA_prev", PLANAR, PLANAR, ONE_OUT),
    conv(
        "colour image's gradient, stride 2", (2, 20, 20, 3), (3, 3, 3, 16), "dA_prev", PLANAR, stride=2, pad=1
    ),
    conv("patches' gradient", (2, 32, 32, 3), (4, 4, 3, 64), "dA_prev", "gemm/patch_scatter", stride=4),
    conv("64 channels, 3x3", (4, 14, 14, 64), (3, 3, 64, 64), "Z", GEMM, pad=1),
    conv("64 channels, 3x3", (4, 14, 14, 64), (3, 3, 64, 64), "dA_prev", GEMM, pad=1),
    conv("24 filters", (4, 14, 14, 64), (3, 3, 64, 24), "Z", GEMM, GEMM, HALF_VECTOR, pad=1),
    conv("40 filters, 1x1", (4, 14, 14, 64), (1, 1, 64, 40), "Z", GEMM, GEMM, HALF_VECTOR),
    conv("48 filters, 1x1", (4, 12, 12, 64), (1, 1, 64, 48), "Z", GEMM, GEMM, STRIDED),
    conv(
        "transposed, stride 2",
        (2, 8, 8, 32),
        (4, 4, 16, 32),
        "Z",
        GEMM,
        stride=2,
        pad=1,
        way="transpose_forward",
    ),
    conv("64 channels, 3x3", (4, 14, 14, 64), (3, 3, 64, 64), "dW", GEMM, GEMM, PREFETCH, pad=1),
    conv("8 filters", (4, 14, 14, 8), (3, 3, 8, 8), "dW", GEMM, GEMM, PAIRS, pad=1),
    conv("48 filters, few taps", (4, 14, 14, 8), (1, 1, 8, 48), "dW", GEMM, GEMM, STRIDED),
    conv("64 filters of a colour image", (2, 32, 32, 3), (3, 3, 3, 64), "dW", GEMM, pad=1),
    conv(
        "transposed, stride 2",
        (2, 8, 8, 32),
        (4, 4, 16, 32),
        "dW",
        GEMM,
        GEMM,
        STRIDED,
        stride=2,
        pad=1,
        way="transpose_backward",
    ),
    conv(
        "depthwise 3x3",
        (2, 12, 14, 32),
        (3, 3, 1, 32),
        "dW",
        SUMS,
        SLIDING_SUMS,
        SLIDING_SUMS,
        pad=1,
        groups=32,
    ),
    conv("depthwise 3x2", (2, 12, 14, 32), (3, 2, 1, 32), "dW", SUMS, pad=1, groups=32),
    conv("groups of 4", (2, 12, 14, 64), (3, 3, 4, 64), "dW", GROUPED_SUMS, pad=1, groups=16),
    affine("64 rows", 64, (50, 70), "Z", GEMM),
    affine("64 rows, 10 outputs", 64, (50, 10), "Z", GEMM, GEMM, STRIDED),
    affine("3 rows", 3, (50, 70), "Z", TAIL),
    affine("4 rows", 4, (50, 70), "Z", GEMM, GEMM, TAIL),
    affine("64 rows", 64, (300, 70), "dW", GEMM, GEMM, PREFETCH),
    affine("64 rows, double", 64, (50, 70), "dA_prev", GEMM, dtype="float64"),
    pool("2x2", (2, 12, 12, 16), "A", "pool/forward", f=2, stride=2),
    pool("2x2", (2, 12, 12, 16), "dA_prev", "pool/backward", f=2, stride=2),
    pool("3x3, padded", (2, 12, 12, 16), "A", "pool/general", f=3, stride=2, pad=1),
    pool("3x3, padded", (2, 12, 12, 16), "dA_prev", "pool/general", f=3, stride=2, pad=1),
)


def table() -> str:
    """The rows as a table in Markdown."""
    lines = ["| what | call | baseline | AVX2 | AVX-512 |", "|---|---|---|---|---|"]
    for row in ROWS:
        shapes = " ".join("x".join(map(str, s)) for s in (row.A_shape, row.W_shape) if s)
        more = ", ".join(
            f"{k} {v}"
            for k, v in (row.hparameters or {}).items()
            if (k, v) not in (("stride", 1), ("pad", 0))
        )
        call = f"`{row.function}` {row.output}, {shapes}{', ' + more if more else ''}"
        kernels = " | ".join(f"`{row.kernel(isa)}`" for isa in SETS)
        lines.append(f"| {row.name} | {call} | {kernels} |")
    return "\n".join(lines) + "\n"


def updated(text: str) -> str:
    """The document with the table of these rows."""
    head, _, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        raise SystemExit(f"{DOCUMENT} does not have the lines {BEGIN.strip()} and {END.strip()}")
    return head + BEGIN + table() + "\n" + END + tail


if __name__ == "__main__":
    before = DOCUMENT.read_text()
    after = updated(before)
    if "--update" in sys.argv[1:]:
        DOCUMENT.write_text(after)
    elif after != before:
        sys.exit(f"{DOCUMENT} is not the table of these rows: write it with --update")
