"""Wrong batch normalization and global average pooling."""

from __future__ import annotations

import numpy as np

from conformance.adapters import numpy_loops as right
from tests.planted.fault import fault

AXES = (0, 1, 2)


def moments(A_prev, hparameters, running_mean, running_var):
    if not hparameters["training"]:
        return running_mean, running_var
    return A_prev.mean(AXES, keepdims=True), A_prev.var(AXES, keepdims=True)


@fault("batch_norm_forward", "A", "norm-epsilon-outside-root")
def epsilon_beside_the_deviation(A_prev, gamma, beta, running_mean, running_var, hparameters):
    mean, variance = moments(A_prev, hparameters, running_mean, running_var)
    _, cache = right.batch_norm_forward(A_prev, gamma, beta, running_mean, running_var, hparameters)
    return gamma * (A_prev - mean) / (np.sqrt(variance) + hparameters["epsilon"]) + beta, cache


@fault("batch_norm_forward", "A", "norm-epsilon-raised")
def epsilon_of_a_library_at_least(A_prev, gamma, beta, running_mean, running_var, hparameters):
    least = {**hparameters, "epsilon": max(hparameters["epsilon"], 1e-3)}
    return right.batch_norm_forward(A_prev, gamma, beta, running_mean, running_var, least)


@fault("batch_norm_forward", "A", "norm-unbiased-variance")
def normalized_with_the_unbiased_variance(A_prev, gamma, beta, running_mean, running_var, hparameters):
    mean, variance = moments(A_prev, hparameters, running_mean, running_var)
    A, cache = right.batch_norm_forward(A_prev, gamma, beta, running_mean, running_var, hparameters)
    if hparameters["training"]:
        count = A_prev.dtype.type(A_prev.size // A_prev.shape[3])
        variance = variance * (count / (count - 1))
        A = gamma * (A_prev - mean) / np.sqrt(variance + hparameters["epsilon"]) + beta
    return A, cache


@fault("batch_norm_forward", "running_var", "norm-running-variance-biased")
def biased_variance_kept(A_prev, gamma, beta, running_mean, running_var, hparameters):
    A, cache = right.batch_norm_forward(A_prev, gamma, beta, running_mean, running_var, hparameters)
    if hparameters["training"]:
        part = hparameters["momentum"]
        cache = cache._replace(running_var=(1 - part) * running_var + part * cache.variance)
    return A, cache


@fault("batch_norm_forward", "A", "norm-statistics-exchanged")
def running_statistics_in_training(A_prev, gamma, beta, running_mean, running_var, hparameters):
    _, cache = right.batch_norm_forward(A_prev, gamma, beta, running_mean, running_var, hparameters)
    other = {**hparameters, "training": not hparameters["training"]}
    return right.batch_norm_forward(A_prev, gamma, beta, running_mean, running_var, other)[0], cache


@fault("batch_norm_forward", "running_mean running_var", "norm-momentum-of-the-old")
def momentum_of_keras(A_prev, gamma, beta, running_mean, running_var, hparameters):
    A, _ = right.batch_norm_forward(A_prev, gamma, beta, running_mean, running_var, hparameters)
    other = {**hparameters, "momentum": 1 - hparameters["momentum"]}
    return A, right.batch_norm_forward(A_prev, gamma, beta, running_mean, running_var, other)[1]


def gradient(dA, cache, mean_part, variance_part):
    A_prev, gamma, mean, variance, _, _, hparameters = cache
    dA_prev, dgamma, dbeta = right.batch_norm_backward(dA, cache)
    if hparameters["training"]:
        count = dA.dtype.type(dA.size // dA.shape[3])
        inverse = 1 / np.sqrt(variance + hparameters["epsilon"])
        rest = dA - mean_part * dbeta / count - variance_part * (A_prev - mean) * inverse * dgamma / count
        dA_prev = gamma * inverse * rest
    return dA_prev, dgamma, dbeta


@fault("batch_norm_backward", "dA_prev", "norm-gradient-without-mean")
def mean_not_subtracted(dA, cache):
    return gradient(dA, cache, dA.dtype.type(0), dA.dtype.type(1))


@fault("batch_norm_backward", "dA_prev", "norm-statistics-taken-for-constants")
def statistics_detached(dA, cache):
    return gradient(dA, cache, dA.dtype.type(0), dA.dtype.type(0))


@fault("batch_norm_backward", "dgamma dbeta", "norm-gradient-means")
def mean_over_the_values(dA, cache):
    dA_prev, dgamma, dbeta = right.batch_norm_backward(dA, cache)
    count = dA.dtype.type(max(dA.size // max(dA.shape[3], 1), 1))
    return dA_prev, dgamma / count, dbeta / count


@fault("global_average_pool_forward", "A", "global-pool-sum")
def nothing_divided(A_prev):
    return A_prev.sum(axis=(1, 2), keepdims=True), A_prev


@fault("global_average_pool_backward", "dA_prev", "global-pool-divisor-of-one-axis")
def divided_by_the_width(dA, cache):
    return np.broadcast_to(dA / dA.dtype.type(cache.shape[2]), cache.shape).copy()


@fault("batch_norm_forward", "running_var", "norm-running-variance-of-samples")
def samples_counted_for_values(A_prev, gamma, beta, running_mean, running_var, hparameters):
    A, cache = right.batch_norm_forward(A_prev, gamma, beta, running_mean, running_var, hparameters)
    m = len(A_prev)
    if hparameters["training"] and m > 1:
        part = A_prev.dtype.type(hparameters["momentum"])
        variance = A_prev.var(AXES, keepdims=True) * A_prev.dtype.type(m / (m - 1))
        cache = cache._replace(running_var=(1 - part) * running_var + part * variance)
    return A, cache


@fault("batch_norm_backward", "dgamma", "norm-gamma-gradient-not-scaled")
def deviation_left_out_of_dgamma(dA, cache):
    dA_prev, _, dbeta = right.batch_norm_backward(dA, cache)
    return dA_prev, (dA * (cache.A_prev - cache.mean)).sum(AXES, keepdims=True), dbeta


@fault("batch_norm_backward", "dgamma dbeta", "norm-gradients-exchanged")
def beta_before_gamma(dA, cache):
    dA_prev, dgamma, dbeta = right.batch_norm_backward(dA, cache)
    return dA_prev, dbeta, dgamma
