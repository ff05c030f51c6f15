"""The right answer, PyTorch autograd in float64: the only room that imports torch."""

from conformance.oracle.torch_oracle import evaluate

__all__ = ["evaluate"]
