"""The forms of a window's hyperparameters, and what "same" comes to."""

import itertools

import numpy as np
import pytest

from cnnref.checks import hyper

LARGEST = 2**63 - 1


def sides(pad, n=(9, 7), f=(3, 2), stride=1, dilation=1, words=True):
    window = hyper.window("conv_forward", *n, f, stride, pad, dilation, words)
    return tuple((window[axis]["before"], window[axis]["after"]) for axis in "hw")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2, (2, 2)),
        ((2, 3), (2, 3)),
        ([2, 3], (2, 3)),
        (np.int32(2), (2, 2)),
        (np.array([2, 3]), (2, 3)),
        (np.array(2), (2, 2)),
        ((np.uint8(2), 3), (2, 3)),
    ],
)
def test_pairs(value, expected):
    found = hyper.pair("pool_forward", "hparameters['f']", value, 1)
    assert (found["h"], found["w"]) == expected


@pytest.mark.parametrize(
    ("pad", "expected"),
    [
        (2, ((2, 2), (2, 2))),
        ((2, 3), ((2, 2), (3, 3))),
        (((1, 2), (3, 4)), ((1, 2), (3, 4))),
        ([[1, 2], [3, 4]], ((1, 2), (3, 4))),
        (np.array([[1, 2], [3, 4]]), ((1, 2), (3, 4))),
        ("valid", ((0, 0), (0, 0))),
        ("same", ((1, 1), (0, 1))),
        ("same_lower", ((1, 1), (1, 0))),
    ],
)
def test_forms_of_pad(pad, expected):
    assert sides(pad) == expected


def test_same_gives_one_output_for_each_stride_with_the_least_zeros():
    for n, f, stride, dilation in itertools.product(range(1, 12), range(1, 6), range(1, 5), range(1, 4)):
        (before, after), _ = sides("same", (n, n), f, stride, dilation)
        span, wanted = (f - 1) * dilation + 1, -(-n // stride)
        assert (n + before + after - span) // stride + 1 == wanted
        assert after - before in (0, 1)
        if before + after:
            assert (n + before + after - 1 - span) // stride + 1 < wanted
        assert sides("same_lower", (n, n), f, stride, dilation)[0] == (after, before)


@pytest.mark.filterwarnings("ignore:Using padding")
def test_same_with_stride_one_is_that_of_torch():
    torch = pytest.importorskip("torch")
    for f, dilation in itertools.product(((2, 3), (4, 1), (5, 2)), ((1, 1), (2, 3))):
        x = torch.arange(1.0, 9 * 7 + 1, dtype=torch.float64).reshape(1, 1, 9, 7)
        w = torch.ones(1, 1, *f, dtype=torch.float64)
        (top, bottom), (left, right) = sides("same", f=f, dilation=dilation)
        ours = torch.conv2d(torch.nn.functional.pad(x, (left, right, top, bottom)), w, dilation=dilation)
        assert torch.equal(ours, torch.conv2d(x, w, padding="same", dilation=dilation))


def test_strides_and_dilations_that_make_no_difference_are_cut_down():
    window = hyper.window("conv_forward", 9, 7, (3, 1), 2**62, ((0, 1), (2, 3)), (2, LARGEST))
    assert (window["h"]["stride"], window["w"]["stride"]) == (10, 12)
    assert (window["h"]["dilation"], window["w"]["dilation"]) == (2, 1)


#: (argument, value, error, words of the message)
BAD = [
    ("stride", 0, ValueError, ("hparameters['stride'] must be at least 1, got 0",)),
    ("stride", (1, 0), ValueError, ("hparameters['stride'][1] must be at least 1, got 0",)),
    ("stride", (1, 2, 3), TypeError, ("a pair (h, w)", "(1, 2, 3)")),
    ("stride", (), TypeError, ("a pair (h, w)",)),
    ("stride", (1.0, 2), TypeError, ("hparameters['stride'][0] must be an integer, got float",)),
    ("stride", "two", TypeError, ("hparameters['stride']", "str")),
    ("stride", True, TypeError, ("hparameters['stride']", "bool")),
    ("stride", {1, 2}, TypeError, ("hparameters['stride']", "set")),
    ("stride", 2**63, ValueError, ("hparameters['stride'] is out of range",)),
    ("dilation", 0, ValueError, ("hparameters['dilation'] must be at least 1, got 0",)),
    ("dilation", None, TypeError, ("hparameters['dilation']", "NoneType")),
    ("dilation", (1, LARGEST), ValueError, ("hparameters['dilation'] is too large", LARGEST)),
    ("pad", -1, ValueError, ("hparameters['pad'] must be at least 0, got -1",)),
    ("pad", (0, -1), ValueError, ("hparameters['pad'][1] must be at least 0, got -1",)),
    ("pad", ((0, 0), (-1, 0)), ValueError, ("hparameters['pad'][1][0] must be at least 0, got -1",)),
    ("pad", ((0, 0), 1), TypeError, ("((top, bottom), (left, right))", "((0, 0), 1)")),
    ("pad", ((0, 0), (1,)), TypeError, ("((top, bottom), (left, right))",)),
    ("pad", (1, 2, 3, 4), TypeError, ("((top, bottom), (left, right))",)),
    ("pad", ((1, 0), np.empty((2**31, 0, 1))), TypeError, ("((top, bottom), (left, right))",)),
    ("pad", "SAME", ValueError, ("'same', 'same_lower' or 'valid', got 'SAME'",)),
    ("pad", 0.5, TypeError, ("hparameters['pad'] must be an integer, got float",)),
    ("pad", (((1,), 2), (3, 4)), TypeError, ("hparameters['pad'][0][0]", "tuple")),
    ("pad", LARGEST, ValueError, ("hparameters['pad'] is too large to address", LARGEST)),
    ("pad", ((LARGEST, LARGEST), (0, 0)), ValueError, ("hparameters['pad'] is too large to address",)),
    ("pad", ((0, 0), (LARGEST - 6, 0)), ValueError, ("hparameters['pad'] is too large to address",)),
]


@pytest.mark.parametrize(("name", "value", "error", "words"), BAD)
def test_bad_values_are_named(name, value, error, words):
    asked = {"stride": 1, "pad": 0, "dilation": 1, name: value}
    with pytest.raises(error) as caught:
        hyper.window("conv_forward", 9, 7, (3, 2), **asked)
    assert str(caught.value).startswith("conv_forward: ")
    for word in words:
        assert str(word) in str(caught.value)


def test_words_can_be_refused():
    for word in ("same", "same_lower", "valid"):
        with pytest.raises(ValueError, match=f"must be an integer, a pair .* got '{word}'"):
            sides(word, words=False)
