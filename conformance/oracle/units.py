"""The oracle's activations, normalization and global pooling; see `conformance.oracle`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from conformance.cases.case import Case
from conformance.operations.norm import EPSILON, MOMENTUM

Tensors = dict[str, Tensor]


def logistic(Z: Tensor) -> Tensor:
    """Torch's sigmoid, but below -40 exp(Z), which is the same number but for a factor 1 + exp(-40).

    Torch computes 1 / (1 + exp(-Z)), so that below -709.8, where exp(-Z) overflows, it answers 0 for
    numbers that float64 has. Where its branch is not taken, exp's argument is held at -40, because its
    gradient must stay finite.
    """
    return torch.where(Z < -40, torch.exp(torch.clamp(Z, max=-40)), torch.sigmoid(Z))


def erf(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The error function."""
    found: NDArray[np.float64] = torch.special.erf(torch.from_numpy(x)).numpy()
    return found


def _silu(case: Case, t: Tensors) -> Tensor:
    """Torch's silu, but for -inf and where its exp(-Z) overflows."""
    return t["Z"] * logistic(t["Z"])


def _gelu(case: Case, t: Tensors) -> Tensor:
    """Torch's gelu; for "none" by erfc below 0, where 1 + erf cancels.

    Where a branch is not taken its argument is held within its range: its gradient must stay finite.
    """
    Z = t["Z"]
    if case.word("approximate") == "tanh":
        inner = 2 * (2 / torch.pi) ** 0.5 * (Z + 0.044715 * Z**3)
        return Z * logistic(inner)
    below = torch.special.erfc(-torch.clamp(Z, max=0) * 0.5**0.5)
    above = 1 + torch.special.erf(torch.clamp(Z, min=0) * 0.5**0.5)
    return Z * 0.5 * torch.where(Z < 0, below, above)


def _leaky_relu(case: Case, t: Tensors) -> Tensor:
    return functional.leaky_relu(t["Z"], float(case.value("a")))  # type: ignore[arg-type]


def _global_average_pool(case: Case, t: Tensors) -> Tensor:
    return t["A_prev"].mean((1, 2), keepdim=True)


def _batch_norm(case: Case, t: Tensors) -> Tensor:
    """Torch's, with the running statistics left as they are in `t`."""
    kept = [t[name].detach().reshape(-1).clone() for name in ("running_mean", "running_var")]
    image, training = t["A_prev"].permute(0, 3, 1, 2), case.word("statistics") == "training"
    if image.numel() == 0:  # torch answers with gradients of its own for nothing
        return image.permute(0, 2, 3, 1) * t["gamma"] + t["beta"]
    scale, offset = t["gamma"].reshape(-1), t["beta"].reshape(-1)
    mean, variance = kept
    out = torch.batch_norm(image, scale, offset, mean, variance, training, MOMENTUM, EPSILON, False)
    t["running_mean'"], t["running_var'"] = (x.reshape(1, 1, 1, -1) for x in kept)
    return out.permute(0, 2, 3, 1)


def running(case: Case, t: Tensors) -> Tensors:
    """The outputs of batch_norm_forward: torch changes the running statistics in place."""
    out = {"A": _batch_norm(case, t)}
    return out | {name: t.get(f"{name}'", t[name]) for name in ("running_mean", "running_var")}


def _log_softmax(case: Case, t: Tensors) -> Tensor:
    return torch.log_softmax(t["X"], dim=1)


Forward = Callable[[Case, Tensors], Tensor]

_ELEMENTS: dict[str, Forward] = {
    "tanh": lambda case, t: torch.tanh(t["Z"]),
    "silu": _silu,
    "gelu": _gelu,
    "leaky_relu": _leaky_relu,
    "log_softmax": _log_softmax,
}
_LAYERS: dict[str, Forward] = {"global_average_pool": _global_average_pool, "batch_norm": _batch_norm}

FORWARD: dict[str, Forward] = {
    **{name: function for op, function in _ELEMENTS.items() for name in (op, f"{op}_backward")},
    **{f"{op}_{way}": function for op, function in _LAYERS.items() for way in ("forward", "backward")},
}

GRADIENTS: dict[str, dict[str, str]] = {
    **{f"{name}_backward": {"dZ": "Z"} for name in ("tanh", "silu", "gelu", "leaky_relu")},
    "log_softmax_backward": {"dX": "X"},
    "global_average_pool_backward": {"dA_prev": "A_prev"},
    "batch_norm_backward": {"dA_prev": "A_prev", "dgamma": "gamma", "dbeta": "beta"},
}
