"""`cnnref.torch`: gradients by PyTorch's gradcheck, and the layers inside a PyTorch model."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import cnnref  # noqa: E402
import cnnref.torch as layers  # noqa: E402
from cnnref.classifier.model import ConvBlock, Model  # noqa: E402


def tensor(*shape, seed=0, **options):
    values = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return torch.tensor(values, requires_grad=True, **options)


CASES = {
    "conv": (
        lambda *a: layers.conv(*a, {"stride": 2, "pad": 1}),
        [(2, 7, 6, 3), (3, 3, 3, 4), (1, 1, 1, 4)],
    ),
    "pool max": (lambda a: layers.pool(a, {"f": 3, "stride": 2}), [(2, 7, 6, 3)]),
    "pool average": (lambda a: layers.pool(a, {"f": 3, "stride": 2}, "average"), [(2, 7, 6, 3)]),
    "affine": (layers.affine, [(3, 5), (5, 4), (1, 4)]),
    "affine_activation relu": (layers.affine_activation, [(3, 5), (5, 4), (1, 4)]),
    "affine_activation sigmoid": (
        lambda *a: layers.affine_activation(*a, "sigmoid"),
        [(3, 5), (5, 4), (1, 4)],
    ),
    "affine_activation NULL": (lambda *a: layers.affine_activation(*a, None), [(3, 5), (5, 4), (1, 4)]),
    "relu": (layers.relu, [(3, 4, 5)]),
    "sigmoid": (layers.sigmoid, [(3, 4, 5)]),
    "softmax": (layers.softmax, [(3, 5)]),
    "arr2col": (layers.arr2col, [(2, 3, 4, 5)]),
    "pad3d": (lambda a: layers.pad3d(a, 2), [(2, 3, 4, 5)]),
    "softmax_cross_entropy": (lambda a: 3 * layers.softmax_cross_entropy(a, [1, 4, 0]), [(3, 5)]),
}


@pytest.mark.parametrize("name", CASES)
def test_gradcheck(name):
    function, shapes = CASES[name]
    assert torch.autograd.gradcheck(function, [tensor(*shape) for shape in shapes])


def test_every_layer_is_checked():
    assert {name.partition(" ")[0] for name in CASES} == set(layers.__all__)


def whole(model, X, *parameters, Y):
    """The model of `cnnref.classifier.model`, written with the PyTorch functions."""
    W = dict(zip(model.parameters, parameters, strict=True))
    for n, block in enumerate(model.blocks, 1):
        X = layers.conv(X, W[f"conv{n}.W"], W[f"conv{n}.b"], {"stride": block.stride, "pad": block.pad})
        X = layers.pool(layers.relu(X), {"f": block.pool_f, "stride": block.pool_stride}, block.mode)
    X = layers.arr2col(X)
    X = layers.affine_activation(X, W["affine1.W"], W["affine1.b"], "relu")
    return layers.softmax_cross_entropy(layers.affine(X, W["affine2.W"], W["affine2.b"]), Y)


@pytest.fixture
def model():
    return Model((7, 6, 2), 4, (ConvBlock(3), ConvBlock(2, 2, 1, 1)), (5,), dtype="float64", seed=8)


def test_gradcheck_of_the_whole_model(model):
    X, Y = tensor(3, 7, 6, 2), np.array([3, 0, 2])
    parameters = [torch.tensor(W, requires_grad=True) for W in model.parameters.values()]
    assert torch.autograd.gradcheck(lambda *a: whole(model, *a, Y=Y), [X, *parameters])


def test_the_whole_model_has_the_gradient_of_its_own_backward(model):
    X, Y = tensor(3, 7, 6, 2), np.array([3, 0, 2])
    parameters = [torch.tensor(W, requires_grad=True) for W in model.parameters.values()]
    loss = whole(model, X, *parameters, Y=Y)
    loss.backward()
    expected, gradients = model.loss_and_gradients(X.detach(), Y)
    assert loss.item() == expected
    for name, parameter in zip(model.parameters, parameters, strict=True):
        assert parameter.grad.numpy().tobytes() == gradients[name].tobytes(), name


def test_a_kernel_inside_a_pytorch_model_learns():
    torch.manual_seed(0)
    W = torch.nn.Parameter(torch.randn(3, 3, 1, 4) * 0.5)
    b = torch.nn.Parameter(torch.zeros(1, 1, 1, 4))
    head = torch.nn.Linear(4, 2)
    X = torch.randn(16, 1, 6, 5)
    Y = (X.mean((1, 2, 3)) > 0).long()
    optimizer = torch.optim.Adam([W, b, *head.parameters()], 0.05)
    losses = []
    for _ in range(60):
        Z = layers.conv(X.permute(0, 2, 3, 1), W, b, {"stride": 1, "pad": 1}).permute(0, 3, 1, 2)
        loss = torch.nn.functional.cross_entropy(head(torch.relu(Z).mean((2, 3))), Y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_float32_and_strides():
    X = tensor(4, 3, dtype=torch.float32).T
    found = layers.relu(X)
    assert found.dtype == torch.float32
    assert torch.equal(found, torch.relu(X))


def test_no_result_shares_memory_with_an_argument():
    """Autograd would not know of a view that it did not make."""
    X = tensor(2, 3, 4, 5)
    for found in (layers.arr2col(X), layers.pad3d(X, 0), layers.relu(X)):
        assert found.untyped_storage().data_ptr() != X.untyped_storage().data_ptr()


def test_mixed_dtypes_give_each_tensor_a_gradient_of_its_own():
    A, W, b = tensor(3, 5, dtype=torch.float32), tensor(5, 4), tensor(1, 4)
    Z = layers.affine(A, W, b)
    assert Z.dtype == torch.float64
    Z.sum().backward()
    assert (A.grad.dtype, W.grad.dtype) == (torch.float32, torch.float64)


def test_a_tensor_overwritten_in_between_is_noticed():
    A, W, b = tensor(3, 5), tensor(5, 4), tensor(1, 4)
    Z = layers.affine(A, W, b)
    with torch.no_grad():
        W += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        Z.sum().backward()


def test_no_second_derivative():
    A = tensor(3, 5)
    with pytest.raises(RuntimeError, match="no second derivatives"):
        torch.autograd.grad(layers.sigmoid(A).sum(), A, create_graph=True)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3.0, "relu: expected tensors, got float"),
        (torch.zeros(2, dtype=torch.float16), "expected float32 or float64 tensors, got torch.float16"),
        (torch.zeros(2, dtype=torch.int64), "expected float32 or float64 tensors, got torch.int64"),
        (torch.zeros(2, device="meta"), "expected tensors on the CPU, got one on meta"),
    ],
)
def test_what_is_no_tensor_for_it(value, message):
    with pytest.raises(TypeError, match=message):
        layers.relu(value)


def test_errors_are_those_of_the_functions():
    with pytest.raises(ValueError, match="conv_forward: W has"):
        layers.conv(tensor(2, 5, 5, 3), tensor(3, 3, 2, 4), tensor(1, 1, 1, 4), {"stride": 1, "pad": 0})


def test_the_package_does_not_import_torch():
    import subprocess
    import sys

    code = "import sys, cnnref, cnnref.classifier.model, cnnref.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert cnnref.torch is layers
