"""Good arguments for every function of the contract, for tests that spoil them one at a time."""

from typing import Any

import numpy as np
import pytest

import cnnref
from conformance.operations import OPERATIONS, having

#: Functions of each element of `Z`, and their gradients: what is said of the others holds of a new one too.
ELEMENTWISE = tuple(name for name, entry in OPERATIONS.items() if {*entry.arrays} <= {"Z", "dA"})

#: The losses of each element and its target, and their gradients.
LOSSES = having("losses")


def arguments(dtype: Any = np.float64, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Keyword arguments by function; arrays of `dtype`, no two extents equal where they need not be."""
    rng = np.random.default_rng(seed)

    def array(*shape: int) -> Any:
        return rng.normal(size=shape).astype(dtype)

    image, conv, pool = array(2, 6, 7, 3), {"stride": 2, "pad": 1}, {"f": 2, "stride": 2}
    filters, bias = array(3, 3, 3, 4), array(1, 1, 1, 4)
    rows, weights, offsets = array(5, 6), array(6, 4), array(1, 4)
    probabilities = cnnref.softmax(rows)[0]
    labels = np.array([0, 5, 2, 2, 1])
    turned, wide = {"stride": 2, "pad": 1, "output_padding": 1}, array(3, 3, 4, 3)
    wide_Z, turned_cache = cnnref.conv_transpose_forward(image, wide, bias, turned)
    Z, conv_cache = cnnref.conv_forward(image, filters, bias, conv)
    A, pool_cache = cnnref.pool_forward(image, pool)
    columns, _ = cnnref.arr2col(image)
    channels = [np.abs(array(1, 1, 1, 3)) for _ in range(4)]
    norm = {"epsilon": 1e-3, "momentum": 0.2, "training": True}
    _, affine_cache = cnnref.affine_forward(rows, weights, offsets)
    _, activation_cache = cnnref.affine_activation_forward(rows, weights, offsets, "sigmoid")
    _, norm_cache = cnnref.batch_norm_forward(image, *channels, norm)
    _, prelu_cache = cnnref.prelu(image, channels[0])
    _, layer_cache = cnnref.layer_norm_forward(image, *channels[:2], epsilon=1e-3)
    _, rms_cache = cnnref.rms_norm_forward(image, channels[0], epsilon=1e-3)
    _, entropy_cache = cnnref.cross_entropy_cost(probabilities, labels)
    loss_cache = cnnref.caches.LossCache(rows, probabilities)
    return {
        "pad3d": {"input": image, "stride": 2},
        "pad3d_backward": {"doutput": image, "stride": 2},
        "conv_single_step": {"a_slice_prev": array(2, 2, 3), "W": array(2, 2, 3), "b": array(1)},
        "conv_forward": {"A_prev": image, "W": filters, "b": bias, "hparameters": conv},
        "conv_backward": {"dZ": array(*Z.shape), "cache": conv_cache},
        "conv_transpose_forward": {"A_prev": image, "W": wide, "b": bias, "hparameters": turned},
        "conv_transpose_backward": {"dZ": array(*wide_Z.shape), "cache": turned_cache},
        "pool_forward": {"A_prev": image, "hparameters": pool, "mode": "max"},
        "pool_backward": {"dA": array(*A.shape), "cache": pool_cache, "mode": "max"},
        "create_mask_from_window": {"x": array(3, 4)},
        "distribute_value": {"dz": array(1), "shape": (2, 3)},
        "arr2col": {"X": image},
        "col2arr": {"X": columns, "cache": image},
        "affine_forward": {"A_prev": rows, "W": weights, "b": offsets},
        "affine_backward": {"dZ": array(5, 4), "cache": affine_cache},
        "affine_activation_forward": {"A_prev": rows, "W": weights, "b": offsets, "activation": "relu"},
        "affine_activation_backward": {"dA": array(5, 4), "cache": activation_cache, "activation": "sigmoid"},
        **{
            name: {"dA": array(2, 6, 7, 3), "cache": image} if OPERATIONS[name].forward else {"Z": image}
            for name in ELEMENTWISE
        },
        "gelu": {"Z": image, "approximate": "tanh"},
        "gelu_backward": {"dA": array(2, 6, 7, 3), "cache": image, "approximate": "none"},
        "leaky_relu": {"Z": image, "negative_slope": 0.2},
        "leaky_relu_backward": {"dA": array(2, 6, 7, 3), "cache": image, "negative_slope": 0.2},
        "prelu": {"Z": image, "slopes": channels[0]},
        "prelu_backward": {"dA": array(2, 6, 7, 3), "cache": prelu_cache},
        "global_average_pool_forward": {"A_prev": image},
        "global_average_pool_backward": {"dA": array(2, 1, 1, 3), "cache": image},
        "batch_norm_forward": {
            "A_prev": image,
            **dict(zip(("gamma", "beta", "running_mean", "running_var"), channels, strict=True)),
            "hparameters": norm,
        },
        "batch_norm_backward": {"dA": array(2, 6, 7, 3), "cache": norm_cache},
        "layer_norm_forward": {
            "A_prev": image,
            "gamma": channels[0],
            "beta": channels[1],
            "hparameters": {"epsilon": 1e-3},
        },
        "layer_norm_backward": {"dA": array(2, 6, 7, 3), "cache": layer_cache},
        "rms_norm_forward": {"A_prev": image, "gamma": channels[0], "hparameters": {"epsilon": 1e-3}},
        "rms_norm_backward": {"dA": array(2, 6, 7, 3), "cache": rms_cache},
        "softmax": {"X": rows},
        "softmax_backward": {"dprobs": array(5, 6), "cache": rows},
        "log_softmax": {"X": rows},
        "log_softmax_backward": {"dlogp": array(5, 6), "cache": rows},
        **{
            name: {"cache": loss_cache} if OPERATIONS[name].forward else {"X": rows, "T": probabilities}
            for name in LOSSES
        },
        "cross_entropy_cost": {"AL": probabilities, "Y": labels, "batch_size": 5},
        "cross_entropy_backward": {"cache": entropy_cache},
        "softmax_cross_entropy": {"X": rows, "Y": labels},
        "softmax_cross_entropy_backward": {"cache": entropy_cache},
    }


NAMES = tuple(OPERATIONS)
CACHES = {
    **dict.fromkeys(("conv_backward", "conv_transpose_backward"), ("A_prev", "W", "b", "hparameters")),
    "pool_backward": ("A_prev", "hparameters"),
    "affine_backward": ("A_prev", "W", "b"),
    "affine_activation_backward": ("affine_cache", "activation_cache"),
    "batch_norm_backward": (
        "A_prev",
        "gamma",
        "mean",
        "variance",
        "running_mean",
        "running_var",
        "hparameters",
    ),
    "prelu_backward": ("Z", "slopes"),
    **dict.fromkeys(("layer_norm_backward", "rms_norm_backward"), ("A_prev", "gamma", "hparameters")),
    **{name: ("X", "T") for name in LOSSES if OPERATIONS[name].forward},
    "cross_entropy_backward": ("AL", "Y_index"),
    "softmax_cross_entropy_backward": ("AL", "Y_index"),
}

#: Arguments that are arrays of numbers (caches with fields aside), by function.
ARRAYS = {
    name: [
        key
        for key, value in keywords.items()
        if isinstance(value, np.ndarray) and key != "Y" and not (name == "col2arr" and key == "cache")
    ]
    for name, keywords in arguments().items()
}


def outputs(result: Any) -> list[np.ndarray]:
    """The arrays of a result without its cache, and numbers as arrays."""
    if isinstance(result, tuple) and len(result) == 2:
        result = result[:1]
    return [np.asarray(value) for value in (result if isinstance(result, tuple) else (result,))]


def refused(name: str, error: type[Exception], *words: object, module: Any = cnnref, **spoiled: Any) -> None:
    """Call `name` with good arguments but for `spoiled`; the message must hold all `words`."""
    keywords = arguments()[name] | spoiled
    with pytest.raises(error) as caught:
        getattr(module, name)(**keywords)
    message = str(caught.value)
    assert message.startswith(f"{name}: "), message
    for word in words:
        assert str(word) in message, (message, word)
