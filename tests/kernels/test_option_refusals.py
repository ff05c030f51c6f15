"""Each option of each function refuses what it cannot mean, by its own name and that of the function.

The table has every option there is: a function that gains one fails here until its bad values are listed.
"""

import inspect
import re

import numpy as np
import pytest
from calls import arguments

import cnnref
from cnnref import blog

LARGEST = 2**63 - 1

#: (what is changed, the error); the option under test is the first that is changed.
Bad = list[tuple[dict, type[Exception]]]


def each(option: str, *values: object, error: type[Exception], **others: object) -> Bad:
    return [({option: value, **others}, error) for value in values]


def extents(option: str, least: int) -> Bad:
    """Of an option that is an integer or a pair of them."""
    low = least - 1
    return [
        *each(option, low, -LARGEST, (low, 1), (1, low), 2**63, (1, 2**63), error=ValueError),
        *each(option, None, True, 1.5, (1, 1.5), (1, None), (1,), (1, 1, 1), [[1]], {}, 1j, error=TypeError),
    ]


def real(option: str, *out_of_range: float) -> Bad:
    return [
        *each(option, *out_of_range, np.nan, np.inf, -np.inf, error=ValueError),
        *each(option, None, True, "1", (1,), 1j, [0.1], np.ones(1), error=TypeError),
    ]


def words(option: str) -> Bad:
    return [
        *each(option, "", "Max", "mean", "erf", "NONE", "null", error=ValueError),
        *each(option, True, 1, b"max", ["tanh"], error=TypeError),
    ]


def flag(option: str) -> Bad:
    return each(option, 0, 1, None, "True", 1.0, [True], error=TypeError)


PAD = [
    *each("pad", -1, (0, -1), ((0, 0), (-1, 0)), "full", "SAME", "", 2**63, error=ValueError),
    *each("pad", LARGEST, ((LARGEST, 0), (0, 0)), error=ValueError),
    *each("pad", None, True, 0.5, (1,), (1, 2, 3, 4), ((1, 0), 2), ((1, 0), (1, 0.5)), {}, error=TypeError),
]
STRIDE = [*extents("stride", 1), *each("stride", "same", error=TypeError)]
DILATION = [*extents("dilation", 1), *each("dilation", LARGEST, (LARGEST, 1), error=ValueError)]
GROUPS = [
    *each("groups", 0, -1, 2**63, error=ValueError),
    *each("groups", None, True, 1.5, "all", (1, 1), [1], error=TypeError),
]
SMOOTHING = real("label_smoothing", -1e-9, -1, 1 + 1e-9, 2)
IGNORED = [
    *each("ignore_index", 2**63, -(2**63) - 1, error=ValueError),
    *each("ignore_index", True, 0.5, -100.0, "none", [0], np.zeros(1), error=TypeError),
]
AMOUNT = [
    *each("stride", -1, 2**63, error=ValueError),
    *each("stride", None, True, 1.0, "1", (1, 1), error=TypeError),
]

#: By function and option. The image is (2, 6, 7, 3); filters are 3x3 and pooling windows 2x2 where nothing
#: else is said.
TABLE: dict[str, dict[str, Bad]] = {
    "pad3d": {"stride": AMOUNT},
    "pad3d_backward": {"stride": [*AMOUNT, *each("stride", 4, error=ValueError)]},
    "conv_forward": {
        "stride": STRIDE,
        "pad": PAD,
        "dilation": [*DILATION, *each("dilation", 3, (3, 1), (1, 4), pad="valid", error=ValueError)],
        "groups": [*GROUPS, *each("groups", 2, 3, 4, 7, LARGEST, error=ValueError)],
    },
    "conv_transpose_forward": {
        "stride": [*STRIDE, *each("stride", 2**62, error=ValueError)],
        "pad": [*PAD, *each("pad", "same", "same_lower", "valid", 9, ((0, 14), (0, 0)), error=ValueError)],
        "output_padding": [
            *extents("output_padding", 0),
            *each("output_padding", 1, (0, 1), stride=1, error=ValueError),
            *each("output_padding", 2, (2, 0), (0, 2), stride=2, error=ValueError),
            *each("output_padding", 3, stride=2, dilation=3, error=ValueError),
            *each("output_padding", (1, 2), stride=(1, 2), dilation=(2, 1), error=ValueError),
        ],
        "dilation": DILATION,
        "groups": [*GROUPS, *each("groups", 2, 4, LARGEST, error=ValueError)],
    },
    "pool_forward": {
        "f": [
            *extents("f", 1),
            *each("f", "all", error=TypeError),
            *each("f", 7, (7, 1), (1, 8), LARGEST, error=ValueError),
            *each("f", 7, stride=1, ceil_mode=True, error=ValueError),
        ],
        "stride": STRIDE,
        "pad": [
            *PAD,
            *each("pad", 2, (2, 1), (1, 2), ((0, 2), (0, 0)), ((0, 0), (2, 0)), error=ValueError),
            *each("pad", 2, f=3, ceil_mode=True, error=ValueError),
            *each("pad", 2, f=3, dilation=2, error=ValueError),
            *each("pad", 2, f=3, count_include_pad=False, mode="average", error=ValueError),
            *each("pad", (0, 1), f=(2, 1), error=ValueError),
        ],
        "dilation": [
            *DILATION,
            *each("dilation", 2, (1, 2), mode="average", error=ValueError),
            # Half before, half after: no tap of the window meets the image.
            *each("dilation", 14, pad="same", error=ValueError),
        ],
        "ceil_mode": flag("ceil_mode"),
        "count_include_pad": [
            *flag("count_include_pad"),
            *each("count_include_pad", False, np.False_, mode="max", error=ValueError),
            *each("count_include_pad", False, mode="max", ceil_mode=True, pad=1, error=ValueError),
        ],
        "mode": [*words("mode"), *each("mode", None, error=TypeError)],
    },
    "pool_backward": {},
    "conv_backward": {},
    "conv_transpose_backward": {},
    "batch_norm_forward": {
        "training": flag("training"),
        "epsilon": real("epsilon", -1e-9, -1),
        "momentum": real("momentum", -1e-9, -1, 1 + 1e-9, 2),
    },
    "batch_norm_backward": {},
    "layer_norm_forward": {"epsilon": real("epsilon", -1e-9, -1)},
    "rms_norm_forward": {"epsilon": real("epsilon", -1e-9, -1)},
    "affine_activation_forward": {"activation": words("activation")},
    "gelu": {"approximate": [*words("approximate"), *each("approximate", None, error=TypeError)]},
    "leaky_relu": {"negative_slope": real("negative_slope")},
    "elu": {"alpha": real("alpha")},
    "celu": {"alpha": real("alpha", 0, -1)},
    "softplus": {"beta": real("beta", 0, -1), "threshold": real("threshold")},
    "hardtanh": {"min_val": real("min_val", 1.5), "max_val": real("max_val", -1.5)},
    "cross_entropy_cost": {
        "batch_size": [
            *each("batch_size", 0, 4, 6, -1, 2**63, error=ValueError),
            *each("batch_size", True, 5.0, "5", (5,), error=TypeError),
        ],
        "label_smoothing": SMOOTHING,
        "ignore_index": IGNORED,
    },
    "cross_entropy_backward": {"label_smoothing": SMOOTHING, "ignore_index": IGNORED},
}
#: The same options, handed over again or read from the cache.
for _name in ("conv", "conv_transpose", "pool", "batch_norm", "layer_norm", "rms_norm"):
    TABLE[f"{_name}_backward"] = TABLE[f"{_name}_forward"]
TABLE["gelu_backward"] = TABLE["gelu"]
TABLE["leaky_relu_backward"] = TABLE["leaky_relu"]
for _name in ("hardtanh", "elu", "celu", "softplus"):
    TABLE[f"{_name}_backward"] = TABLE[_name]
for _name in ("softmax_cross_entropy", "softmax_cross_entropy_backward"):
    TABLE[_name] = TABLE["cross_entropy_backward"]


def keywords_of(name: str) -> set[str]:
    """The parameters of a function that are options, or have been since the post; hparameters are several."""
    parameters = inspect.signature(getattr(cnnref, name)).parameters.values()
    optional = {p.name for p in parameters if p.default is not inspect.Parameter.empty}
    return optional - {"hparameters"}


def keys_of(name: str) -> set[str]:
    """The keys of a function's hparameters, as it names them itself."""
    keywords = arguments()[name]
    if "hparameters" not in keywords:
        return set()
    keywords["hparameters"] = keywords["hparameters"] | {"colour": 1}
    with pytest.raises(ValueError, match="got also colour") as caught:
        getattr(cnnref, name)(**keywords)
    found = re.search(r"only the keys (.*), got also", str(caught.value))
    assert found, caught.value
    return set(found[1].split(", "))


def spoiled(name: str, changes: dict) -> dict:
    """Good arguments but for `changes`, of which some are arguments and some are hyperparameters."""
    keywords = arguments()[name]
    direct = {key: value for key, value in changes.items() if key in keywords_of(name)}
    hyper = {key: value for key, value in changes.items() if key not in direct}
    if "hparameters" in keywords:
        keywords["hparameters"] = keywords["hparameters"] | hyper
    elif hyper:
        cache = keywords["cache"]
        keywords["cache"] = cache._replace(hparameters=cache.hparameters | hyper)
    return keywords | direct


CASES = [
    pytest.param(
        name, option, changes, error, id=f"{name}-{','.join(f'{k}={v}' for k, v in changes.items())}"
    )
    for name, options in TABLE.items()
    for option, bad in options.items()
    for changes, error in bad
]


@pytest.mark.parametrize("module", [cnnref, blog], ids=["cnnref", "blog"])
@pytest.mark.parametrize(("name", "option", "changes", "error"), CASES)
def test_it_is_refused_by_name(name, option, changes, error, module):
    keywords = spoiled(name, changes)
    with pytest.raises((ValueError, TypeError)) as caught:
        getattr(module, name)(**keywords)
    message = str(caught.value)
    assert type(caught.value) is error, message
    assert message.startswith(f"{name}: "), message
    assert re.search(r"\bdilat(ion|ed)\b" if option == "dilation" else rf"\b{option}\b", message), message


@pytest.mark.parametrize("name", [name for name in cnnref.__all__ if name in arguments()])
def test_every_option_is_in_the_table(name):
    forward = name.replace("_backward", "_forward")
    keys = keys_of(forward) if forward in arguments() else set()
    assert set(TABLE.get(name, ())) == keywords_of(name) | keys


def test_the_arguments_are_good_until_they_are_spoiled():
    for name in TABLE:
        getattr(cnnref, name)(**spoiled(name, {}))
