"""Activations: values by hand, accuracy at both ends, PyTorch's choices at 0 and NaN, any shape."""

import mpmath
import numpy as np
import pytest

import cnnref

mpmath.mp.prec = 160


def exact_sigmoid(z):
    return 1 / (1 + mpmath.exp(-mpmath.mpf(float(z))))


def exact_gradient(z):
    t = mpmath.exp(-abs(mpmath.mpf(float(z))))
    return t / (1 + t) ** 2


def ulps(got, exact, dtype):
    info = np.finfo(dtype)
    worst = 0.0
    for value, truth in zip(got, exact, strict=True):
        exponent = int(mpmath.floor(mpmath.log(truth, 2)))
        unit = mpmath.mpf(2) ** (max(exponent, int(info.minexp)) - int(info.nmant))
        worst = max(worst, float(abs(mpmath.mpf(float(value)) - truth) / unit))
    return worst


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_is_accurate_everywhere(dtype):
    low = -103 if dtype == np.float32 else -745
    rng = np.random.default_rng(0)
    z = np.concatenate(
        [rng.normal(size=1000), rng.uniform(-40, 40, 1000), rng.uniform(low, -60, 1000)]
    ).astype(dtype)
    A, cache = cnnref.sigmoid(z)
    assert cache is z
    assert A.dtype == dtype
    assert ulps(A, [exact_sigmoid(v) for v in z], dtype) < 3
    dZ = cnnref.sigmoid_backward(np.ones_like(z), z)
    assert ulps(dZ, [exact_gradient(v) for v in z], dtype) < 4
    np.testing.assert_array_equal(dZ, cnnref.sigmoid_backward(np.ones_like(z), -z))


def test_sigmoid_by_hand():
    z = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 800.0, -800.0])
    np.testing.assert_array_equal(cnnref.sigmoid(z)[0], [0.5, 0.5, 1, 0, np.nan, 1, 0])
    np.testing.assert_array_equal(cnnref.sigmoid_backward(np.full(7, 8.0), z), [2, 2, 0, 0, np.nan, 0, 0])
    tiny = cnnref.sigmoid(np.float32([-90]))[0]
    assert 8.19e-40 < tiny[0] < 8.2e-40
    assert cnnref.sigmoid_backward(np.float64([1]), np.float64([37]))[0] == pytest.approx(8.533e-17, rel=1e-3)


def test_relu_by_hand():
    z = np.array([-2.0, -0.0, 0.0, 3.0, np.nan, np.inf, -np.inf, 5e-324, -5e-324])
    A, cache = cnnref.relu(z)
    np.testing.assert_array_equal(A, [0, 0, 0, 3, np.nan, np.inf, 0, 5e-324, 0])
    np.testing.assert_array_equal(np.signbit(A)[[0, 1, 2]], [False, True, False])
    assert cache is z
    dA = np.arange(1.0, 10.0)
    np.testing.assert_array_equal(cnnref.relu_backward(dA, z), [0, 0, 0, 4, 5, 6, 0, 8, 0])
    dA[:] = np.nan
    np.testing.assert_array_equal(
        np.isnan(cnnref.relu_backward(dA, z)), cnnref.relu_backward(np.ones(9), z) == 1
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_relu_is_that_of_torch(dtype):
    torch = pytest.importorskip("torch")
    values = np.array([-2.0, -0.0, 0.0, 3.0, np.nan, np.inf, -np.inf, 1e-45, -1e-45] * 5, dtype)
    z = torch.tensor(values, requires_grad=True)
    a = torch.relu(z)
    a.backward(torch.arange(1.0, 46.0, dtype=z.dtype))
    A, _ = cnnref.relu(values)
    np.testing.assert_array_equal(A, a.detach().numpy())
    np.testing.assert_array_equal(np.signbit(A), np.signbit(a.detach().numpy()))
    np.testing.assert_array_equal(
        cnnref.relu_backward(np.arange(1.0, 46.0, dtype=dtype), values), z.grad.numpy()
    )


@pytest.mark.parametrize("name", ["sigmoid", "relu"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 3, 4, 5), (1, 1, 1, 1, 67), (2, 0, 3)])
def test_any_shape(name, shape):
    z = np.asarray(np.random.default_rng(1).normal(size=shape))
    A, cache = getattr(cnnref, name)(z)
    assert A.shape == shape
    assert getattr(cnnref, f"{name}_backward")(A, cache).shape == shape


@pytest.mark.parametrize("n", [1, 7, 16, 33, 100_003])
def test_every_element_alone(n):
    z = np.random.default_rng(n).normal(size=n) * 20
    dA = np.random.default_rng(n + 1).normal(size=n)
    for name in ("sigmoid", "relu"):
        A, _ = getattr(cnnref, name)(z)
        dZ = getattr(cnnref, f"{name}_backward")(dA, z)
        for i in {0, n // 2, n - 1}:
            assert getattr(cnnref, name)(z[i : i + 1])[0][0] == A[i]
            assert getattr(cnnref, f"{name}_backward")(dA[i : i + 1], z[i : i + 1])[0] == dZ[i]
