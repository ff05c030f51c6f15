"""The whole model: its steps, its gradient, its optimisers, and the same training in PyTorch."""

import math

import numpy as np
import pytest

import cnnref
from cnnref.classifier import data
from cnnref.classifier.model import ConvBlock, Model
from cnnref.classifier.optimizers import SGD, Adam

#: Every extent another one, so that a swap of two cannot hide.
SMALL = {
    "image_shape": (9, 11, 2),
    "classes": 5,
    "blocks": (ConvBlock(3, 3, 1, 1), ConvBlock(4, 2, 2, 1, 2, 1)),
}


def batch(m=6, seed=1, model=None):
    rng = np.random.default_rng(seed)
    shape = model.image_shape if model else SMALL["image_shape"]
    return rng.standard_normal((m, *shape)), rng.integers(0, 5, m)


def directional(model, X, Y, rng, step):
    """The derivative of the loss along a random direction: by differences, and from the gradient."""
    start = {name: W.copy() for name, W in model.parameters.items()}
    direction = {name: rng.standard_normal(W.shape) for name, W in start.items()}
    _, gradients = model.loss_and_gradients(X, Y)
    losses = []
    for factor in (step, -step):
        for name, W in model.parameters.items():
            W[...] = start[name] + factor * direction[name]
        losses.append(model.loss_and_gradients(X, Y)[0])
    for name, W in model.parameters.items():
        W[...] = start[name]
    return (losses[0] - losses[1]) / (2 * step), sum((gradients[n] * direction[n]).sum() for n in start)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("mode", ["max", "average"])
def test_gradient_of_the_whole_model_by_differences(activation, mode):
    blocks = [block._replace(mode=mode) for block in SMALL["blocks"]]
    model = Model(
        **{**SMALL, "blocks": blocks}, hidden=(7, 6), activation=activation, dtype="float64", seed=3
    )
    rng = np.random.default_rng(4)
    X, Y = batch(model=model)
    for _ in range(5):
        numeric, analytic = directional(model, X, Y, rng, 1e-6)
        assert abs(analytic) > 1e-3
        assert numeric == pytest.approx(analytic, rel=1e-6)


def test_gradient_of_every_parameter_by_differences():
    model = Model(**SMALL, hidden=(7,), dtype="float64", seed=3)
    X, Y = batch()
    _, gradients = model.loss_and_gradients(X, Y)
    assert gradients.keys() == model.parameters.keys()
    for name, W in model.parameters.items():
        numeric = np.zeros_like(W)
        for index in np.ndindex(*W.shape):
            kept = W[index]
            W[index] = kept + 1e-6
            above = model.loss_and_gradients(X, Y)[0]
            W[index] = kept - 1e-6
            numeric[index] = (above - model.loss_and_gradients(X, Y)[0]) / 2e-6
            W[index] = kept
        np.testing.assert_allclose(gradients[name], numeric, rtol=1e-5, atol=1e-8, err_msg=name)


def test_steps_by_name_and_shape():
    model = Model((8, 8, 1), 10)
    X = np.zeros((3, 8, 8, 1))
    shapes = {name: output.shape[1:] for name, output, _ in model.steps(X)}
    assert shapes == {
        "conv1": (8, 8, 16),
        "relu1": (8, 8, 16),
        "pool1": (4, 4, 16),
        "conv2": (4, 4, 32),
        "relu2": (4, 4, 32),
        "pool2": (2, 2, 32),
        "stretch": (128,),
        "affine1": (64,),
        "affine2": (10,),
        "softmax": (10,),
    }
    assert [name for name, _ in model.forward(X)[1]] == list(shapes)


def test_caches_are_those_of_the_functions():
    model = Model(**SMALL)
    caches = dict(model.forward(batch()[0])[1])
    assert isinstance(caches["conv1"], cnnref.ConvCache)
    assert isinstance(caches["pool2"], cnnref.PoolCache)
    assert isinstance(caches["affine1"], cnnref.AffineActivationCache)


def test_backward_lets_go_of_the_caches():
    model, (X, Y) = Model(**SMALL), batch()
    probabilities, caches = model.forward(X)
    model.backward(cnnref.cross_entropy_cost(probabilities, Y)[1], caches)
    assert caches == []


def test_he_initialisation():
    model = Model((32, 32, 3), 10, [ConvBlock(64, 5, 1, 2), ConvBlock(64)], [128], dtype="float64", seed=11)
    for name, W in model.parameters.items():
        if name.endswith(".b"):
            assert not W.any()
        else:
            # The standard deviation of a sample of n has a relative error of about 1 / sqrt(2 n).
            expected = math.sqrt(2 / math.prod(W.shape[:-1]))
            assert W.std() == pytest.approx(expected, rel=5 / math.sqrt(2 * W.size)), name


def test_seed_and_dtype():
    one, same, other = (Model(**SMALL, seed=seed).parameters for seed in (1, 1, 2))
    double = Model(**SMALL, seed=1, dtype="float64").parameters
    for name, W in one.items():
        assert W.dtype == np.float32
        assert W.tobytes() == same[name].tobytes()
        assert W.tobytes() == double[name].astype(np.float32).tobytes()
    assert any((other[name] != W).any() for name, W in one.items())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_stays_in_the_dtype(dtype):
    model, optimizer = Model(**SMALL, dtype=dtype), Adam()
    X, Y = batch()
    _, gradients = model.loss_and_gradients(X, Y)
    optimizer.step(model.parameters, gradients)
    found = [*gradients.values(), *model.parameters.values(), *list(optimizer.state.values())[1:]]
    assert {array.dtype for array in found} == {np.dtype(dtype)}


def test_predict_in_batches_gives_the_same_bits():
    model = Model(**SMALL)
    X = batch(23)[0]
    assert model.predict(X, 5).tobytes() == model.predict(X, 100).tobytes()
    assert model.predict(X[:0]).shape == (0, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_shape": (9, 11)}, "image_shape must be"),
        ({"classes": 0}, "classes must be at least 1, got 0"),
        ({"classes": 2.5}, "classes must be an integer, got 2.5"),
        ({"hidden": (4, -1)}, "hidden must be at least 1, got -1"),
        ({"activation": "tanh"}, "activation must be 'relu' or 'sigmoid', got 'tanh'"),
        ({"dtype": "float16"}, "dtype must be float32 or float64, got float16"),
        (
            {"blocks": (ConvBlock(3),) * 4},
            "block 4 needs at least 2 pixels a side for a window of 2, got 1x1",
        ),
        ({"blocks": (ConvBlock(3, mode="min"),)}, "mode of block 1 must be"),
        ({"blocks": (ConvBlock(3, pad=-1),)}, "pad of block 1 must be at least 0, got -1"),
        ({"parameters": {}}, "parameters must be"),
    ],
)
def test_what_is_not_possible(change, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Model(**{**SMALL, **change})


def test_given_parameters_are_checked():
    parameters = dict(Model(**SMALL).parameters)
    assert Model(**SMALL, parameters=parameters).parameters["conv1.W"] is parameters["conv1.W"]
    parameters["conv2.W"] = parameters["conv2.W"][:, :, :, :-1]
    with pytest.raises(ValueError, match=r"conv2\.W must be"):
        Model(**SMALL, parameters=parameters)


def test_images_of_another_shape():
    with pytest.raises(ValueError, match=r"X must have the shape \(m, 9, 11, 2\), got \(2, 9, 11\)"):
        Model(**SMALL).forward(np.zeros((2, 9, 11)))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (SGD, {"learning_rate": -1}, "learning_rate must be at least 0"),
        (SGD, {"learning_rate": math.nan}, "learning_rate must be at least 0"),
        (SGD, {"momentum": 1}, "momentum must be"),
        (Adam, {"beta2": 1.5}, "beta2 must be"),
        (Adam, {"epsilon": 0}, "epsilon must be above 0"),
    ],
)
def test_optimizer_settings(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(**options)


def test_momentum_by_hand():
    W, optimizer = {"W": np.array([1.0])}, SGD(0.1, 0.5)
    optimizer.step(W, {"W": np.array([2.0])})  # v = 2, W = 1 - 0.2
    optimizer.step(W, {"W": np.array([4.0])})  # v = 1 + 4, W = 0.8 - 0.5
    assert W["W"][0] == pytest.approx(0.3, rel=1e-15)


def test_adam_by_hand():
    W, optimizer = {"W": np.array([1.0])}, Adam(0.1, 0.5, 0.75, 1e-8)
    optimizer.step(W, {"W": np.array([2.0])})  # both means are corrected to g and g²: a step of 0.1
    assert W["W"][0] == pytest.approx(0.9, rel=1e-8)
    optimizer.step(W, {"W": np.array([4.0])})
    mean, square = (0.5 * 1 + 0.5 * 4) / 0.75, (0.75 * 1 + 0.25 * 16) / (1 - 0.75**2)
    assert W["W"][0] == pytest.approx(0.9 - 0.1 * mean / math.sqrt(square), rel=1e-7)


@pytest.fixture(scope="module")
def dataset():
    pytest.importorskip("sklearn")
    return data.digits()


@pytest.fixture
def one_thread():
    """Batches this small are slower on two threads, and by far where others use the machine."""
    torch = pytest.importorskip("torch")
    before = cnnref.get_num_threads(), torch.get_num_threads()
    cnnref.set_num_threads(1)
    torch.set_num_threads(1)
    yield
    cnnref.set_num_threads(before[0])
    torch.set_num_threads(before[1])


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_two_hundred_steps_are_those_of_pytorch(dataset, optimizer):
    from cnnref.classifier import agreement
    from cnnref.classifier.run import LEARNING_RATES, Options

    options = Options(seed=5, optimizer=optimizer, learning_rate=LEARNING_RATES[optimizer])
    path = agreement.path(options, dataset)
    assert len(path.loss) == len(path.weights) == 200
    assert path.worst <= 1e-9


@pytest.mark.usefixtures("one_thread")
def test_float32_ends_where_pytorch_ends(dataset):
    from cnnref.classifier import agreement
    from cnnref.classifier.run import Options

    ends = list(agreement.ends(Options(batch_size=64), dataset, epochs=8))
    assert len({end.seed for end in ends}) == 5
    assert min(end.ours for end in ends) > 0.9
    assert max(end.points for end in ends) <= 0.5
