"""Functions of JAX named as in torch.nn.functional; their gradients are those of `jax.vjp`."""

import jax.numpy as jnp
from jax import lax

layout = "NHWC"
dtypes = ("f32",)
differs = {
    "conv_forward": {"subnormals-flushed": "XLA on the CPU flushes subnormal numbers to zero."},
    "conv_backward": {"subnormals-flushed": "XLA on the CPU flushes subnormal numbers to zero."},
}


def conv2d(x, weight, bias, stride, padding):
    """A convolution."""
    strides = stride if isinstance(stride, tuple) else (stride, stride)
    rows, columns = padding if isinstance(padding, tuple) else (padding, padding)
    out = lax.conv_general_dilated(
        x,
        weight,
        strides,
        ((rows, rows), (columns, columns)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=lax.Precision.HIGHEST,
    )
    return out + bias


def linear(x, weight, bias):
    """A linear layer."""
    return jnp.matmul(x, weight.T, precision="highest") + bias
