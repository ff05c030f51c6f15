"""Hyperparameters as keywords: the same results and caches as of a mapping, and what is said of others."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from calls import arguments

import cnnref
from cnnref import blog

both = pytest.mark.parametrize("module", [cnnref, blog], ids=["cnnref", "blog"])

#: Every key of each function, with a value that is not its default where it has one.
KEYS = {
    "conv_forward": {"stride": 2, "pad": "same", "dilation": (1, 2), "groups": 1},
    "conv_transpose_forward": {"stride": 2, "pad": 1, "output_padding": 1, "dilation": 2, "groups": 1},
    "pool_forward": {
        "f": 3,
        "stride": (1, 2),
        "pad": 1,
        "dilation": 1,
        "ceil_mode": True,
        "count_include_pad": False,
    },
    "layer_norm_forward": {"epsilon": 1e-3},
    "rms_norm_forward": {"epsilon": 1e-3},
    "batch_norm_forward": {"training": True, "epsilon": 1e-3, "momentum": 0.2},
}
each = pytest.mark.parametrize("name", KEYS)


def given(name):
    keywords = arguments()[name]
    mode = {"mode": "average"} if name == "pool_forward" else {}
    return {key: value for key, value in keywords.items() if key != "hparameters"} | mode


def fails(error, function, *args, **keywords):
    with pytest.raises(error) as caught:
        function(*args, **keywords)
    return str(caught.value)


@both
@each
def test_keywords_are_the_mapping(name, module):
    function = getattr(module, name)
    expected, kept = function(**given(name), hparameters=KEYS[name])
    found, cache = function(**given(name), **KEYS[name])
    np.testing.assert_array_equal(found, expected)
    assert cache.hparameters == kept.hparameters == KEYS[name]
    backward = getattr(module, name.replace("forward", "backward"))
    mode = {"mode": "average"} if name == "pool_forward" else {}
    gradients = zip(backward(expected, kept, **mode), backward(found, cache, **mode), strict=True)
    for one, other in gradients:
        np.testing.assert_array_equal(one, other)


@both
@each
def test_both_are_refused(name, module):
    key = next(iter(KEYS[name]))
    said = fails(
        TypeError, getattr(module, name), **given(name), hparameters=KEYS[name], **{key: KEYS[name][key]}
    )
    assert said.startswith(f"{name}: hparameters and {key} are both given; ")


@both
@pytest.mark.parametrize(
    "name", [name for name in KEYS if name not in ("layer_norm_forward", "rms_norm_forward")]
)  # every key has a default
def test_neither_is_refused(name, module):
    said = fails(TypeError, getattr(module, name), **given(name))
    assert said.startswith(f"{name}: hparameters must be a mapping, got NoneType; ")
    # What is said is right: those keywords are taken.
    example = ast.parse(f"f({said.rpartition(' as in ')[2]})", mode="eval").body
    getattr(module, name)(**given(name), **{key.arg: ast.literal_eval(key.value) for key in example.keywords})


@both
@each
def test_a_key_that_there_is_not(name, module):
    """By its name, with those that there are, and the one that is meant."""
    for key, value in KEYS[name].items():
        if key == "f":
            continue
        wrong = {f"{key}s" if other == key else other: KEYS[name][other] for other in KEYS[name]}
        for call in (wrong, {"hparameters": wrong}):
            said = fails(ValueError, getattr(module, name), **given(name), **call)
            assert said.startswith(f"{name}: hparameters must have ")
            assert said.endswith(f"; did you mean {key} by {key}s?"), (said, value)
    said = fails(ValueError, getattr(module, name), **given(name), **KEYS[name], zz=None)
    assert said.endswith(f"must have only the keys {', '.join(KEYS[name])}, got also zz")


def test_names_of_other_libraries():
    image = np.zeros((1, 4, 4, 1))
    said = fails(ValueError, cnnref.pool_forward, image, kernel_size=2, stride=2)
    assert said.endswith("did you mean f by kernel_size?")
    said = fails(
        ValueError, cnnref.conv_forward, image, image, np.zeros((1, 1, 1, 1)), **{"stride": 1, "padding": 0}
    )
    assert said.endswith("(pad is missing); did you mean pad by padding?")


@each
def test_the_stub_names_the_keys(name):
    stub = ast.parse((Path(cnnref.__file__).parent / "__init__.pyi").read_text())
    node = next(node for node in stub.body if getattr(node, "name", "") == name)
    said = fails(ValueError, getattr(cnnref, name), **given(name), **KEYS[name], zz=None)
    known = re.search("only the keys (.*), got", said)[1].split(", ")
    assert [key.arg for key in node.args.kwonlyargs] == known


def test_kernel_for():
    shapes = (8, 28, 28, 3), (3, 3, 3, 8)
    expected = cnnref.kernel_for("conv_forward", *shapes, {"stride": 2, "pad": 1})
    assert cnnref.kernel_for("conv_forward", *shapes, stride=2, pad=1) == expected
    assert fails(TypeError, cnnref.kernel_for, "conv_forward", *shapes, {"stride": 2, "pad": 1}, groups=1)


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    from cnnref import torch as wrapped

    image, filters, bias = torch.ones(1, 6, 6, 2), torch.ones(3, 3, 2, 4), torch.zeros(1, 1, 1, 4)
    assert torch.equal(
        wrapped.conv(image, filters, bias, stride=1, pad=1),
        wrapped.conv(image, filters, bias, {"stride": 1, "pad": 1}),
    )
    assert wrapped.pool(image, f=2, stride=2, mode="average").shape == (1, 3, 3, 2)
