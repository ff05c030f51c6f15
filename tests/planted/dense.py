"""Wrong affine layers, softmax and losses."""

from __future__ import annotations

import numpy as np

from conformance.adapters import numpy_loops as right
from tests.planted.fault import fault


@fault("affine_forward", "Z", "bias-forgotten")
def product_only(A_prev, W, b):
    return np.einsum("mi,io->mo", A_prev, W), right.AffineCache(A_prev, W, b)


@fault("affine_forward", "Z", "weights-read-transposed")
def weights_of_torch(A_prev, W, b):
    rows = W.reshape(W.shape[1], W.shape[0])
    return np.einsum("mi,oi->mo", A_prev, rows) + b, right.AffineCache(A_prev, W, b)


@fault("affine_backward", "dW db", "gradient-divided-by-m")
def mean_gradients(dZ, cache):
    A_prev, W, _ = cache
    m = A_prev.shape[0]
    return dZ @ W.T, np.dot(A_prev.T, dZ) / dZ.dtype.type(m), dZ.mean(axis=0, keepdims=True, dtype=dZ.dtype)


@fault("affine_backward", "dW", "weight-gradient-transposed")
def outputs_by_inputs(dZ, cache):
    A_prev, W, _ = cache
    return dZ @ W.T, dZ.T @ A_prev, dZ.sum(0, keepdims=True)


@fault("affine_backward", "db", "bias-gradient-not-summed-over-batch")
def bias_gradient_is_dz(dZ, cache):
    A_prev, W, _ = cache
    return dZ @ W.T, A_prev.T @ dZ, dZ.copy()


@fault("affine_backward", "dW db", "gradient-of-first-sample")
def first_row_only(dZ, cache):
    A_prev, W, _ = cache
    return dZ @ W.T, A_prev[:1].T @ dZ[:1], dZ[:1].sum(0, keepdims=True)


@fault("affine_backward", "dA_prev", "last-filter-not-visited")
def outputs_one_short(dZ, cache):
    A_prev, W, _ = cache
    dA = np.zeros_like(A_prev)
    for o in range(W.shape[1] - 1):
        dA += np.outer(dZ[:, o], W[:, o])
    return dA, A_prev.T @ dZ, dZ.sum(0, keepdims=True)


@fault("affine_activation_forward", "A", "activation-forgotten")
def linear_only(A_prev, W, b, activation="relu"):
    Z = A_prev @ W + b
    _, cache = right.affine_activation_forward(A_prev, W, b, activation)
    return Z, cache


@fault("affine_activation_backward", "dA_prev dW db", "activation-forgotten")
def derivative_left_out(dA, cache, activation):
    return right.affine_backward(dA, cache[0])


@fault("affine_activation_backward", "dA_prev dW db", "relu-gradient-at-zero")
def relu_passes_at_zero(dA, cache, activation):
    if activation == "relu":
        return right.affine_backward((cache[1] >= 0) * dA, cache[0])
    return right.affine_activation_backward(dA, cache, activation)


@fault("affine_activation_backward", "dA_prev dW db", "sigmoid-applied-twice")
def cache_taken_for_the_argument(dA, cache, activation):
    if activation != "sigmoid":
        return right.affine_activation_backward(dA, cache, activation)
    s = right.sigmoid(right.sigmoid(cache[1])[0])[0]
    return right.affine_backward(dA * s * (1 - s), cache[0])


@fault("softmax", "probs", "softmax-no-shift")
def exponentials_as_they_are(X):
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        e = np.exp(X)
        return e / e.sum(axis=1, keepdims=True), X


@fault("softmax", "probs", "softmax-over-batch")
def first_axis(X):
    with np.errstate(all="ignore"):
        e = np.exp(X - np.max(X, axis=0, initial=-np.inf))
        return e / e.sum(axis=0), X


@fault("softmax", "probs", "softmax-shift-by-global-maximum")
def one_shift_for_all(X):
    with np.errstate(all="ignore"):
        e = np.exp(X - np.max(X, initial=-np.inf))
        return e / e.sum(axis=1, keepdims=True), X


@fault("softmax", "probs", "softmax-not-normalised")
def never_divided(X):
    return np.exp(X - X.max(axis=1, keepdims=True, initial=-np.inf)), X


@fault("softmax_backward", "dX", "softmax-gradient-diagonal")
def as_for_sigmoid(dprobs, cache):
    p = right.softmax(cache)[0]
    return dprobs * p * (1 - p)


@fault("softmax_backward", "dX", "softmax-gradient-without-sum")
def product_without_the_mean(dprobs, cache):
    return dprobs * right.softmax(cache)[0]


@fault("softmax_backward", "dX", "upstream-passed-through")
def identity(dprobs, cache):
    return np.array(dprobs)


def _cost(slip):
    """Register ``f(AL, labels) -> loss`` as a wrong cross_entropy_cost with the right cache."""

    def register(compute):
        def cross_entropy_cost(AL, Y, batch_size=None):
            cache = right.cross_entropy_cost(AL, Y)[1]
            with np.errstate(all="ignore"):
                return float(compute(AL, np.asarray(Y).reshape(-1))), cache

        cross_entropy_cost.__name__ = compute.__name__
        fault("cross_entropy_cost", "loss", slip)(cross_entropy_cost)
        return compute

    return register


def _logs(AL, labels):
    return np.array([np.log(row[label]) for row, label in zip(AL, labels, strict=True)], AL.dtype)


@_cost("labels-by-rank")
def factor_codes(AL, labels):
    present = sorted(set(labels.tolist()))
    return -_logs(AL, [present.index(label) for label in labels]).mean()


@_cost("labels-off-by-one")
def counted_from_one(AL, labels):
    return -_logs(AL, labels - 1).mean()


@_cost("loss-not-divided-by-m")
def total(AL, labels):
    return -_logs(AL, labels).sum()


@_cost("log-clipped")
def clipped(AL, labels):
    return -_logs(np.maximum(AL, AL.dtype.type(1e-7)), labels).mean()


@_cost("log-of-shifted-probability")
def epsilon_added(AL, labels):
    return -_logs(AL + AL.dtype.type(1e-6), labels).mean()


@_cost("loss-other-logarithm")
def bits(AL, labels):
    return -np.log2(AL[np.arange(len(AL)), labels]).mean()


@_cost("loss-mean-over-classes-too")
def mean_of_the_matrix(AL, labels):
    hot = np.eye(AL.shape[1], dtype=AL.dtype)[labels]
    return -np.where(hot > 0, np.log(AL), 0).mean()


@fault("cross_entropy_backward", "dAL", "loss-not-divided-by-m")
def gradient_of_the_total(cache):
    dAL = np.zeros_like(cache.AL)
    for row, label in cache.Y_index:
        dAL[row, label] = -1 / cache.AL[row, label]
    return dAL


@fault("cross_entropy_backward", "dAL", "sign-flipped")
def ascent(cache):
    return -right.cross_entropy_backward(cache)


def _of_labels(X, Y, logarithms):
    return -logarithms[np.arange(len(X)), np.asarray(Y).reshape(-1)]


@fault("softmax_cross_entropy", "loss", "loss-not-divided-by-m")
def total_of_logits(X, Y):
    loss, cache = right.softmax_cross_entropy(X, Y)
    return loss * len(X), cache


@fault("softmax_cross_entropy", "loss", "loss-other-logarithm")
def bits_of_logits(X, Y):
    _, cache = right.softmax_cross_entropy(X, Y)
    return float(np.mean(_of_labels(X, Y, right.log_softmax(X)[0]) / np.log(X.dtype.type(2)))), cache


@fault("softmax_cross_entropy", "loss", "loss-of-rounded-probability")
def logarithm_of_a_probability(X, Y):
    _, cache = right.softmax_cross_entropy(X, Y)
    with np.errstate(all="ignore"):
        return float(np.mean(_of_labels(X, Y, np.log(right.softmax(X)[0])))), cache


@fault("softmax_cross_entropy_backward", "dX", "loss-not-divided-by-m")
def logits_gradient_of_the_total(cache):
    return cache.AL - np.eye(cache.AL.shape[1], dtype=cache.AL.dtype)[cache.Y_index[:, 1]]


@fault("softmax_cross_entropy_backward", "dX", "labels-not-subtracted")
def probabilities_only(cache):
    return cache.AL / cache.AL.dtype.type(max(len(cache.AL), 1))


@fault("log_softmax", "logp", "log-softmax-of-rounded-probability")
def logarithm_of_the_softmax(X):
    e = np.exp(X - X.max(axis=1, keepdims=True, initial=-np.inf))
    with np.errstate(all="ignore"):
        return np.log(e / e.sum(axis=1, keepdims=True)), X
