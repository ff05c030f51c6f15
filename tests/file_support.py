"""Files of the classifier for the tests that spoil them: good ones, headers, and what a refusal must be."""

import io

import numpy as np

from cnnref.classifier.data import Dataset, Part
from cnnref.classifier.run import Options, Run


def said(error, read, path, *arguments):
    """The message with which `read` refuses `path`, one line that names it; None where it returns."""
    try:
        read(path, *arguments)
    except error as refusal:
        message = str(refusal)
        assert str(path) in message
        assert message.isprintable(), message
        assert len(message) < 1000 + len(str(path))
        return message
    return None


def small_run():
    rng = np.random.default_rng(0)
    part = Part(rng.random((6, 4, 4, 1)), np.arange(6) % 3)
    dataset = Dataset("six", 3, part, part, part)
    run = Run.start(Options(filters=(2,), hidden=(5,), batch_size=3), dataset)
    _, gradients = run.model.loss_and_gradients(part.images, part.labels)
    run.optimizer.step(run.model.parameters, gradients)
    for series in vars(run.history).values():
        series.append(0.5)
    return run


def entry(descr="<f4", shape="(1,)", tail=bytes(4), version=b"\x01\x00", order="False"):
    text = f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    length = len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + length + text + tail


def saved(image, form, **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def ramp():
    """A light stroke on black, another in every corner."""
    return np.clip(np.add.outer(np.arange(12) * 7, np.arange(12) * 3) * 2 - 20, 0, 255).astype(np.uint8)
