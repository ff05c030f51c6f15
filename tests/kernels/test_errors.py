"""Every bad argument is refused before anything is computed; the message names function and argument."""

import numpy as np
import pytest
from calls import ARRAYS, ELEMENTWISE, NAMES, arguments, refused

import cnnref
from cnnref import blog

HUGE = 2**62


def of_shape(*shape):
    return np.zeros(shape)


@pytest.mark.parametrize("module", [cnnref, blog], ids=["cnnref", "blog"])
@pytest.mark.parametrize("name", NAMES)
def test_the_good_arguments_are_good(name, module):
    getattr(module, name)(**arguments()[name])


def test_the_error_of_the_contract():
    refused(
        "conv_forward",
        ValueError,
        "conv_forward: W has 4 input channels, A_prev has 3",
        W=of_shape(3, 3, 4, 4),
    )


ARRAY_ARGUMENTS = [(name, key) for name in NAMES for key in ARRAYS[name]]

WRONG_TYPES = {
    "complex": lambda x: x.astype(complex),
    "object": lambda x: x.astype(object),
    "str": lambda x: x.astype(str),
    "longdouble": lambda x: x.astype(np.longdouble),
    "datetime": lambda x: x.astype("datetime64[s]"),
    "record": lambda x: x.astype([("field", float)]),
    "None": lambda x: None,
    "text": lambda x: "text",
    "dict": lambda x: {"a": 1},
    "instance": lambda x: object(),
    "iterator": lambda x: iter([1.0]),
}


@pytest.mark.parametrize("module", [cnnref, blog], ids=["cnnref", "blog"])
@pytest.mark.parametrize(("name", "key"), ARRAY_ARGUMENTS)
@pytest.mark.parametrize("value", WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_wrong_dtypes(name, key, value, module):
    refused(name, TypeError, key, module=module, **{key: value(arguments()[name][key])})


def test_float8():
    narrow = pytest.importorskip("ml_dtypes").float8_e5m2
    for name, key in ARRAY_ARGUMENTS:
        refused(name, TypeError, key, "float8_e5m2", **{key: arguments()[name][key].astype(narrow)})


def test_arrays_that_cannot_be_made():
    torch = pytest.importorskip("torch")
    refused("relu", TypeError, "Z", "Tensor", Z=torch.ones(3, requires_grad=True))
    refused("relu", TypeError, "Z", "BFloat16", Z=torch.ones(3, dtype=torch.bfloat16))
    refused("relu", ValueError, "Z", Z=[[1.0], [1.0, 2.0]])

    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("no array today")

    refused("relu", TypeError, "Z", "no array today", Z=Broken())


#: Arguments that may have any number of dimensions.
FREE = {
    ("conv_single_step", "b"),
    ("distribute_value", "dz"),
    ("create_mask_from_window", "x"),
    *((name, "Z") for name in ELEMENTWISE),
}


@pytest.mark.parametrize(("name", "key"), [pair for pair in ARRAY_ARGUMENTS if pair not in FREE])
def test_wrong_number_of_dimensions(name, key):
    good = arguments()[name][key]
    refused(name, ValueError, key, good[None].shape, **{key: good[None]})
    refused(name, ValueError, key, good[..., 0].shape, **{key: good[..., 0]})


@pytest.mark.parametrize(
    ("name", "words", "spoiled"),
    [
        ("conv_single_step", ["W", "(2, 2, 3)", "(2, 2, 4)"], {"W": of_shape(2, 2, 4)}),
        ("conv_single_step", ["W", "(2, 2, 3)"], {"W": of_shape(2, 3, 2)}),
        ("conv_single_step", ["b", "one element"], {"b": of_shape(2)}),
        ("conv_single_step", ["b", "one element"], {"b": of_shape(0)}),
        ("conv_forward", ["W", "1x1"], {"W": of_shape(0, 0, 3, 4)}),
        ("conv_forward", ["W", "1x1"], {"W": of_shape(3, 0, 3, 4)}),
        ("conv_forward", ["b", "(1, 1, 1, 4)", "(1, 1, 1, 5)"], {"b": of_shape(1, 1, 1, 5)}),
        ("conv_forward", ["b", "(1, 1, 1, 4)"], {"b": of_shape(1, 1, 4, 1)}),
        ("conv_forward", ["b", "(1, 1, 1, 4)"], {"b": of_shape(1, 1, 1, 1)}),
        ("conv_forward", ["W", "9x9", "8x9"], {"W": of_shape(9, 9, 3, 4)}),
        ("conv_forward", ["A_prev", "3x3", "2x2"], {"A_prev": of_shape(2, 0, 0, 3)}),
        ("conv_backward", ["dZ", "(2, 3, 4, 4)", "(2, 3, 3, 4)"], {"dZ": of_shape(2, 3, 3, 4)}),
        ("conv_backward", ["dZ", "(2, 3, 4, 4)"], {"dZ": of_shape(1, 3, 4, 4)}),
        ("conv_backward", ["dZ", "(2, 3, 4, 4)"], {"dZ": of_shape(2, 3, 4, 1)}),
        ("pool_forward", ["f", "8x8", "6x7"], {"hparameters": {"f": 8, "stride": 1}}),
        ("pool_forward", ["f", "7x7", "6x7"], {"hparameters": {"f": 7, "stride": 1}}),
        ("pool_backward", ["dA", "(2, 3, 3, 3)", "(2, 3, 3, 2)"], {"dA": of_shape(2, 3, 3, 2)}),
        ("pool_backward", ["dA", "(2, 3, 3, 3)"], {"dA": of_shape(2, 3, 4, 3)}),
        ("affine_forward", ["W has 7 input features, A_prev has 6"], {"W": of_shape(7, 4)}),
        ("affine_forward", ["b", "(1, 4)", "(1, 5)"], {"b": of_shape(1, 5)}),
        ("affine_forward", ["b", "(1, 4)"], {"b": of_shape(4, 1)}),
        ("affine_backward", ["dZ", "(5, 4)", "(4, 5)"], {"dZ": of_shape(4, 5)}),
        ("affine_activation_forward", ["W has 7 input features"], {"W": of_shape(7, 4)}),
        ("affine_activation_backward", ["dA", "(5, 4)", "(5, 3)"], {"dA": of_shape(5, 3)}),
        ("pad3d_backward", ["doutput", "stride 4"], {"stride": 4}),
        ("col2arr", ["X", "(2, 126)", "(2, 125)"], {"X": of_shape(2, 125)}),
        ("col2arr", ["X", "(2, 126)"], {"X": of_shape(3, 126)}),
        ("col2arr", ["cache", "4 dimensions"], {"cache": of_shape(2, 126)}),
        ("sigmoid_backward", ["dA", "(2, 6, 7, 3)", "(2, 6, 7)"], {"dA": of_shape(2, 6, 7)}),
        ("relu_backward", ["dA", "(2, 6, 7, 3)", "(1, 6, 7, 3)"], {"dA": of_shape(1, 6, 7, 3)}),
        ("softmax_backward", ["dprobs", "(5, 6)", "(6, 5)"], {"dprobs": of_shape(6, 5)}),
        ("cross_entropy_cost", ["Y", "(5,)", "(4,)"], {"Y": [0, 1, 2, 3]}),
        ("cross_entropy_cost", ["Y", "(5, 1)", "(1, 5)"], {"Y": [[0, 1, 2, 3, 4]]}),
        ("cross_entropy_cost", ["Y", "(5, 1, 1)"], {"Y": np.zeros((5, 1, 1), int)}),
        ("cross_entropy_cost", ["batch_size", "5", "4"], {"batch_size": 4}),
        ("distribute_value", ["dz", "one element"], {"dz": of_shape(2)}),
    ],
)
def test_shapes_that_do_not_fit(name, words, spoiled):
    refused(name, ValueError, *words, **spoiled)
    if name != "softmax_backward":
        refused(name, ValueError, *words, module=blog, **spoiled)


HYPERPARAMETERS = [
    ("conv_forward", "stride", {"pad": 1}, 1),
    ("conv_forward", "pad", {"stride": 1}, 0),
    ("pool_forward", "f", {"stride": 1}, 1),
    ("pool_forward", "stride", {"f": 2}, 1),
]


@pytest.mark.parametrize(("name", "key", "rest", "least"), HYPERPARAMETERS)
def test_hyperparameters(name, key, rest, least):
    def hyper(value):
        return {"hparameters": rest | {key: value}}

    refused(name, ValueError, key, "missing", hparameters=rest)
    refused(name, ValueError, "got also colour", hparameters=rest | {key: 1, "colour": 1})
    refused(name, ValueError, key, f"at least {least}", least - 1, **hyper(least - 1))
    refused(name, ValueError, key, **hyper(-HUGE))
    refused(name, ValueError, key, "out of range", **hyper(10**30))
    refused(name, ValueError, key, "out of range", **hyper(-(10**30)))
    for value in (1.0, None, True, np.True_, np.float64(1), np.array(1.0), np.array([1]), [1], 1j):
        refused(name, TypeError, key, "integer", **hyper(value))
    # A padding may be a word, so an unknown one is a wrong value.
    refused(name, ValueError if key == "pad" else TypeError, key, "integer", **hyper("1"))
    for value in (None, 3, "stride", [("stride", 1)], (1, 1)):
        refused(name, TypeError, "hparameters", "mapping", hparameters=value)
    for value in (1, np.int8(1), np.uint64(1), np.array(1)):
        getattr(cnnref, name)(**arguments()[name] | hyper(value))


@pytest.mark.parametrize(("name", "key"), [("pad3d", "stride"), ("pad3d_backward", "stride")])
def test_amount_of_padding(name, key):
    refused(name, ValueError, key, "at least 0", **{key: -1})
    for value in (1.0, "1", None, True, [1]):
        refused(name, TypeError, key, "integer", **{key: value})


@pytest.mark.parametrize("name", ["pool_forward", "pool_backward"])
def test_mode(name):
    for mode in ("min", "MAX", "avg", ""):
        refused(name, ValueError, "mode", repr(mode), mode=mode)
        refused(name, ValueError, "mode", repr(mode), mode=mode, module=blog)
    for mode in (None, 1, b"max"):
        refused(name, TypeError, "mode", mode=mode)


@pytest.mark.parametrize("name", ["affine_activation_forward", "affine_activation_backward"])
def test_activation(name):
    for activation in ("tanh", "ReLU", "", "null"):
        refused(name, ValueError, "activation", repr(activation), activation=activation)
        refused(name, ValueError, "activation", repr(activation), activation=activation, module=blog)
    for activation in (1, b"relu", ["relu"]):
        refused(name, TypeError, "activation", activation=activation)


@pytest.mark.parametrize("pad", [2**40, 2**61, 2**62, 2**63 - 1])
def test_results_too_large_to_address(pad):
    refused("pad3d", ValueError, "large", stride=pad)
    refused("conv_forward", ValueError, "large", hparameters={"stride": 1, "pad": pad})
    refused(
        "conv_backward",
        ValueError,
        cache=arguments()["conv_backward"]["cache"]._replace(hparameters={"stride": 1, "pad": pad}),
    )
    refused("distribute_value", ValueError, "large", shape=(pad, pad))
    refused("distribute_value", ValueError, "large", shape=(pad, 2, 2**30))


def test_results_too_large_to_allocate():
    for call in (
        lambda: cnnref.pad3d(np.ones((1, 1, 1, 1)), 2**27),
        lambda: cnnref.distribute_value(1.0, (2**28, 2**27)),
        lambda: cnnref.conv_forward(
            np.ones((1, 1, 1, 1)), np.ones((1, 1, 1, 1)), np.ones((1, 1, 1, 1)), {"stride": 1, "pad": 2**27}
        ),
        lambda: cnnref.affine_forward(np.ones((2**27, 0)), np.ones((0, 2**20)), np.ones((1, 2**20))),
    ):
        with pytest.raises(MemoryError):
            call()


def test_shapes_of_distribute_value():
    refused("distribute_value", ValueError, "shape[1]", "at least 0", -2, shape=(2, -2))
    refused("distribute_value", ValueError, "32 dimensions", shape=(1,) * 33)
    for shape in (None, 2.0, (2.0, 3), "23", (True, 2), (None,)):
        refused("distribute_value", TypeError, "shape", shape=shape)


def test_missing_and_unknown_arguments():
    for name, keywords in arguments().items():
        with pytest.raises(TypeError, match=name):
            getattr(cnnref, name)()
        with pytest.raises(TypeError, match="no_such"):
            getattr(cnnref, name)(**keywords, no_such=1)


def test_thread_count():
    for n in (0, -1, 1025):
        with pytest.raises(ValueError, match="set_num_threads"):
            cnnref.set_num_threads(n)
    for n in (1.0, "2", None, True):
        with pytest.raises(TypeError, match="set_num_threads"):
            cnnref.set_num_threads(n)
    with pytest.raises(ValueError, match="show_config"):
        cnnref.show_config("json")
