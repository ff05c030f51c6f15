"""Zeros around an image are terms of a sum or are not: the same choice under every instruction set."""

import os
import subprocess
import sys
from pathlib import Path

from cnnref._dispatch import available


def digests(isa):
    script = Path(__file__).with_name("conv_zeros.py")
    run = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "CNNREF_ISA": isa},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.splitlines()


def test_products_that_underflow_have_the_same_sign_under_every_instruction_set():
    found = {isa: digests(isa) for isa in available()}
    first, *others = found.values()
    assert len(first) == 300
    for lines in others:
        assert lines == first
