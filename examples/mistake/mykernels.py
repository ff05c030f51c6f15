"""An affine layer with a mistake in it."""


def affine_forward(A_prev, W, b):
    return A_prev @ W + b, (A_prev, W, b)


def affine_backward(dZ, cache):
    A_prev, W, b = cache
    return dZ @ W.T, A_prev.T @ dZ / len(A_prev), dZ.sum(axis=0, keepdims=True)
