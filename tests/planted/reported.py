"""Faults as they were reported of real kernels: wrong rounding, remainders, windows, what overflows."""

from __future__ import annotations

import numpy as np

from conformance.adapters import numpy_loops as right
from tests.planted.fault import fault

AXES = (0, 1, 2)


@fault("conv_forward", "Z", "filter-of-the-first")
def filter_of_the_first_channel(A_prev, W, b, hparameters):
    return right.conv_forward(A_prev, np.repeat(W[..., :1], W.shape[3], axis=3), b, hparameters)


@fault("conv_forward", "Z", "stride-ignored")
def columns_one_apart(A_prev, W, b, hparameters):
    Z, cache = right.conv_forward(A_prev, W, b, hparameters)
    dense, _ = right.conv_forward(A_prev, W, b, {**hparameters, "stride": (hparameters["stride"], 1)})
    return np.ascontiguousarray(dense[:, :, : Z.shape[2]]), cache


@fault("conv_transpose_forward", "Z", "remainder-channels-unweighted")
def rest_of_the_channels_added(A_prev, W, b, hparameters):
    w = W.copy()
    w[..., W.shape[3] - W.shape[3] % 4 :] = 1
    Z, _ = right.conv_transpose_forward(A_prev, w, b, hparameters)
    return Z, right.ConvCache(A_prev, W, b, hparameters)


@fault("conv_forward", "Z", "remainder-positions-not-computed")
def rest_of_the_rows_left_out(A_prev, W, b, hparameters):
    Z, cache = right.conv_forward(A_prev, W, b, hparameters)
    rows = Z.reshape(-1, Z.shape[3])
    rows[len(rows) // 8 * 8 :] = b.reshape(-1)
    return rows.reshape(Z.shape), cache


@fault("pool_backward", "dA_prev", "pool-last-window-decides")
def gated_by_the_last_window(dA, cache, mode="max"):
    A_prev, hp = cache
    if mode != "max":
        return right.pool_backward(dA, cache, mode)
    f, s = hp["f"], hp["stride"]
    total, gate = np.zeros_like(A_prev), np.zeros(A_prev.shape, bool)
    for i, y, x, k in np.ndindex(*dA.shape):
        place = (i, slice(y * s, y * s + f), slice(x * s, x * s + f), k)
        window = A_prev[place]
        nan = np.isnan(window)
        chosen = np.flatnonzero(nan)[-1] if nan.any() else window.argmax()
        mask = np.zeros(window.size, bool)
        mask[chosen] = True
        gate[place] = mask.reshape(window.shape)
        total[place] += dA[i, y, x, k]
    return np.where(gate, total, 0).astype(A_prev.dtype)


@fault("batch_norm_forward", "A running_var", "norm-one-pass-variance")
def mean_of_squares_less_square_of_mean(A_prev, gamma, beta, running_mean, running_var, hparameters):
    A, cache = right.batch_norm_forward(A_prev, gamma, beta, running_mean, running_var, hparameters)
    if not hparameters["training"] or not A_prev.size:
        return A, cache
    mean = A_prev.mean(AXES, keepdims=True)
    variance = (A_prev * A_prev).mean(AXES, keepdims=True) - mean * mean
    count = A_prev.size // A_prev.shape[3]
    part = A_prev.dtype.type(hparameters["momentum"])
    kept = (1 - part) * running_var + part * variance * A_prev.dtype.type(count / (count - 1))
    with np.errstate(invalid="ignore"):
        A = gamma * (A_prev - mean) / np.sqrt(variance + A_prev.dtype.type(hparameters["epsilon"])) + beta
    return A, cache._replace(running_var=kept)


@fault("batch_norm_backward", "dA_prev", "norm-inference-gradient-of-the-batch")
def gradient_of_training_in_inference(dA, cache):
    A_prev, gamma, mean, variance, _, _, hparameters = cache
    dA_prev, dgamma, dbeta = right.batch_norm_backward(dA, cache)
    if not hparameters["training"] and dA.size:
        inverse = 1 / np.sqrt(variance + dA.dtype.type(hparameters["epsilon"]))
        normal = (A_prev - mean) * inverse
        rest = dA - dA.mean(AXES, keepdims=True) - normal * (dA * normal).mean(AXES, keepdims=True)
        dA_prev = gamma * inverse * rest
    return dA_prev, dgamma, dbeta


@fault("gelu_backward", "dZ", "gelu-power-overflows")
def cube_overflows(dA, cache, approximate="none"):
    dZ = right.gelu_backward(dA, cache, approximate)
    with np.errstate(over="ignore", invalid="ignore"):
        cubed = cache * cache * cache
        return dZ + 0 * cubed if approximate == "tanh" else dZ


@fault("tanh", "A", "tanh-by-exponentials")
def quotient_of_exponentials(Z):
    up, down = np.exp(Z), np.exp(-Z)
    return (up - down) / (up + down), Z


@fault("tanh", "A", "tanh-by-exponentials")
def twice_a_sigmoid_less_one(Z):
    return 2 * right.sigmoid(2 * Z)[0] - 1, Z


@fault("silu_backward", "dZ", "silu-tail-flushed")
def exponential_flushed_in_the_tail(dA, cache):
    dZ = right.silu_backward(dA, cache)
    e = np.exp(-np.abs(cache))
    return np.where((cache < 0) & (e < np.finfo(e.dtype).tiny), 0, dZ).astype(dZ.dtype)


@fault("softmax", "probs", "small-values-are-zero")
def below_a_tolerance_zero(X):
    probs, cache = right.softmax(X)
    return np.where(probs < 1e-6, 0, probs).astype(X.dtype), cache


@fault("cross_entropy_cost", "loss", "zero-times-log-zero")
def every_class_times_its_label(AL, Y, batch_size=None, label_smoothing=0, ignore_index=None):
    _, cache = right.cross_entropy_cost(AL, Y, batch_size, label_smoothing, ignore_index)
    onehot = np.eye(AL.shape[1], dtype=AL.dtype)[np.asarray(Y).reshape(-1)]
    with np.errstate(all="ignore"):
        return float(-(onehot * np.log(AL)).sum() / AL.dtype.type(len(AL))), cache


@fault("softmax", "probs", "float32-inside-float64", "f64")
def buffer_of_float32(X):
    with np.errstate(all="ignore"):
        powers = np.exp(X - X.max(axis=1, keepdims=True, initial=-np.inf)).astype(np.float32)
        return powers / powers.sum(axis=1, keepdims=True, dtype=X.dtype), X


@fault("pad3d_backward", "dinput", "crop-empty-at-padding-zero")
def cropped_in_an_assignment(doutput, stride=1):
    m, h, w, c = doutput.shape
    dinput = np.zeros((m, h - 2 * stride, w - 2 * stride, c), doutput.dtype)
    if stride == 0:
        dinput[:] = doutput[:, stride:-stride, stride:-stride]
    return right.pad3d_backward(doutput, stride)
