"""A small training run in a process of its own, for the tests of ``python -m cnnref``."""

import subprocess
import sys

EPOCHS = 8

#: Small and quick; every option another one than the default.
OPTIONS = ["--seed", "3", "--filters", "4", "6", "--hidden", "20", "--batch", "16", "--threads", "1"]


def start(folder, *options, epochs=EPOCHS):
    """Start a run into `folder`."""
    command = [sys.executable, "-m", "cnnref", "train", "--out", str(folder), "--epochs", str(epochs)]
    return subprocess.Popen(
        [*command, *OPTIONS, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(folder, *options, epochs=EPOCHS):
    """Run to the end and return what was printed."""
    process = start(folder, *options, epochs=epochs)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    return out
