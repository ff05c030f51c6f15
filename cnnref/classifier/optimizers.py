"""SGD with momentum, and Adam: they change a model's parameters in place.

The sequence of operations is that of ``torch.optim``, so that a run can be followed step by step in both.
Everything an optimiser remembers is in its `state`, a dictionary of arrays, so that a checkpoint can keep it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]


class SGD:
    """Stochastic gradient descent with momentum: ``v = momentum v + g``, ``W = W - learning_rate v``.

    Parameters
    ----------
    learning_rate : float, optional
        At least 0.
    momentum : float, optional
        In [0, 1).

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Sutskever et al., "On the importance of initialization and momentum in deep learning" (2013); the form is
    that of ``torch.optim.SGD``.
    """

    def __init__(self, learning_rate: float = 0.05, momentum: float = 0.9) -> None:
        self.learning_rate = _rate("SGD", learning_rate)
        self.momentum = _share("SGD", "momentum", momentum)
        self.state: dict[str, np.ndarray] = {}

    def step(self, parameters: Arrays, gradients: Arrays) -> None:
        """Take one step: change each of `parameters` by its gradient."""
        for name, W in parameters.items():
            v = self.state.setdefault(name, np.zeros_like(W))
            v *= self.momentum
            v += gradients[name]
            W -= self.learning_rate * v


class Adam:
    """Adam: steps scaled by running means of the gradient and of its square.

    Parameters
    ----------
    learning_rate : float, optional
        At least 0.
    beta1, beta2 : float, optional
        Decay of the two means, in [0, 1).
    epsilon : float, optional
        Added to the denominator, above 0.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015), algorithm 1.
    """

    def __init__(
        self, learning_rate: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
    ) -> None:
        self.learning_rate = _rate("Adam", learning_rate)
        self.beta1 = _share("Adam", "beta1", beta1)
        self.beta2 = _share("Adam", "beta2", beta2)
        if not 0 < epsilon < math.inf:
            raise ValueError(f"Adam: epsilon must be above 0, got {epsilon}")
        self.epsilon = epsilon
        self.state: dict[str, np.ndarray] = {"steps": np.zeros((), np.int64)}

    def step(self, parameters: Arrays, gradients: Arrays) -> None:
        """Take one step: change each of `parameters` by its gradient."""
        self.state["steps"] = self.state["steps"] + 1
        t = int(self.state["steps"])
        rate = self.learning_rate / (1 - self.beta1**t)
        scale = math.sqrt(1 - self.beta2**t)
        for name, W in parameters.items():
            g = gradients[name]
            mean = self.state.setdefault(f"{name}.mean", np.zeros_like(W))
            square = self.state.setdefault(f"{name}.square", np.zeros_like(W))
            mean += (1 - self.beta1) * (g - mean)
            square *= self.beta2
            square += (1 - self.beta2) * (g * g)
            denominator = np.sqrt(square)
            denominator /= scale
            denominator += self.epsilon
            np.divide(mean, denominator, out=denominator)
            denominator *= rate
            W -= denominator


#: The optimisers by the name that the command line and a checkpoint use.
OPTIMIZERS: dict[str, type[SGD] | type[Adam]] = {"adam": Adam, "sgd": SGD}


def _rate(who: str, value: float) -> float:
    if not 0 <= value < math.inf:
        raise ValueError(f"{who}: learning_rate must be at least 0 and finite, got {value}")
    return value


def _share(who: str, name: str, value: float) -> float:
    if not 0 <= value < 1:
        raise ValueError(f"{who}: {name} must be at least 0 and below 1, got {value}")
    return value
