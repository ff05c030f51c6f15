"""Identities without an oracle: right kernels keep them, a planted fault is told by what it breaks."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from conformance.adapters import numpy_loops
from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.conventions import Settings
from conformance.diagnosis.identities import vote
from conformance.diagnosis.identity_layers import LAYERS
from conformance.diagnosis.identity_votes import Ballot, Vote
from conformance.implementations.implementation import Implementation
from conformance.verdict.judge import Judge
from tests.planted import FAULTS, implementation

#: One shape of each layer in which every identity can be asked.
SHAPES = {
    "conv": ("m3h5w7c2_f3k4_s2p1",),
    "conv_transpose": ("m3h4w5c2_f3k4_s1p0",),
    "affine": ("m3i5o4",),
    "affine_activation": ("m3i5o4_relu", "m3i5o4_NULL"),
    "pool": ("m2h7w8c4_f3s2_max", "m2h7w8c4_f3s2_average", "m2h6w9c4_f4s1_average"),
    "pad3d": ("m2h3w4c5_p2",),
    "arr2col": ("m2h3w4c5",),
    "col2arr": ("m2h3w4c5",),
    "relu": ("m2h3w4c5",),
}
#: Faults that integers cannot show: they round, flush, mistake NaN or equal values, write into their input.
UNSEEN = {
    "bfloat16-inputs", "tf32-inputs", "computed-in-float32", "subnormals-flushed", "input-modified",
    "max-ignores-nan", "pool-ties-last", "relu-gradient-at-zero", "relu-nan-to-zero", "relu-times-mask",
}  # fmt: skip


def cases(op, dtype="f32"):
    layer = LAYERS[op].forward.replace("_forward", "")
    shapes = SHAPES[op if op == "col2arr" else layer]
    return [Case.parse(f"{op}:{dtype}:{shape}:small:1".replace("small", family(shape))) for shape in shapes]


def family(shape):
    return "normal" if "f3s2_average" in shape else "small"


def wrapped(functions, **settings):
    return Implementation("it", functions, Arithmetic.declared(None, None), settings=Settings(**settings))


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("op", LAYERS)
def test_a_right_kernel_keeps_every_identity(op, dtype):
    for case in cases(op, dtype):
        ballot = vote(wrapped(numpy_loops), case, 60.0)
        assert not ballot.votes, ballot.lines()
        assert {"adjoint", "batch order"} <= set(ballot.held)
        assert ("stride" in ballot.held) == ("s2" in str(case))
        assert ("padding" in ballot.held) == ("p1" in str(case) or "p2" in str(case))
        assert ("bias" in ballot.held) == ("conv" in op or ("affine" in op and "relu" not in str(case)))


@pytest.fixture(scope="module")
def verdicts():
    """Of each fault in a layer: the outputs that fail, those shown wrong and those accused."""
    found = {}
    for fault in FAULTS:
        if fault.op not in LAYERS:
            continue
        target = wrapped(implementation(fault))
        for case in cases(fault.op, fault.dtype):
            failed = {f"{r.op}.{r.output}" for r in Judge(target)(case) if r.status == "failed"}
            if failed:
                found[fault, str(case)] = failed, vote(target, case, 60.0)
    return found


def test_what_is_shown_to_be_wrong_is(verdicts):
    assert len(verdicts) > 60
    for (fault, case), (_, ballot) in verdicts.items():
        wrong = {f"{fault.op}.{output}" for output in fault.outputs}
        assert set(ballot.shown) <= wrong, (str(fault), case, ballot.lines())


def test_the_vote_names_a_wrong_output_for_nine_of_ten(verdicts):
    asked = {
        key: (failed, ballot)
        for key, (failed, ballot) in verdicts.items()
        if key[0].slip not in UNSEEN and not set(failed) <= set(ballot.unfit)
    }
    named = [key for key, (failed, ballot) in asked.items() if set(ballot.accused) & failed]
    assert len(asked) > 50
    left = [f"{key[0]} {key[1]} {ballot.lines()}" for key, (_, ballot) in asked.items() if key not in named]
    assert len(named) >= 0.9 * len(asked), left


def test_of_three_the_odd_one_is_wrong():
    def conv_backward(dZ, cache):
        dA_prev, dW, db = numpy_loops.conv_backward(dZ, cache)
        return dA_prev, np.flip(dW, 0).copy(), db

    target = wrapped(SimpleNamespace(conv_forward=numpy_loops.conv_forward, conv_backward=conv_backward))
    ballot = vote(target, cases("conv_backward")[0], 60.0)
    assert ballot.accused == ["conv_backward.dW"]
    assert "<dW, W>" in ballot.lines()[1]
    assert "by majority" in ballot.verdict()


def test_a_gradient_alone_is_judged_by_its_own_identities():
    def conv_backward(dZ, cache):
        dA_prev, dW, db = numpy_loops.conv_backward(dZ, cache)
        dW = dW.copy()
        dW[0, 0, 0, 0] = (dZ[0] * 2).sum()
        return dA_prev, dW, db

    ballot = vote(wrapped(SimpleNamespace(conv_backward=conv_backward)), cases("conv_backward")[0], 60.0)
    assert ballot.shown == ["conv_backward.dW"]


def test_both_gradients_wrong_alike_are_not_passed_off_as_a_wrong_forward():
    votes = [Vote("adjoint", ("f.Z", "b.dA", "b.dW"), "", (("b.dA", "b.dW"), ("f.Z",)))]
    assert Ballot(votes).verdict() == "f.Z wrong by majority, unless b.dA and b.dW are so in the same way"
    votes.append(Vote("stride", ("b.dA",), ""))
    votes.append(Vote("stride", ("b.dW",), ""))
    ballot = Ballot(votes)
    assert (ballot.shown, ballot.suspects) == (["b.dA", "b.dW"], [])


def test_an_output_of_the_wrong_shape_is_said_not_to_be_asked():
    def affine_backward(dZ, cache):
        dA_prev, dW, db = numpy_loops.affine_backward(dZ, cache)
        return dA_prev, dW.T, db.reshape(-1)

    functions = SimpleNamespace(affine_forward=numpy_loops.affine_forward, affine_backward=affine_backward)
    case = cases("affine_backward")[0]
    ballot = vote(wrapped(functions), case, 60.0)
    assert set(ballot.unfit) == {"affine_backward.dW", "affine_backward.db"}
    assert any("not asked of affine_backward.dW" in line for line in ballot.lines())
    assert set(vote(wrapped(functions, lenient_shapes=True), case, 60.0).unfit) == {"affine_backward.dW"}


def test_documented_choices_break_no_identity():
    def mean(dZ, cache):
        dA_prev, dW, db = numpy_loops.affine_backward(dZ, cache)
        return dA_prev, dW / dW.dtype.type(len(dZ)), db / db.dtype.type(len(dZ))

    functions = SimpleNamespace(affine_forward=numpy_loops.affine_forward, affine_backward=mean)
    case = Case.parse("affine_backward:f32:m4i5o3:small:1")
    assert vote(wrapped(functions), case, 60.0).votes
    assert not vote(wrapped(functions, conventions={"affine-gradient": "mean"}), case, 60.0).votes


def test_nothing_is_asked_where_there_is_nothing_to_ask():
    for text in ("softmax:f32:m2n3:normal:1", "conv_forward:f32:m0h4w4c1_f2k1_s1p0:small:1"):
        assert vote(wrapped(numpy_loops), Case.parse(text)).lines() == []
