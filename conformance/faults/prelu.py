"""Faults of PReLU."""

from __future__ import annotations

from functools import partial

import numpy as np

from conformance.faults.core import Array, Arrays
from conformance.faults.rows import data, instead, is_word, option, scaled
from conformance.operations.prelu import below

_BOTH = {"prelu": "A", "prelu_backward": "dZ"}
_SLOPES = {"prelu_backward": "dslopes"}
_sum = partial(option, targets=_SLOPES)


def _above(a: Arrays) -> Array:
    return np.asarray(a["Z"] > 0)


def _output(a: Arrays) -> Array:
    return np.asarray(np.where(below(a), a["slopes"] * a["Z"], a["Z"]))


data("prelu-is-relu", "What is below 0 becomes 0, or lets no gradient through.", _BOTH,
     lambda case, a: {"slopes": np.zeros_like(a["slopes"])})  # fmt: skip
option("prelu-slope-above", "The slope is applied above 0 instead of below.", _BOTH, where=_above)
option("prelu-slope-everywhere", "The slope is applied above 0 too.", _BOTH,
       where=lambda a: np.ones(a["Z"].shape, bool))  # fmt: skip
data("prelu-first-slope-for-all", "The slope of the first channel is that of all.", _BOTH,
     lambda case, a: {"slopes": np.broadcast_to(a["slopes"][..., :1], a["slopes"].shape)},
     is_word("slopes", "channelwise"))  # fmt: skip
instead("prelu-is-maximum", "max(Z, slopes*Z) is returned, another function where a slope is above 1.",
        {"prelu": "A"}, lambda case, a: np.maximum(a["Z"], a["slopes"] * a["Z"]))  # fmt: skip
option("prelu-gradient-of-right-at-zero", "At 0 dA passes whole, as if the slope there were 1.",
       {"prelu_backward": "dZ"}, where=lambda a: below(a) & (a["Z"] != 0))  # fmt: skip
option("prelu-mask-from-output", "The mask is taken from A > 0, which a negative slope turns round.",
       {"prelu_backward": "dZ dslopes"}, where=lambda a: ~(_output(a) > 0),
       summed=lambda a: ~(_output(a) > 0))  # fmt: skip
_sum("prelu-slopes-not-masked", "Where Z is above 0, dA*Z is added to the gradient of the slopes too.",
     summed=lambda a: np.ones(a["Z"].shape, bool))  # fmt: skip
_sum("prelu-slopes-masked-above", "The gradient of the slopes is summed where Z is above 0.",
     summed=_above)  # fmt: skip
_sum("prelu-slopes-without-z", "The gradient of the slopes is the sum of dA, without the factor Z.",
     term=lambda a: a["dA"])  # fmt: skip
_sum("prelu-slopes-of-output", "The gradient of the slopes is the sum of dA*A instead of dA*Z.",
     term=lambda a: a["dA"] * _output(a))  # fmt: skip
scaled(
    "prelu-slopes-mean",
    "The gradient of the slopes is a mean over samples and pixels.",
    _SLOPES,
    over=lambda case, a: max(case["m"] * case["h"] * case["w"], 1),
)
