"""Bad caches and labels are refused before anything is computed; the message names function and argument."""

import numpy as np
import pytest
from calls import CACHES, arguments, refused

import cnnref
from cnnref import blog


@pytest.mark.parametrize("module", [cnnref, blog], ids=["cnnref", "blog"])
@pytest.mark.parametrize("name", CACHES)
def test_caches(name, module):
    names = CACHES[name]
    cache = tuple(arguments()[name]["cache"])
    mapping = dict(zip(names, cache, strict=True))
    refused(name, ValueError, "cache", module=module, cache=cache[:-1])
    refused(name, ValueError, "cache", module=module, cache=(*cache, 1))
    refused(name, ValueError, "cache", "extra", module=module, cache=mapping | {"extra": 1})
    for key in names:
        rest = {k: v for k, v in mapping.items() if k != key}
        refused(name, ValueError, "cache", key, "missing", module=module, cache=rest)
        if key not in ("Y_index", "hparameters", "affine_cache", "activation_cache"):
            refused(name, TypeError, key, module=module, cache=mapping | {key: mapping[key].astype(str)})
            refused(name, ValueError, key, module=module, cache=mapping | {key: mapping[key][0]})
    for value in (None, 3, "cache", np.ones(3), list(cache), object()):
        refused(name, TypeError, "cache", module=module, cache=value)


def test_affine_activation_caches():
    name = "affine_activation_backward"
    affine, activation = arguments()[name]["cache"]
    refused(name, ValueError, "cache", cache=(affine[:2], activation))
    refused(name, TypeError, "cache", cache=(3, activation))
    refused(name, ValueError, "cache.activation_cache", cache=(affine, activation[:2]))
    refused(name, TypeError, "cache.activation_cache", cache=(affine, activation.astype(str)))


def test_hyperparameters_inside_a_cache():
    for name, hparameters in (("conv_backward", {"stride": 1}), ("pool_backward", {"f": 2, "stride": 0})):
        refused(
            name,
            ValueError,
            "stride" if "f" in hparameters else "pad",
            cache=arguments()[name]["cache"]._replace(hparameters=hparameters),
        )
        refused(name, TypeError, "hparameters", cache=arguments()[name]["cache"]._replace(hparameters=None))


@pytest.mark.parametrize("bad", [6, -1, 2**40])
def test_labels_out_of_range(bad):
    refused("cross_entropy_cost", ValueError, "Y", bad, "row 3", Y=[0, 1, 2, bad, 4])
    pairs = [[0, 0], [1, 1], [2, 2], [3, bad], [4, 4]]
    AL = arguments()["cross_entropy_cost"]["AL"]
    for name in ("cross_entropy_backward", "softmax_cross_entropy_backward"):
        refused(name, ValueError, "Y_index", bad, "row 3", cache=(AL, pairs))


def test_labels_that_are_no_integers():
    for Y in (np.zeros(5), np.zeros(5, bool), ["0"] * 5, [0, 1, 2, 3, 4.0], None, [None] * 5):
        refused("cross_entropy_cost", TypeError, "Y", Y=Y)
        refused("cross_entropy_cost", TypeError, "Y", Y=Y, module=blog)
    refused("cross_entropy_cost", ValueError, "Y", 2**64 - 1, Y=np.array([0, 1, 2, 3, 2**64 - 1], np.uint64))
    for batch_size in (5.0, "5", True):
        refused("cross_entropy_cost", TypeError, "batch_size", batch_size=batch_size)
    refused("cross_entropy_cost", ValueError, "Y", Y=[0] * 5, AL=np.empty((5, 0)))


def test_rows_of_the_index_in_order():
    AL = arguments()["cross_entropy_cost"]["AL"]
    for index in ([[0, 0], [2, 0], [1, 0], [3, 0], [4, 0]], [[0, 0], [0, 0], [2, 0], [3, 0], [4, 0]]):
        refused("cross_entropy_backward", ValueError, "Y_index", "row 1", cache=(AL, index))
    refused("cross_entropy_backward", ValueError, "Y_index", "(5, 2)", cache=(AL, [[0, 0]] * 4))
    refused("cross_entropy_backward", ValueError, "Y_index", "(5, 2)", cache=(AL, [0] * 5))
    refused("cross_entropy_backward", TypeError, "Y_index", cache=(AL, np.zeros((5, 2))))


def test_more_labels_than_columns_in_the_blog():
    refused(
        "cross_entropy_cost",
        ValueError,
        "5 distinct labels",
        "3 columns",
        module=blog,
        AL=np.ones((5, 3)),
        Y=[1, 2, 3, 4, 5],
    )
