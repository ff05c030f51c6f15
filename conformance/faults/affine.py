"""Faults of the affine layer and of the gradients of weights and biases, which conv shares."""

from __future__ import annotations

from functools import partial

import numpy as np

from conformance.cases.case import Case
from conformance.cases.window import window_of
from conformance.faults.catalogue import SUMMED, of_samples, slip
from conformance.faults.core import Array, Arrays, Base, Outputs
from conformance.faults.rows import after, data, option, scaled

_BIAS = {op: "db" for op, names in SUMMED.items() if "db" in names}
_activation = partial(
    option, targets={"affine_activation_forward": "A", "affine_activation_backward": "dA_prev dW db"}
)

# Not guarded: the mean over an empty batch is 0/0.
scaled(
    "gradient-divided-by-m",
    "The gradient of weights and biases is the mean over the batch, not the sum.",
    SUMMED,
    over=lambda case, a: np.float64(case["m"]),
    post=True,
)
scaled(
    "gradient-times-m",
    "The gradient of weights and biases is multiplied by the batch size.",
    SUMMED,
    by=lambda case, a: case["m"],
)


@slip(
    "gradient-of-last-sample",
    "The gradient of weights and biases is overwritten by each sample: only the last one is left.",
    SUMMED,
)
def _gradient_of_last_sample(case: Case, a: Arrays, base: Base) -> Outputs:
    return of_samples(case, a, base, slice(case["m"] - 1, None))


@slip(
    "gradient-of-first-sample",
    "The gradient of weights and biases is that of the first sample alone.",
    SUMMED,
)
def _gradient_of_first_sample(case: Case, a: Arrays, base: Base) -> Outputs:
    return of_samples(case, a, base, slice(0, 1))


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


after("bias-gradient-flat", "The gradient of the bias is right but flat: its shape is (n,).", _BIAS,
      lambda case, db: db.reshape(-1))  # fmt: skip
after("bias-gradient-total", "The gradient of the bias is summed over the channels too.", _BIAS,
      lambda case, db: np.full(db.shape, db.sum()))  # fmt: skip
scaled(
    "bias-gradient-per-tap",
    "The gradient of the bias is multiplied by f*f*n_C_prev, as if the bias stood inside the window sum.",
    {"conv_backward": "db"},
    by=lambda case, a: window_of(case).size * a["W"].shape[2],
)
scaled(
    "bias-gradient-mean",
    "The gradient of the bias is the mean over samples and positions, not the sum.",
    {"conv_backward": "db"},
    over=lambda case, a: max(a["dZ"][..., 0].size, 1),
)


def _transposed(case: Case, dW: Array, shape: bool) -> Array:
    turned = dW.swapaxes(-1, -2)
    return np.asarray(turned.reshape(dW.shape) if shape else turned)


after(
    "weight-gradient-transposed",
    "The gradient of the weights is transposed: outputs first (the last two axes of a filter).",
    {op: "dW" for op, names in SUMMED.items() if "dW" in names},
    _transposed,
    variants=({"shape": False}, {"shape": True}),
)
data(
    "weights-read-transposed",
    "The weights' memory is read as (n, n_prev): inputs and outputs are exchanged.",
    {
        "affine_forward": "Z",
        "affine_backward": "dA_prev",
        "affine_activation_forward": "A",
        "affine_activation_backward": "dA_prev dW db",
    },
    lambda case, a: {"W": a["W"].reshape(case["o"], case["i"]).T},
)
_activation(
    "activation-forgotten",
    "The activation function, or its derivative, is not applied.",
    activation="NULL",
)
_activation("activation-always-relu", "relu is applied whatever the activation asked for.", activation="relu")
_activation(
    "activation-always-sigmoid",
    "sigmoid is applied whatever the activation asked for.",
    activation="sigmoid",
)
