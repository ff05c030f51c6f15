"""Faults of the affine layer and of the gradients of weights and biases, which conv shares."""

from __future__ import annotations

import numpy as np

from conformance.cases.case import Case
from conformance.cases.window import window_of
from conformance.faults.catalogue import SUMMED, of_samples, slip
from conformance.faults.core import Arrays, Base, Outputs

_BIAS = {op: "db" for op in SUMMED}
_ACTIVATION = {"affine_activation_forward": "A", "affine_activation_backward": "dA_prev dW db"}


def _parameters(out: Outputs) -> Outputs:
    return {name: out[name] for name in ("dW", "db")}


@slip(
    "gradient-divided-by-m",
    "The gradient of weights and biases is the mean over the batch, not the sum.",
    SUMMED,
    post=True,
)
def _gradient_divided_by_m(case: Case, a: Arrays, base: Base) -> Outputs:
    # Not guarded: the mean over an empty batch is 0/0.
    return {name: value / case["m"] for name, value in _parameters(base(case, a)).items()}


@slip(
    "gradient-times-m",
    "The gradient of weights and biases is multiplied by the batch size.",
    SUMMED,
)
def _gradient_times_m(case: Case, a: Arrays, base: Base) -> Outputs:
    return {name: value * case["m"] for name, value in _parameters(base(case, a)).items()}


@slip(
    "gradient-of-last-sample",
    "The gradient of weights and biases is overwritten by each sample: only the last one is left.",
    SUMMED,
)
def _gradient_of_last_sample(case: Case, a: Arrays, base: Base) -> Outputs:
    return _parameters(of_samples(case, a, base, slice(case["m"] - 1, None)))


@slip(
    "gradient-of-first-sample",
    "The gradient of weights and biases is that of the first sample alone.",
    SUMMED,
)
def _gradient_of_first_sample(case: Case, a: Arrays, base: Base) -> Outputs:
    return _parameters(of_samples(case, a, base, slice(0, 1)))


@slip(
    "bias-gradient-not-summed-over-batch",
    "The gradient of the bias keeps one row per sample.",
    _BIAS,
)
def _bias_gradient_not_summed_over_batch(case: Case, a: Arrays, base: Base) -> Outputs:
    if not case["m"]:
        return {}
    rows = [of_samples(case, a, base, slice(i, i + 1))["db"] for i in range(case["m"])]
    return {"db": np.concatenate(rows)}


@slip("bias-gradient-flat", "The gradient of the bias is right but flat: its shape is (n,).", _BIAS)
def _bias_gradient_flat(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"db": base(case, a)["db"].reshape(-1)}


@slip(
    "bias-gradient-total",
    "The gradient of the bias is summed over the channels too.",
    _BIAS,
)
def _bias_gradient_total(case: Case, a: Arrays, base: Base) -> Outputs:
    out = base(case, a)["db"]
    return {"db": np.full(out.shape, out.sum())}


@slip(
    "bias-gradient-per-tap",
    "The gradient of the bias is multiplied by f*f*n_C_prev, as if the bias stood inside the window sum.",
    {"conv_backward": "db"},
)
def _bias_gradient_per_tap(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"db": base(case, a)["db"] * (window_of(case).size * a["W"].shape[2])}


@slip(
    "bias-gradient-mean",
    "The gradient of the bias is the mean over samples and positions, not the sum.",
    {"conv_backward": "db"},
)
def _bias_gradient_mean(case: Case, a: Arrays, base: Base) -> Outputs:
    return {"db": base(case, a)["db"] / max(a["dZ"][..., 0].size, 1)}


@slip(
    "weight-gradient-transposed",
    "The gradient of the weights is transposed: outputs first (the last two axes of a filter).",
    {op: "dW" for op in SUMMED},
    variants=({"shape": False}, {"shape": True}),
)
def _weight_gradient_transposed(case: Case, a: Arrays, base: Base, shape: bool) -> Outputs:
    right = base(case, a)["dW"]
    turned = right.swapaxes(-1, -2)
    return {"dW": turned.reshape(right.shape) if shape else turned}


@slip(
    "weights-read-transposed",
    "The weights' memory is read as (n, n_prev): inputs and outputs are exchanged.",
    {"affine_forward": "Z", "affine_backward": "dA_prev", **_ACTIVATION},
)
def _weights_read_transposed(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, {**a, "W": a["W"].reshape(case["o"], case["i"]).T})


@slip(
    "activation-forgotten",
    "The activation function, or its derivative, is not applied.",
    _ACTIVATION,
)
def _activation_forgotten(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, activation="NULL")


@slip("activation-always-relu", "relu is applied whatever the activation asked for.", _ACTIVATION)
def _activation_always_relu(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, activation="relu")


@slip("activation-always-sigmoid", "sigmoid is applied whatever the activation asked for.", _ACTIVATION)
def _activation_always_sigmoid(case: Case, a: Arrays, base: Base) -> Outputs:
    return base(case, a, activation="sigmoid")
