"""Bad strides, pads, dilations and groups of a convolution are refused by name before anything is done."""

import numpy as np
import pytest

import cnnref
from cnnref import blog

LARGEST = 2**63 - 1


def conv(f=(3, 2), n_C=6, of_group=4, **changes):
    """Arguments of `conv_forward` that are good but for `changes` of the hyperparameters."""
    W, b = np.zeros((*f, of_group, n_C)), np.zeros((1, 1, 1, n_C))
    return np.zeros((2, 6, 7, 4)), W, b, {"stride": 1, "pad": 0} | changes


def refused(error, arguments, *words):
    for module in (cnnref, blog):
        with pytest.raises(error) as caught:
            module.conv_forward(*arguments)
        message = str(caught.value)
        assert message.startswith("conv_forward: ")
        for word in words:
            assert str(word) in message, (message, word)
    with pytest.raises(error) as caught:
        cnnref.conv_backward(np.zeros((2, 4, 6, 6)), arguments)
    message = str(caught.value)
    assert message.startswith("conv_backward: ")
    for word in words:
        assert str(word) in message or "cache." in message, (message, word)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"stride": (1, 0)}, ValueError, ["hparameters['stride'][1] must be at least 1, got 0"]),
        ({"stride": (1, 2, 3)}, TypeError, ["hparameters['stride']", "(h, w)", "(1, 2, 3)"]),
        ({"stride": "same"}, TypeError, ["hparameters['stride']", "str"]),
        ({"pad": "full"}, ValueError, ["hparameters['pad']", "'same', 'same_lower' or 'valid', got 'full'"]),
        ({"pad": ((1, 0), 2)}, TypeError, ["hparameters['pad']", "((top, bottom), (left, right))"]),
        ({"pad": ((0, 0), (0, -1))}, ValueError, ["hparameters['pad'][1][1] must be at least 0, got -1"]),
        ({"pad": ((LARGEST, 0), (0, 0))}, ValueError, ["hparameters['pad'] is too large to address"]),
        ({"dilation": 0}, ValueError, ["hparameters['dilation'] must be at least 1, got 0"]),
        ({"dilation": (1, 2.0)}, TypeError, ["hparameters['dilation'][1]", "float"]),
        ({"dilation": 4}, ValueError, ["window of 3x2, dilated to 9x5, larger", "6x7"]),
        ({"dilation": (LARGEST, 1)}, ValueError, ["hparameters['dilation'] is too large"]),
        ({"groups": 0}, ValueError, ["hparameters['groups'] must be at least 1, got 0"]),
        ({"groups": (1, 1)}, TypeError, ["hparameters['groups'] must be an integer, got tuple"]),
        ({"groups": True}, TypeError, ["hparameters['groups']", "bool"]),
        ({"groups": 2**64}, ValueError, ["hparameters['groups'] is out of range"]),
        ({"group": 2}, ValueError, ["stride, pad, dilation, groups, got also group"]),
        ({"dilations": 2, "groups": 1}, ValueError, ["got also dilations"]),
    ],
)
def test_values(changes, error, words):
    refused(error, conv(**changes), *words)


@pytest.mark.parametrize("groups", [2, 3, 5, 8, LARGEST])
def test_channels_that_are_not_those_of_the_groups(groups):
    refused(ValueError, conv(groups=groups), "W has 4 input channels, ", f"A_prev has 4 in {groups} groups")


def test_filters_of_pytorch_whose_channels_happen_to_fit():
    A, W, b, hparameters = conv()
    W = np.zeros((4, 3, 3, 3))
    A, b = np.zeros((2, 6, 7, 3)), np.zeros((1, 1, 1, 4))
    refused(
        ValueError,
        (A, W, b, hparameters),
        "b must have",
        "W looks like PyTorch's: pass W.transpose(2, 3, 1, 0)",
    )


def test_a_word_nearly_written():
    refused(ValueError, conv(pad="SAME"), "pad", "did you mean 'same'?")
    with pytest.raises(ValueError, match=r"did you mean 'average'\?"):
        cnnref.pool_forward(np.zeros((1, 4, 4, 1)), {"f": 2, "stride": 2}, mode="avg")
    with pytest.raises(ValueError, match=r"did you mean 'tanh'\?"):
        cnnref.gelu(np.zeros((1, 1, 1, 1)), "Tanh")
    with pytest.raises(ValueError, match=r"did you mean 'relu'\?"):
        cnnref.affine_activation_forward(np.ones((2, 3)), np.ones((3, 2)), np.ones((1, 2)), "ReLU")


def test_filters_that_do_not_divide_into_the_groups():
    refused(ValueError, conv(of_group=1, groups=4), "W has 6 filters, which do not divide into 4 groups")


def test_a_window_larger_than_one_axis_of_the_padded_input():
    refused(ValueError, conv(f=(7, 2)), "window of 7x2, larger than the padded", "6x7")
    refused(ValueError, conv(f=(3, 8)), "window of 3x8, larger than the padded", "6x7")
    refused(ValueError, conv(f=(3, 10), pad=((0, 0), (2, 0))), "window of 3x10", "6x9")


def test_gradients_of_another_shape():
    A, W, b, hparameters = conv(pad="same", stride=(2, 3))
    _, cache = cnnref.conv_forward(A, W, b, hparameters)
    with pytest.raises(
        ValueError, match=r"conv_backward: dZ must have .* \(2, 3, 3, 6\), got \(2, 4, 3, 6\)"
    ):
        cnnref.conv_backward(np.zeros((2, 4, 3, 6)), cache)


def test_results_too_large_to_address():
    for pad in ((2**62, 0), (0, 2**62), ((2**62, 0), (0, 0)), (2**40, 2**40)):
        refused(ValueError, conv(pad=pad), "too large to address")


def test_extents_over_32_bits_of_what_is_small_enough():
    A, W, b, _ = conv(f=(1, 1))
    for changes in ({"stride": (2**40, 1)}, {"stride": (LARGEST, LARGEST), "dilation": LARGEST}):
        Z, cache = cnnref.conv_forward(A, W, b, {"stride": 1, "pad": 0} | changes)
        assert Z.shape[1] == 1
        assert cnnref.conv_backward(Z, cache)[0].shape == A.shape
