"""The transposed convolution: against torch in float64, and as the transpose of `conv_forward`."""

import numpy as np
import pytest

import cnnref
from cnnref import blog


def whole(rng, *shape):
    """Whole numbers: every sum is exact, in any order, in float32 too."""
    return rng.integers(-4, 5, shape).astype(np.float64)


#: (input, (f_h, f_w), n_C, hyperparameters); pads that torch's function does not have are cut off its output.
CASES = [
    ((2, 5, 4, 3), (3, 3), 4, {"stride": 1, "pad": 0}),
    ((2, 5, 4, 3), (3, 2), 4, {"stride": 2, "pad": 1, "output_padding": 1}),
    ((1, 4, 6, 34), (2, 4), 5, {"stride": (2, 3), "pad": (0, 1), "output_padding": (1, 2)}),
    ((2, 4, 5, 6), (3, 3), 4, {"stride": (3, 1), "pad": ((1, 2), (0, 3)), "dilation": (1, 2), "groups": 2}),
    ((2, 4, 5, 24), (3, 3), 24, {"stride": 2, "pad": 1, "output_padding": (0, 1), "groups": 24}),
    ((2, 3, 4, 40), (5, 3), 10, {"stride": (1, 4), "pad": 2, "groups": 10}),
    ((2, 3, 4, 8), (2, 2), 24, {"stride": 5, "pad": 0, "groups": 8}),
    ((1, 3, 3, 2), (1, 1), 3, {"stride": 4, "pad": 0, "output_padding": 3}),
    ((1, 3, 3, 2), (2, 3), 3, {"stride": 1, "pad": 0, "output_padding": (2, 0), "dilation": 3}),
    ((1, 3, 3, 2), (1, 4), 3, {"stride": (2, 3), "pad": 0, "output_padding": 2, "dilation": 3}),
    ((1, 1, 1, 2), (3, 3), 1, {"stride": 2, "pad": 1}),
]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("shape", "f", "n_C", "hparameters"), CASES)
def test_output_and_gradients_are_those_of_torch(shape, f, n_C, hparameters, dtype):
    torch = pytest.importorskip("torch")
    rng, groups = np.random.default_rng(n_C), hparameters.get("groups", 1)
    A, W, b = whole(rng, *shape), whole(rng, *f, n_C // groups, shape[3]), whole(rng, 1, 1, 1, n_C)
    pad = hparameters["pad"]
    pad = (pad, pad) if isinstance(pad, int) else pad
    (top, bottom), (left, right) = (side if isinstance(side, tuple) else (side, side) for side in pad)
    a, w = (torch.tensor(np.ascontiguousarray(x), requires_grad=True)
            for x in (A.transpose(0, 3, 1, 2), W.transpose(3, 2, 0, 1)))  # fmt: skip
    bias = torch.tensor(b.reshape(-1), requires_grad=True)
    # Torch refuses more rows than the dilation or stride allows, so its own output padding is asked for.
    Z = torch.conv_transpose2d(
        a,
        w,
        bias,
        hparameters["stride"],
        0,
        hparameters.get("output_padding", 0),
        groups,
        hparameters.get("dilation", 1),
    )
    Z = Z[:, :, top : Z.shape[2] - bottom, left : Z.shape[3] - right]
    dZ = whole(rng, *(Z.shape[axis] for axis in (0, 2, 3, 1)))
    Z.backward(torch.tensor(dZ.transpose(0, 3, 1, 2)))
    wanted = (
        Z.detach().numpy().transpose(0, 2, 3, 1),
        a.grad.numpy().transpose(0, 2, 3, 1),
        w.grad.numpy().transpose(2, 3, 1, 0),
        bias.grad.numpy().reshape(1, 1, 1, -1),
    )
    for module in (cnnref, blog):
        found, cache = module.conv_transpose_forward(*(x.astype(dtype) for x in (A, W, b)), hparameters)
        assert type(cache).__name__ == "ConvTransposeCache"
        assert cache.hparameters == hparameters
        gradients = module.conv_transpose_backward(dZ.astype(dtype), cache)
        for name, got, want in zip(("Z", "dA_prev", "dW", "db"), (found, *gradients), wanted, strict=True):
            assert got.dtype == dtype
            assert got.shape == want.shape, name
            assert np.array_equal(got, want), name


def test_it_is_the_gradient_of_the_convolution_with_the_same_filters():
    rng = np.random.default_rng(1)
    image, W = whole(rng, 2, 9, 8, 3), whole(rng, 3, 2, 3, 5)
    hparameters = {"stride": (2, 3), "pad": (1, 0)}
    Z, cache = cnnref.conv_forward(image, W, np.zeros((1, 1, 1, 5)), hparameters)
    dZ = whole(rng, *Z.shape)
    back, _ = cnnref.conv_transpose_forward(
        dZ, W, np.zeros((1, 1, 1, 3)), hparameters | {"output_padding": 0}
    )
    assert np.array_equal(back, cnnref.conv_backward(dZ, cache)[0])


def test_no_samples():
    A, W, b = np.ones((0, 3, 4, 2)), np.ones((3, 3, 5, 2)), np.ones((1, 1, 1, 5))
    Z, cache = cnnref.conv_transpose_forward(A, W, b, {"stride": 2, "pad": 1})
    assert Z.shape == (0, 5, 7, 5)
    dA_prev, dW, db = cnnref.conv_transpose_backward(Z, cache)
    assert dA_prev.shape == A.shape
    assert not dW.any()
    assert not db.any()


@pytest.mark.parametrize("module", [cnnref, blog], ids=["cnnref", "blog"])
@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        (
            {"output_padding": 2},
            ValueError,
            ["hparameters['output_padding'] must be below", "got 2 for rows"],
        ),
        ({"output_padding": (0, 2)}, ValueError, ["got 2 for columns with stride 2 and dilation 1"]),
        ({"output_padding": -1}, ValueError, ["hparameters['output_padding'] must be at least 0"]),
        ({"output_padding": 0.5}, TypeError, ["hparameters['output_padding']", "float"]),
        ({"pad": "same"}, ValueError, ["hparameters['pad'] must be an integer, a pair", "got 'same'"]),
        ({"pad": 5}, ValueError, ["hparameters['pad'] takes all 7 rows"]),
        ({"stride": 0}, ValueError, ["hparameters['stride'] must be at least 1"]),
        ({"stride": 2**62}, ValueError, ["too large to address"]),
        ({"groups": 4}, ValueError, ["A_prev has 6 channels, which do not divide into 4 groups"]),
        ({"groups": 2}, ValueError, ["b must have shape (1, 1, 1, 10), got (1, 1, 1, 5)"]),
        ({"f": 3}, ValueError, ["got also f"]),
    ],
)
def test_bad_hyperparameters(module, changes, error, words):
    A, W, b = np.zeros((2, 3, 4, 6)), np.zeros((3, 3, 5, 6)), np.zeros((1, 1, 1, 5))
    hparameters = {"stride": 2, "pad": 0} | changes
    with pytest.raises(error) as caught:
        module.conv_transpose_forward(A, W, b, hparameters)
    for word in ("conv_transpose_forward: ", *words):
        assert word in str(caught.value)
    with pytest.raises(error, match=r"^conv_transpose_backward: "):
        module.conv_transpose_backward(np.zeros((2, 7, 9, 5)), (A, W, b, hparameters))


def test_shapes_that_do_not_fit():
    A, W, b = np.zeros((2, 3, 4, 6)), np.zeros((3, 3, 5, 6)), np.zeros((1, 1, 1, 5))
    hparameters = {"stride": 2, "pad": 0}
    for name, arguments, word in (
        ("W", (A, W[..., :4], b), "W has 4 input channels, A_prev has 6"),
        ("b", (A, W, b[..., :4]), "b must have shape (1, 1, 1, 5)"),
        ("A_prev", (A[:, :0], W, b), "A_prev must have at least one pixel"),
        ("W", (A, W[:0], b), "at least 1x1"),
    ):
        with pytest.raises(ValueError, match=r"conv_transpose_forward: ") as caught:
            cnnref.conv_transpose_forward(*arguments, hparameters)
        assert word in str(caught.value), name
    _, cache = cnnref.conv_transpose_forward(A, W, b, hparameters)
    with pytest.raises(ValueError, match=r"dZ must have .* \(2, 7, 9, 5\), got \(2, 7, 8, 5\)"):
        cnnref.conv_transpose_backward(np.zeros((2, 7, 8, 5)), cache)
