"""Leaves a process behind, in a session of its own, that goes on when the one it came from is ended."""

import os
import time
from pathlib import Path

import numpy as np

if not os.fork():
    os.setsid()
    if os.fork():
        os._exit(0)
    os.closerange(3, 64)
    while True:
        Path(os.environ["CHEAT_ALIVE"]).write_text(f"{os.getpid()} {time.monotonic()}")
        time.sleep(0.05)


def relu(Z):
    return np.abs(Z), Z
