"""Errors that must be seen, or be what a declared accuracy is about; and the smallest that would be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ci.audit.kernel import Prepared, seen
from conformance.bounds.arithmetic import IEEE, Arithmetic
from conformance.cases.case import Case
from conformance.operations import OPERATIONS
from conformance.operations.batch_norm import epsilon_of

Array = NDArray[Any]

#: Of each operation that rounds, a layer of a user's size in normal data, without its seed.
SIZES = (
    "conv_single_step:f32:f5c64:normal",
    "conv_forward:f32:m2h14w14c32_f3k32_s1p1:normal",
    "conv_backward:f32:m2h14w14c32_f3k32_s1p1:normal",
    "conv_transpose_forward:f32:m2h7w7c32_f3k16_s2p1:normal",
    "conv_transpose_backward:f32:m2h7w7c32_f3k16_s2p1:normal",
    "pool_forward:f32:m4h28w28c16_f3s2_average:normal",
    "pool_backward:f32:m4h28w28c16_f3s2_average:normal",
    "global_average_pool_forward:f32:m8h7w7c64:normal",
    "global_average_pool_backward:f32:m8h7w7c64:normal",
    "distribute_value:f32:h7w7:wide-x",
    "affine_forward:f32:m32i512o10:normal",
    "affine_backward:f32:m32i512o10:normal",
    "affine_activation_forward:f32:m32i64o32_sigmoid:normal",
    "affine_activation_backward:f32:m32i64o32_sigmoid:normal",
    "sigmoid:f32:m4h14w14c16:normal",
    "sigmoid_backward:f32:m4h14w14c16:normal",
    "tanh:f32:m4h14w14c16:normal",
    "tanh_backward:f32:m4h14w14c16:normal",
    "silu:f32:m4h14w14c16:normal",
    "silu_backward:f32:m4h14w14c16:normal",
    "gelu:f32:m4h14w14c16_none:normal",
    "gelu:f32:m4h14w14c16_tanh:normal",
    "gelu_backward:f32:m4h14w14c16_none:normal",
    "gelu_backward:f32:m4h14w14c16_tanh:normal",
    "leaky_relu:f32:m4h14w14c16:normal",
    "leaky_relu_backward:f32:m4h14w14c16:normal",
    "hardsigmoid:f32:m4h14w14c16:normal",
    "hardsigmoid_backward:f32:m4h14w14c16:normal",
    "hardswish:f32:m4h14w14c16:normal",
    "hardswish_backward:f32:m4h14w14c16:normal",
    "softsign:f32:m4h14w14c16:normal",
    "softsign_backward:f32:m4h14w14c16:normal",
    "elu:f32:m4h14w14c16:normal",
    "elu_backward:f32:m4h14w14c16:normal",
    "selu:f32:m4h14w14c16:normal",
    "selu_backward:f32:m4h14w14c16:normal",
    "celu:f32:m4h14w14c16:normal",
    "celu_backward:f32:m4h14w14c16:normal",
    "softplus:f32:m4h14w14c16:normal",
    "softplus_backward:f32:m4h14w14c16:normal",
    "mish:f32:m4h14w14c16:normal",
    "mish_backward:f32:m4h14w14c16:normal",
    "prelu:f32:m4h14w14c16_channelwise:normal",
    "prelu_backward:f32:m4h14w14c16_channelwise:normal",
    "batch_norm_forward:f32:m8h28w28c4_training:normal",
    "batch_norm_backward:f32:m8h28w28c4_training:normal",
    "batch_norm_backward:f32:m8h28w28c4_training:offset",
    "layer_norm_forward:f32:m4h14w14c96:normal",
    "layer_norm_backward:f32:m4h14w14c96:normal",
    "rms_norm_forward:f32:m4h14w14c96:normal",
    "rms_norm_backward:f32:m4h14w14c96:normal",
    "softmax:f32:m32n100:normal",
    "softmax_backward:f32:m32n100:normal",
    "log_softmax:f32:m32n100:normal",
    "log_softmax_backward:f32:m32n100:normal",
    "cross_entropy_cost:f32:m32n100:probabilities",
    "cross_entropy_backward:f32:m32n100:probabilities",
    "softmax_cross_entropy_backward:f32:m32n100:normal",
    "mse_loss:f32:m32n100:normal",
    "mse_loss_backward:f32:m32n100:normal",
)
#: The relative errors that each output has to show.
SCALES = (1e-3, 1e-2)
#: Where the mean is a thousand deviations its own rounding is some hundredths of one: a smaller error is no
#: error.
SCALES_OF_OFFSET = (0.1,)


@dataclass(frozen=True)
class Wrong:
    """An error of one output.

    ``line`` is a case without its seed; ``declared`` what a module has to declare for it to be seen, nothing
    if it is seen in any.
    """

    name: str
    line: str
    output: str
    make: Callable[[Prepared], Any]
    declared: Arithmetic = IEEE


def _scaled(output: str, by: float) -> Callable[[Prepared], Any]:
    return lambda prepared: prepared.expected[output] * (1 + by)


def _cut(where: Callable[[Array], Array]) -> Callable[[Prepared], Any]:
    def make(prepared: Prepared) -> Any:
        (output,) = prepared.case.operation.outputs
        return np.where(where(prepared.arrays["Z"].astype(np.float64)), 0.0, prepared.expected[output])

    return make


def one_pass(prepared: Prepared) -> Any:
    """The output of a normalization whose variance is the mean of squares less the square of the mean."""
    a = prepared.arrays
    x = a["A_prev"]
    axes = (3,) if "each pixel" in prepared.case.operation.traits else (0, 1, 2)
    mean = x.mean(axes, dtype=x.dtype, keepdims=True)
    variance = (x * x).mean(axes, dtype=x.dtype, keepdims=True) - mean * mean
    root = np.sqrt(np.maximum(variance, 0) + x.dtype.type(epsilon_of(prepared.case)))
    return (x - mean) / root * a["gamma"] + a["beta"]


def _clipped(prepared: Prepared) -> Any:
    return np.where(prepared.expected["probs"] < 1e-6, 0.0, prepared.expected["probs"])


def _relative(op: str) -> Arithmetic:
    return Arithmetic.declared(accuracy={op: "relative"})


def errors() -> Iterator[Wrong]:
    """All of them."""
    for line in SIZES:
        for output in OPERATIONS[line.partition(":")[0]].outputs:
            for by in SCALES if not line.endswith("offset") else SCALES_OF_OFFSET:
                yield Wrong(f"{by:g} too large", line, output, _scaled(output, by))
    for op, output, where, text in (
        ("gelu", "A", lambda z: z < -5.3, "0 below -5.3"),
        ("gelu_backward", "dZ", lambda z: z < -5.5, "0 below -5.5"),
    ):
        for form in ("none", "tanh"):
            line = f"{op}:f32:m2h33w33c16_{form}:magnitudes"
            yield Wrong(f"{text} ({form})", line, output, _cut(where), _relative(op))
    for op, where, text in (
        ("tanh_backward", lambda z: np.abs(z) > 8, "0 beyond 8"),
        ("sigmoid_backward", lambda z: z > 16, "0 above 16"),
    ):
        yield Wrong(text, f"{op}:f32:m2h9w9c16:saturated", "dZ", _cut(where), _relative(op))
    for op, output in (("sigmoid", "A"), ("silu", "A"), ("sigmoid_backward", "dZ"), ("silu_backward", "dZ")):
        line = f"{op}:f32:m2h9w9c16:saturated"
        yield Wrong("0 below -16", line, output, _cut(lambda z: z < -16))
    yield Wrong("probabilities below 1e-6 are 0", "softmax:f32:m32n100:magnitudes", "probs", _clipped)
    yield Wrong("one-pass variance", "batch_norm_forward:f32:m2h9w9c3_training:offset", "A", one_pass)
    yield Wrong("one-pass variance", "layer_norm_forward:f32:m2h9w9c33:offset", "A", one_pass)


def found(wrong: Wrong, seeds: range) -> tuple[int, int]:
    """In how many cases it is seen: in any module, and in one that declares what it is about."""
    cases = [Prepared(Case.parse(f"{wrong.line}:{seed}")) for seed in seeds]
    values = [(p, wrong.make(p)) for p in cases]
    return (
        sum(seen(p, wrong.output, value) for p, value in values),
        sum(seen(p, wrong.output, value, wrong.declared) for p, value in values),
    )


def smallest(prepared: Prepared, output: str) -> tuple[float, ...]:
    """The relative error that would pass at the element that shows most, at a tenth, half and nine tenths."""
    bound = prepared.limits()[output]
    limit = bound.limit if bound.statistical is None else np.minimum(bound.limit, bound.statistical)
    expected = np.abs(prepared.expected[output])
    shown = expected > 0
    shares = (np.broadcast_to(limit, expected.shape)[shown] / expected[shown]).reshape(-1)
    return (
        tuple(float(q) for q in np.quantile(shares, (0.0, 0.1, 0.5, 0.9))) if shares.size else (np.inf,) * 4
    )
