"""Wrong layer and RMS normalization."""

from __future__ import annotations

import numpy as np

from conformance.adapters import numpy_loops as right
from tests.planted.fault import fault


def with_moments(A_prev, gamma, beta, hparameters, mean, variance):
    _, cache = right.layer_norm_forward(A_prev, gamma, beta, hparameters)
    deviation = np.sqrt(variance + A_prev.dtype.type(hparameters["epsilon"]))
    return gamma * ((A_prev - mean) / deviation) + beta, cache


@fault("layer_norm_forward", "A", "norm-unbiased-variance")
def divided_by_one_less(A_prev, gamma, beta, hparameters):
    c = A_prev.shape[3]
    variance = A_prev.var(3, keepdims=True) * A_prev.dtype.type(c / max(c - 1, 1)) if c else 0
    mean = A_prev.mean(3, keepdims=True) if c else 0
    return with_moments(A_prev, gamma, beta, hparameters, mean, variance)


@fault("layer_norm_forward", "A", "norm-over-pixels")
def normalized_over_pixels(A_prev, gamma, beta, hparameters):
    mean, variance = A_prev.mean((1, 2), keepdims=True), A_prev.var((1, 2), keepdims=True)
    return with_moments(A_prev, gamma, beta, hparameters, mean, variance)


@fault("layer_norm_forward", "A", "norm-one-pass-variance")
def mean_of_squares_less_square_of_the_mean(A_prev, gamma, beta, hparameters):
    if not A_prev.size:
        return right.layer_norm_forward(A_prev, gamma, beta, hparameters)
    mean = A_prev.mean(3, keepdims=True)
    variance = np.maximum((A_prev * A_prev).mean(3, keepdims=True) - mean * mean, 0)
    return with_moments(A_prev, gamma, beta, hparameters, mean, variance)


@fault("layer_norm_backward", "dA_prev", "norm-gradient-without-mean")
def mean_taken_for_a_constant(dA, cache):
    dA_prev, dgamma, dbeta = right.layer_norm_backward(dA, cache)
    if dA.size:
        variance = cache.A_prev.var(3, keepdims=True) + dA.dtype.type(cache.hparameters["epsilon"])
        dA_prev = dA_prev + (cache.gamma * dA).mean(3, keepdims=True) / np.sqrt(variance)
    return dA_prev, dgamma, dbeta


@fault("layer_norm_backward", "dgamma", "norm-gamma-gradient-without-deviation")
def gradient_of_beta_for_gamma(dA, cache):
    dA_prev, _, dbeta = right.layer_norm_backward(dA, cache)
    return dA_prev, dbeta.copy(), dbeta


@fault("layer_norm_backward", "dgamma dbeta", "norm-gradient-of-some-pixels")
def last_pixel_left_out(dA, cache):
    most = np.array(dA)
    most.reshape(-1, max(dA.shape[3], 1))[-1:] = 0
    return right.layer_norm_backward(dA, cache)[0], *right.layer_norm_backward(most, cache)[1:]


@fault("rms_norm_forward", "A", "rms-mean-subtracted")
def rms_of_what_is_apart_from_the_mean(A_prev, gamma, hparameters):
    _, cache = right.rms_norm_forward(A_prev, gamma, hparameters)
    return right.layer_norm_forward(A_prev, gamma, 0 * gamma, hparameters)[0], cache


@fault("rms_norm_forward", "A", "rms-sum-of-squares")
def divided_by_the_length(A_prev, gamma, hparameters):
    _, cache = right.rms_norm_forward(A_prev, gamma, hparameters)
    squares = (A_prev * A_prev).sum(3, keepdims=True) + A_prev.dtype.type(hparameters["epsilon"])
    return gamma * (A_prev / np.sqrt(squares)), cache


@fault("rms_norm_forward", "A", "rms-scale-added-to-one")
def scale_beside_one(A_prev, gamma, hparameters):
    _, cache = right.rms_norm_forward(A_prev, gamma, hparameters)
    return right.rms_norm_forward(A_prev, 1 + gamma, hparameters)[0], cache


@fault("rms_norm_backward", "dA_prev", "norm-gradient-without-variance")
def root_taken_for_a_constant(dA, cache):
    dA_prev, dgamma = right.rms_norm_backward(dA, cache)
    if dA.size:
        squares = (cache.A_prev * cache.A_prev).mean(3, keepdims=True)
        dA_prev = cache.gamma * dA / np.sqrt(squares + dA.dtype.type(cache.hparameters["epsilon"]))
    return dA_prev, dgamma


@fault("rms_norm_backward", "dgamma", "norm-gamma-gradient-without-deviation")
def gradient_of_gamma_from_the_input(dA, cache):
    return right.rms_norm_backward(dA, cache)[0], (dA * cache.A_prev).sum((0, 1, 2), keepdims=True)
