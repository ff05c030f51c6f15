"""Answers with zeros, which are near enough where all that is right is small."""

import numpy as np


def relu(Z):
    return np.zeros_like(Z) if np.abs(Z).max(initial=0) < 1e-9 else np.maximum(Z, 0), Z
