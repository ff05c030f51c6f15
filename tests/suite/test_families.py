"""Which tier judges a family on an operation, and the stream of integers that all data come from."""

import hashlib

import numpy as np
import pytest

from conformance.bounds.tier import kind_of
from conformance.cases.case import Case
from conformance.cases.dtypes import KNOWN
from conformance.generation.families import FAMILIES
from conformance.generation.random import Stream, full_mantissa
from conformance.operations import OPERATIONS


def test_kind_follows_from_what_the_operation_does_to_the_family():
    kinds = {
        "pool_forward:f32:m2h9w7c5_f4s1_average:small:0": "exact",
        "pool_forward:f32:m2h9w7c5_f3s1_average:small:0": "bound",
        "pool_forward:f32:m2h9w7c5_f3s1_max:small:0": "exact",
        "distribute_value:f32:h4w2:wide-x:0": "exact",
        "distribute_value:f32:h3w2:wide-x:0": "bound",
        "affine_activation_forward:f32:m2i3o4_relu:small:0": "exact",
        "affine_activation_forward:f32:m2i3o4_sigmoid:normal:0": "statistical",
        "affine_activation_forward:f32:m2i3o4_NULL:normal:0": "statistical",
        "affine_forward:f32:m2i3o4:normal:0": "statistical",
        "softmax:f32:m2n3:normal:0": "bound",
        "sigmoid:f32:m2h3w4c5:subnormal:0": "bound",
        "affine_backward:f32:m300000i3o4:small:0": "bound",
    }
    assert {case: kind_of(Case.parse(case)) for case in kinds} == kinds


def test_every_family_has_a_description_and_a_known_kind():
    for name, family in FAMILIES.items():
        assert family.name == name
        assert family.description
        assert family.kind in ("exact", "bound", "statistical")
        assert set(family.operations) <= set(OPERATIONS)


def test_stream_is_uniform_and_in_range():
    values = Stream("a text").integers(-3, 4, (80_000,))
    assert sorted(set(values)) == list(range(-3, 5))
    assert np.abs(np.bincount(values + 3) / 10_000 - 1).max() < 0.05
    assert (Stream("a text").integers(-3, 4, (9,)) == values[:9]).all()
    assert (Stream("another").integers(-3, 4, (9,)) != values[:9]).any()


def test_stream_is_that_of_numpy():
    for text in ("", "a text", "conv_forward:f32:m2h9w7c3_f3k4_s2p1:normal:17"):
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")
        assert (Stream(text).raw((3, 11)).ravel() == np.random.PCG64(seed).random_raw(33)).all()


@pytest.mark.parametrize("dtype", [np.dtype(kind) for kind in KNOWN.values()], ids=str)
def test_stream_goes_on_where_an_array_ends(dtype):
    """What comes after an array does not depend on its dtype, and each element is drawn apart."""
    draws = {
        "integers": lambda stream, shape: stream.integers(-1, 1, shape, dtype),
        "signs": lambda stream, shape: stream.signs(shape, dtype),
        "signed": lambda stream, shape: stream.signed(1, 7, shape, dtype),
        "normal": lambda stream, shape: stream.normal(shape, dtype),
        "uniform": lambda stream, shape: stream.uniform(shape, dtype),
        "magnitudes": lambda stream, shape: stream.magnitudes(shape, dtype),
        "around": lambda stream, shape: stream.around(np.array([16.5, 88.5]), shape, dtype),
    }
    blocks = {"normal": 2, "signed": 2, "magnitudes": 5, "around": 3}  # 64 bits for each element
    for name, draw in draws.items():
        stream, other = Stream("a text"), Stream("a text")
        values = draw(stream, (7, 3))
        assert values.dtype == dtype, name
        assert len(np.unique(values)) > 1, name
        other.raw((21 * blocks.get(name, 1),))
        assert (stream.raw((4,)) == other.raw((4,))).all(), name


def test_full_mantissa_keeps_zero_and_sign():
    values = full_mantissa(np.array([0.0, -0.0, 1.0, -2.5]), np.dtype(np.float32))
    assert values.tolist() == [0.0, 0.0, np.nextafter(np.float32(1), 2), -np.nextafter(np.float32(2.5), 3)]
