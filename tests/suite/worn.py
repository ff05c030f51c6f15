"""The contract's functions as a module of another dialect would have them: one account of a fault for all."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

#: What a normalization's cache is asked for beside its output.
_RUNNING = ("running_mean", "running_var")


def _in(x):
    """NHWC of NCHW; rows stay."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if x.ndim == 4 else x


def _out(x):
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if x.ndim == 4 else x


class Net:
    """The functions of a namespace on arrays NCHW, OIHW, biases flat; the dialects call these.

    Parameters
    ----------
    functions : namespace
        The contract's functions.
    """

    def __init__(self, functions):
        self._f = functions

    def conv(self, x, w, b, stride, pad, **more):
        options = {"stride": stride, "pad": pad, **more}
        Z, cache = self._f.conv_forward(_in(x), _hwio(w), b.reshape(1, 1, 1, -1), options)
        return _out(Z), cache

    def conv_back(self, dout, cache):
        dA, dW, db = self._f.conv_backward(_in(dout), cache)
        return _out(dA), np.ascontiguousarray(dW.transpose(3, 2, 0, 1)), db.reshape(-1)

    def pool(self, x, f, stride, mode, **more):
        A, cache = self._f.pool_forward(_in(x), {"f": f, "stride": stride, **more}, mode)
        return _out(A), (cache, mode)

    def pool_back(self, dout, kept):
        return (_out(self._f.pool_backward(_in(dout), *kept)),)

    def affine(self, x, w, b):
        return self._f.affine_forward(x, w, b.reshape(1, -1))

    def affine_back(self, dout, cache):
        dA, dW, db = self._f.affine_backward(dout, cache)
        return dA, dW, db.reshape(-1)

    def unit(self, name, x, *words):
        A, cache = getattr(self._f, name)(_in(x), *words)
        return _out(A), (name, cache, words)

    def unit_back(self, dout, kept):
        name, cache, words = kept
        return (_out(getattr(self._f, f"{name}_backward")(_in(dout), cache, *words)),)

    def loss(self, x, labels):
        loss, cache = self._f.softmax_cross_entropy(x, labels)
        return np.asarray(loss, x.dtype), cache

    def loss_back(self, dout, cache):
        return (self._f.softmax_cross_entropy_backward(cache) * dout,)

    def norm(self, x, gamma, beta, mean, var, training, momentum, eps):
        rows = [value.reshape(1, 1, 1, -1) for value in (gamma, beta, mean, var)]
        options = {"epsilon": eps, "momentum": momentum, "training": training}
        A, cache = self._f.batch_norm_forward(_in(x), *rows, options)
        return _out(A), cache, [np.asarray(getattr(cache, name)).reshape(-1) for name in _RUNNING]

    def norm_back(self, dout, cache):
        dA, dgamma, dbeta = self._f.batch_norm_backward(_in(dout), cache)
        return _out(dA), dgamma.reshape(-1), dbeta.reshape(-1)

    def layer_norm(self, x, gamma, beta, eps):
        rows = [value.reshape(1, 1, 1, -1) for value in (gamma, beta)]
        return self._f.layer_norm_forward(x, *rows, {"epsilon": eps})

    def layer_norm_back(self, dout, cache):
        dx, dgamma, dbeta = self._f.layer_norm_backward(dout, cache)
        return dx, dgamma.reshape(-1), dbeta.reshape(-1)

    def rms_norm(self, x, gamma, eps):
        return self._f.rms_norm_forward(x, gamma.reshape(1, 1, 1, -1), {"epsilon": eps})

    def rms_norm_back(self, dout, cache):
        dx, dgamma = self._f.rms_norm_backward(dout, cache)
        return dx, dgamma.reshape(-1)


def _hwio(w):
    return np.ascontiguousarray(w.transpose(2, 3, 1, 0))


def torch_functions(functions):
    """As functions of ``torch.nn.functional``, each one a `torch.autograd.Function`."""
    import torch

    net = Net(functions)

    class Worn(torch.autograd.Function):
        @staticmethod
        def forward(ctx, call, back, count, *tensors):
            output, ctx.kept = call(*(t.detach().numpy().copy() for t in tensors))
            ctx.back, ctx.count = back, count
            return torch.from_numpy(np.ascontiguousarray(output))

        @staticmethod
        def backward(ctx, gradient):
            found = ctx.back(gradient.contiguous().numpy().copy(), ctx.kept)
            return None, None, None, *(torch.from_numpy(np.ascontiguousarray(g)) for g in found)

    def conv2d(input, weight, bias=None, stride=1, padding=0):
        return Worn.apply(lambda *a: net.conv(*a, stride, padding), net.conv_back, 3, input, weight, bias)

    def max_pool2d(input, kernel_size, stride=None):
        return Worn.apply(lambda x: net.pool(x, kernel_size, stride, "max"), net.pool_back, 1, input)

    def avg_pool2d(input, kernel_size, stride=None):
        return Worn.apply(lambda x: net.pool(x, kernel_size, stride, "average"), net.pool_back, 1, input)

    def linear(input, weight, bias=None):
        return Worn.apply(net.affine, net.affine_back, 3, input, weight.t(), bias)

    def leaky_relu(input, negative_slope=0.01):
        return Worn.apply(lambda x: net.unit("leaky_relu", x, negative_slope), net.unit_back, 1, input)

    def batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps):
        def call(x, gamma, beta):
            old = running_mean.numpy().copy(), running_var.numpy().copy()
            out, kept, new = net.norm(x, gamma, beta, *old, training, momentum, eps)
            running_mean.copy_(torch.from_numpy(new[0]))
            running_var.copy_(torch.from_numpy(new[1]))
            return out, kept

        return Worn.apply(call, net.norm_back, 3, input, weight, bias)

    def layer_norm(input, normalized_shape, weight, bias, eps=1e-5):
        assert tuple(normalized_shape) == tuple(weight.shape)
        return Worn.apply(lambda *a: net.layer_norm(*a, eps), net.layer_norm_back, 3, input, weight, bias)

    def rms_norm(input, normalized_shape, weight, eps=1e-5):
        assert tuple(normalized_shape) == tuple(weight.shape)
        return Worn.apply(lambda *a: net.rms_norm(*a, eps), net.rms_norm_back, 2, input, weight)

    def cross_entropy(input, target):
        labels = target.numpy()
        return Worn.apply(lambda x: net.loss(x, labels), net.loss_back, 1, input)

    def unit(name):
        return lambda input: Worn.apply(lambda x: net.unit(name, x), net.unit_back, 1, input)

    names = ("relu", "sigmoid", "tanh", "softmax", "log_softmax")
    named = {name: unit(name) for name in names}
    return SimpleNamespace(
        conv2d=conv2d, max_pool2d=max_pool2d, avg_pool2d=avg_pool2d, linear=linear, leaky_relu=leaky_relu,
        batch_norm=batch_norm, layer_norm=layer_norm, rms_norm=rms_norm, cross_entropy=cross_entropy, **named,
    )  # fmt: skip


def torch_modules(functions):
    """As classes of ``torch.nn``."""
    import torch
    from torch import nn

    f = torch_functions(functions)

    class Layer(nn.Module):
        def __init__(self, *shape, bias):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.ones(shape)), nn.Parameter(torch.zeros(bias))

    class Conv2d(Layer):
        def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0):
            window = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
            super().__init__(out_channels, in_channels, *window, bias=out_channels)
            self.given = stride, padding

        def forward(self, x):
            return f.conv2d(x, self.weight, self.bias, *self.given)

    class Linear(Layer):
        def __init__(self, in_features, out_features, bias=True):
            super().__init__(out_features, in_features, bias=out_features)

        def forward(self, x):
            return f.linear(x, self.weight, self.bias)

    class BatchNorm2d(Layer):
        def __init__(self, num_features, eps=1e-5, momentum=0.1):
            super().__init__(num_features, bias=num_features)
            self.register_buffer("running_mean", torch.zeros(num_features))
            self.register_buffer("running_var", torch.ones(num_features))
            self.eps, self.momentum = eps, momentum

        def forward(self, x):
            kept = self.running_mean, self.running_var
            return f.batch_norm(x, *kept, self.weight, self.bias, self.training, self.momentum, self.eps)

    class LayerNorm(Layer):
        def __init__(self, normalized_shape, eps=1e-5):
            super().__init__(normalized_shape, bias=normalized_shape)
            self.eps = eps

        def forward(self, x):
            return f.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)

    class RMSNorm(nn.Module):
        def __init__(self, normalized_shape, eps=1e-5):
            super().__init__()
            self.weight, self.eps = nn.Parameter(torch.ones(normalized_shape)), eps

        def forward(self, x):
            return f.rms_norm(x, self.weight.shape, self.weight, self.eps)

    class MaxPool2d(nn.Module):
        pooled = staticmethod(f.max_pool2d)

        def __init__(self, kernel_size, stride=None):
            super().__init__()
            self.given = kernel_size, stride

        def forward(self, x):
            return self.pooled(x, *self.given)

    class AvgPool2d(MaxPool2d):
        pooled = staticmethod(f.avg_pool2d)

    class LeakyReLU(nn.Module):
        def __init__(self, negative_slope=0.01):
            super().__init__()
            self.slope = negative_slope

        def forward(self, x):
            return f.leaky_relu(x, self.slope)

    class CrossEntropyLoss(nn.Module):
        def forward(self, x, target):
            return f.cross_entropy(x, target)

    def unit(function):
        class Unit(nn.Module):
            def forward(self, x):
                return function(x)

        return Unit

    names = {"ReLU": f.relu, "Sigmoid": f.sigmoid, "Tanh": f.tanh}
    rows = {"Softmax": f.softmax, "LogSoftmax": f.log_softmax}
    return SimpleNamespace(
        Conv2d=Conv2d, Linear=Linear, BatchNorm2d=BatchNorm2d, MaxPool2d=MaxPool2d, AvgPool2d=AvgPool2d,
        LayerNorm=LayerNorm,
        RMSNorm=RMSNorm,
        LeakyReLU=LeakyReLU, CrossEntropyLoss=CrossEntropyLoss,
        **{name: unit(function) for name, function in (names | rows).items()},
    )  # fmt: skip


def cs231n(functions):
    """As the layers of CS231n's assignments."""
    net = Net(functions)

    def pool_param(param):
        window = param["pool_height"], param["pool_width"]
        return window[0] if window[0] == window[1] else window

    def spatial_batchnorm_forward(x, gamma, beta, bn_param):
        training, old = bn_param["mode"] == "train", (bn_param["running_mean"], bn_param["running_var"])
        n = x.size // max(x.shape[1], 1)
        # CS231n keeps the larger part, and the variance divided by n.
        wide = old[1] * old[1].dtype.type(n / (n - 1)) if training and n > 1 else old[1]
        out, kept, new = net.norm(
            x, gamma, beta, old[0], wide, training, 1 - bn_param["momentum"], bn_param["eps"]
        )
        bn_param["running_mean"] = new[0]
        bn_param["running_var"] = new[1] * new[1].dtype.type((n - 1) / n) if training and n > 1 else new[1]
        return out, kept

    def layernorm_forward(x, gamma, beta, ln_param):
        out, cache = net.layer_norm(x.reshape(len(x), 1, 1, -1), gamma, beta, ln_param["eps"])
        return out.reshape(x.shape), cache

    def layernorm_backward(dout, cache):
        dx, *rest = net.layer_norm_back(dout.reshape(len(dout), 1, 1, -1), cache)
        return dx.reshape(dout.shape), *rest

    def softmax_loss(x, y):
        loss, cache = net.loss(x, y)
        return loss, net.loss_back(loss.dtype.type(1), cache)[0]

    def one(backward):
        return lambda dout, cache: backward(dout, cache)[0]

    units = {}
    for name in ("relu", "sigmoid", "tanh"):
        units[f"{name}_forward"] = lambda x, name=name: net.unit(name, x)
        units[f"{name}_backward"] = one(net.unit_back)
    return SimpleNamespace(
        conv_forward_naive=lambda x, w, b, conv_param: net.conv(x, w, b, **conv_param),
        conv_backward_naive=net.conv_back,
        max_pool_forward_naive=lambda x, p: net.pool(x, pool_param(p), p["stride"], "max"),
        max_pool_backward_naive=one(net.pool_back),
        avg_pool_forward=lambda x, p: net.pool(x, pool_param(p), p["stride"], "average"),
        avg_pool_backward=one(net.pool_back),
        softmax_loss=softmax_loss,
        affine_forward=net.affine,
        affine_backward=net.affine_back,
        spatial_batchnorm_forward=spatial_batchnorm_forward,
        spatial_batchnorm_backward=net.norm_back,
        layernorm_forward=layernorm_forward,
        layernorm_backward=layernorm_backward,
        **units,
    )


def layers(functions):
    """As classes with forward and backward: the parameters of some in attributes, of some in a dictionary."""
    net = Net(functions)

    class Conv2D:
        def __init__(self, n_filters, in_channels, kernel_size, stride=1, pad=0):
            window = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
            self.params = {"W": np.ones((n_filters, in_channels, *window)), "b": np.zeros((n_filters, 1))}
            self.grads, self.given = {}, (stride, pad)

        def forward(self, x):
            out, self.cache = net.conv(x, self.params["W"], self.params["b"], *self.given)
            return out

        def backward(self, dout):
            dx, self.grads["W"], db = net.conv_back(dout, self.cache)
            self.grads["b"] = db.reshape(-1, 1)
            return dx

    class Dense:
        def __init__(self, input_dim, output_dim):
            self.weights, self.bias = np.ones((output_dim, input_dim)), np.zeros(output_dim)
            self.dweights = np.zeros_like(self.weights)

        def forward(self, x):
            out, self.cache = net.affine(x, self.weights.T, self.bias)
            return out

        def backward(self, dout):
            dx, dw, self.dbias = net.affine_back(dout, self.cache)
            self.dweights = dw.T
            return dx

    class BatchNorm:
        def __init__(self, num_features, momentum=0.1, eps=1e-5):
            self.gamma, self.beta = np.ones(num_features), np.zeros(num_features)
            self.running_mean, self.running_var = np.zeros(num_features), np.ones(num_features)
            self.momentum, self.eps = momentum, eps

        def forward(self, x, training=True):
            kept = self.running_mean, self.running_var
            out, self.cache, new = net.norm(
                x, self.gamma, self.beta, *kept, training, self.momentum, self.eps
            )
            self.running_mean, self.running_var = new
            return out

        def backward(self, dout):
            dx, self.dgamma, self.dbeta = net.norm_back(dout, self.cache)
            return dx

    class LayerNorm:
        def __init__(self, dim, eps=1e-5):
            self.gamma, self.beta, self.eps = np.ones(dim), np.zeros(dim), eps

        def forward(self, x):
            out, self.cache = net.layer_norm(x, self.gamma, self.beta, self.eps)
            return out

        def backward(self, dout):
            dx, self.dgamma, self.dbeta = net.layer_norm_back(dout, self.cache)
            return dx

    class RMSNorm:
        def __init__(self, dim, eps=1e-5):
            self.gamma, self.eps = np.ones(dim), eps

        def forward(self, x):
            out, self.cache = net.rms_norm(x, self.gamma, self.eps)
            return out

        def backward(self, dout):
            dx, self.dgamma = net.rms_norm_back(dout, self.cache)
            return dx

    class MaxPool:
        mode = "max"

        def __init__(self, pool_size, stride):
            self.given = pool_size, stride

        def forward(self, x):
            out, self.cache = net.pool(x, *self.given, self.mode)
            return out

        def backward(self, dout):
            return net.pool_back(dout, self.cache)[0]

    class AveragePool(MaxPool):
        mode = "average"

    class SoftmaxCrossEntropy:
        def forward(self, x, y):
            loss, self.cache = net.loss(x, y)
            return float(loss)

        def backward(self):
            return net.loss_back(1, self.cache)[0]

    def unit(name):
        class Unit:
            def forward(self, x):
                out, self.cache = net.unit(name, x)
                return out

            def backward(self, dout):
                return net.unit_back(dout, self.cache)[0]

        return Unit

    units = {"ReLU": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softmax": "softmax"}
    return SimpleNamespace(
        layout="NCHW", Conv2D=Conv2D, Dense=Dense, BatchNorm=BatchNorm, MaxPool=MaxPool,
        LayerNorm=LayerNorm, RMSNorm=RMSNorm,
        AveragePool=AveragePool, SoftmaxCrossEntropy=SoftmaxCrossEntropy,
        **{name: unit(function) for name, function in units.items()},
    )  # fmt: skip


def jax_functions(functions):
    """As functions of JAX arrays, each with its gradient as a `jax.custom_vjp`."""
    import jax
    import jax.numpy as jnp

    net = Net(functions)

    def worn(call, back):
        @jax.custom_vjp
        def function(*arrays):
            return jnp.asarray(call(*(np.array(a) for a in arrays))[0])

        def forward(*arrays):
            output, kept = call(*(np.array(a) for a in arrays))
            caches.append(kept)
            return jnp.asarray(output), len(caches) - 1

        def backward(place, gradient):
            return tuple(jnp.asarray(g) for g in back(np.array(gradient), caches[place]))

        caches = []
        function.defvjp(forward, backward)
        return function

    def unit(name):
        return lambda x: worn(lambda a: net.unit(name, a), net.unit_back)(x)

    names = ("relu", "sigmoid", "tanh", "softmax", "log_softmax")
    return SimpleNamespace(
        conv2d=lambda x, w, b, stride, padding: worn(lambda *a: net.conv(*a, stride, padding), net.conv_back)(
            x, w, b
        ),
        max_pool2d=lambda x, kernel_size, stride: worn(
            lambda a: net.pool(a, kernel_size, stride, "max"), net.pool_back
        )(x),
        avg_pool2d=lambda x, kernel_size, stride: worn(
            lambda a: net.pool(a, kernel_size, stride, "average"), net.pool_back
        )(x),
        cross_entropy=lambda x, y: worn(lambda a: net.loss(a, np.array(y)), net.loss_back)(x),
        layer_norm=lambda x, weight, bias, eps: worn(lambda *a: net.layer_norm(*a, eps), net.layer_norm_back)(
            x, weight, bias
        ),
        rms_norm=lambda x, weight, eps: worn(lambda *a: net.rms_norm(*a, eps), net.rms_norm_back)(x, weight),
        linear=lambda x, w, b: worn(net.affine, net.affine_back)(x, w.T, b),
        **{name: unit(name) for name in names},
    )


#: How the contract's functions are dressed, by dialect.
WORN = {
    "torch": torch_functions,
    "torch-modules": torch_modules,
    "cs231n": cs231n,
    "layers": layers,
    "jax": jax_functions,
}
