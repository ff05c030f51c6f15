"""Two complete modern blocks against PyTorch autograd, in training: the output and every gradient.

A ResNet bottleneck (He et al. 2015, with its projection shortcut, the stride in the 3x3 as in torchvision)
and an inverted residual (Sandler et al. 2018, MobileNet v2). Both are chains of `cnnref`'s own functions.

Errors are told in rounding units of the largest value of an output; those of a convolution's bias in units
of its filters' gradient: before a batch normalization its gradient is 0, and what stands there is rounding.
"""

import numpy as np
import pytest
import torch
from torch.nn import functional

import cnnref

M, H, W = 3, 8, 9
PARAMETERS = ("W", "b", "gamma", "beta")
TRAINING = {"training": True, "epsilon": 1e-5}
#: Largest error allowed, in rounding units; four seeds gave at most 42 in float64 and 13 in float32.
UNITS = 128
#: How far every argument of a relu stays from its kinks, so that rounding cannot take it over one.
MARGIN = 1e-5


class Layer:
    """A convolution with bias, its batch normalization, and what follows: "relu", "relu6" or nothing."""

    def __init__(self, parameters, name, stride=1, pad=0, groups=1, activation="relu"):
        self.W, self.b, self.gamma, self.beta = (parameters[f"{name}.{key}"] for key in PARAMETERS)
        self.name, self.activation = name, activation
        self.hparameters = {"stride": stride, "pad": pad, "groups": groups}

    def forward(self, A_prev):
        Z, self.conv_cache = cnnref.conv_forward(A_prev, self.W, self.b, self.hparameters)
        Z, self.norm_cache = cnnref.batch_norm_forward(Z, self.gamma, self.beta, None, None, TRAINING)
        if self.activation is None:
            return Z
        A, self.relu_cache = cnnref.relu(Z)
        if self.activation == "relu":
            return A
        # min(A, 6) = 6 - relu(6 - A)
        rest, self.ceiling_cache = cnnref.relu(6 - A)
        return 6 - rest

    def backward(self, dA):
        """The gradient of the input, and those of the parameters by name."""
        if self.activation == "relu6":
            dA = cnnref.relu_backward(dA, self.ceiling_cache)
        if self.activation is not None:
            dA = cnnref.relu_backward(dA, self.relu_cache)
        dZ, dgamma, dbeta = cnnref.batch_norm_backward(dA, self.norm_cache)
        dA_prev, dW, db = cnnref.conv_backward(dZ, self.conv_cache)
        gradients = {"W": dW, "b": db, "gamma": dgamma, "beta": dbeta}
        return dA_prev, {f"{self.name}.{key}": value for key, value in gradients.items()}


def chain_backward(layers, dA):
    gradients = {}
    for layer in reversed(layers):
        dA, of_layer = layer.backward(dA)
        gradients |= of_layer
    return dA, gradients


def bottleneck(parameters, A_prev, dA):
    main = [
        Layer(parameters, "reduce"),
        Layer(parameters, "middle", stride=2, pad=1),
        Layer(parameters, "expand", activation=None),
    ]
    shortcut = Layer(parameters, "shortcut", stride=2, activation=None)
    A = A_prev
    for layer in main:
        A = layer.forward(A)
    A, cache = cnnref.relu(A + shortcut.forward(A_prev))
    dZ = cnnref.relu_backward(dA, cache)
    dA_prev, gradients = chain_backward(main, dZ)
    dA_shortcut, of_shortcut = shortcut.backward(dZ)
    return {"A": A, "A_prev": dA_prev + dA_shortcut, **gradients, **of_shortcut}


def inverted_residual(parameters, A_prev, dA):
    layers = [
        Layer(parameters, "expand", activation="relu6"),
        Layer(parameters, "depthwise", pad=1, groups=18, activation="relu6"),
        Layer(parameters, "project", activation=None),
    ]
    A = A_prev
    for layer in layers:
        A = layer.forward(A)
    dA_prev, gradients = chain_backward(layers, dA)
    return {"A": A_prev + A, "A_prev": dA_prev + dA, **gradients}


class TorchBlock:
    """The same blocks as PyTorch writes them, in NCHW.

    `nearest` is how close an argument came to a kink, `fewest` the smallest share of them on one side of one.
    """

    def __init__(self, parameters):
        self.nearest, self.fewest = np.inf, 1.0
        self.tensors = {name: torch.tensor(value, requires_grad=True) for name, value in parameters.items()}

    def layer(self, x, name, stride=1, padding=0, groups=1):
        weight, bias, gamma, beta = (self.tensors[f"{name}.{key}"] for key in PARAMETERS)
        x = functional.conv2d(x, weight.permute(3, 2, 0, 1), bias.ravel(), stride, padding, 1, groups)
        return functional.batch_norm(
            x, None, None, gamma.ravel(), beta.ravel(), True, 0.1, TRAINING["epsilon"]
        )

    def activation(self, x, kinks, function):
        for kink in kinks:
            above = (x > kink).double().mean().item()
            self.nearest = min(self.nearest, (x - kink).abs().min().item())
            self.fewest = min(self.fewest, above, 1 - above)
        return function(x)

    def relu(self, x):
        return self.activation(x, (0,), functional.relu)

    def relu6(self, x):
        return self.activation(x, (0, 6), functional.relu6)

    def bottleneck(self, x):
        y = self.relu(self.layer(x, "reduce"))
        y = self.relu(self.layer(y, "middle", stride=2, padding=1))
        return self.relu(self.layer(y, "expand") + self.layer(x, "shortcut", stride=2))

    def inverted_residual(self, x):
        y = self.relu6(self.layer(x, "expand"))
        y = self.relu6(self.layer(y, "depthwise", padding=1, groups=18))
        return x + self.layer(y, "project")

    def run(self, block, A_prev, dA):
        image = torch.tensor(A_prev, requires_grad=True)
        A = getattr(self, block)(image.permute(0, 3, 1, 2).contiguous()).permute(0, 2, 3, 1)
        A.backward(torch.tensor(dA))
        gradients = {name: tensor.grad.numpy() for name, tensor in self.tensors.items()}
        return {"A": A.detach().numpy(), "A_prev": image.grad.numpy(), **gradients}


@pytest.fixture(autouse=True)
def _without_onednn(monkeypatch):
    """Its float32 kernels of torch 2.13 can corrupt memory in 1x1 convolutions of stride 2."""
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)


#: Of each block: its function, the channels of the input, the shape of its output, filters by name.
BLOCKS = {
    "bottleneck": (
        bottleneck, 20, (M, 4, 5, 24),
        {
            "reduce": (1, 1, 20, 6), "middle": (3, 3, 6, 6), "expand": (1, 1, 6, 24),
            "shortcut": (1, 1, 20, 24),
        },
    ),
    "inverted_residual": (
        inverted_residual, 6, (M, H, W, 6),
        {"expand": (1, 1, 6, 18), "depthwise": (3, 3, 1, 18), "project": (1, 1, 18, 6)},
    ),
}  # fmt: skip


def data(block, dtype, seed=0):
    """Parameters, input and upstream gradient; the offsets reach both kinks of relu6."""
    rng = np.random.default_rng(seed)
    _, channels, output, filters = BLOCKS[block]
    parameters = {}
    for name, shape in filters.items():
        terms, n = np.prod(shape[:3]), shape[3]
        parameters[f"{name}.W"] = rng.normal(size=shape) / np.sqrt(terms)
        parameters[f"{name}.b"] = rng.normal(size=(1, 1, 1, n))
        parameters[f"{name}.gamma"] = rng.uniform(0.5, 3, (1, 1, 1, n))
        parameters[f"{name}.beta"] = rng.uniform(-1, 4, (1, 1, 1, n))
    arrays = rng.normal(size=(M, H, W, channels)), rng.normal(size=output)
    return {name: value.astype(dtype) for name, value in parameters.items()}, *(
        a.astype(dtype) for a in arrays
    )


def errors(got, expected, dtype):
    """Of each output, the largest error in rounding units of the largest value (see above)."""
    assert got.keys() == expected.keys()
    found = {}
    for name, value in got.items():
        assert value.shape == expected[name].shape, name
        assert value.dtype == dtype, name
        largest = np.abs(expected[name.replace(".b", ".W") if name.endswith(".b") else name]).max()
        assert largest > 0, name
        found[name] = np.abs(value - expected[name]).max() / (np.finfo(dtype).eps / 2 * largest)
    return found


def check(block, dtype):
    parameters, A_prev, dA = data(block, dtype)
    oracle = TorchBlock({name: value.astype(np.float64) for name, value in parameters.items()})
    expected = oracle.run(block, A_prev.astype(np.float64), dA.astype(np.float64))
    assert oracle.nearest > MARGIN
    assert oracle.fewest > 0.02
    got = BLOCKS[block][0](parameters, A_prev, dA)
    assert len(got) == 2 + 4 * len(BLOCKS[block][3])
    found = errors(got, expected, dtype)
    assert max(found.values()) <= UNITS, found
    # PyTorch in the same precision rounds as much, in other places.
    apart = errors(got, TorchBlock(parameters).run(block, A_prev, dA), dtype)
    assert max(apart.values()) <= 2 * UNITS, apart


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_and_every_gradient_agree_with_autograd(block, dtype):
    check(block, dtype)


def without_the_statistics(dA, cache, right=cnnref.batch_norm_backward):
    return right(dA, cache._replace(hparameters={"training": False}))


def without_a_sample(dZ, cache, right=cnnref.conv_backward):
    fewer = cache._replace(A_prev=cache.A_prev[1:])
    return right(dZ, cache)[0], *right(dZ[1:], fewer)[1:]


FAULTS = {
    "batch_norm_backward": without_the_statistics,
    "conv_backward": without_a_sample,
    "relu_backward": lambda dA, cache: dA,
    "batch_norm_forward": lambda Z, gamma, beta, *rest, right=cnnref.batch_norm_forward: right(
        Z, gamma, beta * 1.0001, *rest
    ),
}


@pytest.mark.parametrize("function", FAULTS)
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_fault_shows(block, function, dtype, monkeypatch):
    monkeypatch.setattr(cnnref, function, FAULTS[function])
    with pytest.raises(AssertionError, match="<="):
        check(block, dtype)
