"""The probe finds, by experiment, each choice that is planted."""

import numpy as np
import pytest

from conformance.adapters import numpy_loops as n
from conformance.bounds import Arithmetic
from conformance.commands import cli
from conformance.conventions import CONVENTIONS
from conformance.diagnosis.probe import EXPERIMENTS, probe
from conformance.implementations.implementation import Implementation
from conformance.operations import OPERATIONS


def pool(share):
    """pool_backward whose windows share their gradient as `share(window)` says, one window at a time."""

    def pool_backward(dA, cache, mode="max"):
        if mode != "max":
            return n.pool_backward(dA, cache, mode)
        A, hyper = cache
        f, s = hyper["f"], hyper["stride"]
        out = np.zeros_like(A)
        for m, r, q, c in np.ndindex(dA.shape):
            place = (m, slice(r * s, r * s + f), slice(q * s, q * s + f), c)
            weights = share(A[place].reshape(-1)).reshape(f, f)
            out[place] += np.where(weights == 0, 0, weights * dA[m, r, q, c]).astype(A.dtype)
        return out

    return {"pool_backward": pool_backward}


def one(index, size):
    return np.eye(size)[index]


def borders_excluded():
    def pool_forward(A_prev, hparameters, mode="max"):
        return n.pool_forward(A_prev, {"count_include_pad": False, **hparameters}, mode)

    def pool_backward(dA, cache, mode="max"):
        return n.pool_backward(dA, cache, mode)

    return {"pool_forward": pool_forward, "pool_backward": pool_backward}


def torch_like(x, otherwise):
    bad = np.flatnonzero(np.isnan(x))
    return one(bad[-1], x.size) if bad.size else otherwise(x == x.max())


def relu_gradient(zero, nan):
    def relu_backward(dA, cache):
        slope = np.where(np.isnan(cache), nan, np.where(cache == 0, zero, cache > 0))
        return (dA * slope).astype(dA.dtype)

    return {"relu_backward": relu_backward}


def relu_without_nan(Z):
    return np.where(Z > 0, Z, 0).astype(Z.dtype), Z


def mask(x):
    return (x == x.max()).astype(x.dtype)


def losses(change, reduce=lambda m: 1):
    def cost(AL, Y, batch_size=None):
        loss, cache = n.cross_entropy_cost(AL, change(np.asarray(Y)))
        return loss * reduce(len(AL)), cache

    return {"cross_entropy_cost": cost}


def gradient_of_sum(cache):
    return n.cross_entropy_backward(cache) * cache.AL.dtype.type(len(cache.AL))


def bare(X):
    with np.errstate(all="ignore"):
        e = np.exp(X)
        return e / e.sum(axis=1, keepdims=True), X


def mean_gradient(dZ, cache):
    dA, dW, db = n.affine_backward(dZ, cache)
    m = dZ.dtype.type(max(1, len(dZ)))
    return dA, dW / m, db / m


CHOICES = {
    ("pool-ties", "last"): pool(lambda x: torch_like(x, lambda t: one(np.flatnonzero(t)[-1], x.size))),
    ("pool-ties", "all"): pool(lambda x: torch_like(x, lambda t: t * 1.0)),
    ("pool-ties", "shared"): pool(lambda x: torch_like(x, lambda t: t / t.sum())),
    ("relu-zero", "1"): relu_gradient(1, 1),
    ("relu-zero", "0.5"): relu_gradient(0.5, 1),
    ("relu-nan", "0"): {"relu": relu_without_nan},
    ("relu-nan-gradient", "0"): relu_gradient(0, 0),
    ("labels", "rank"): losses(lambda Y: np.unique(Y, return_inverse=True)[1].reshape(-1)),
    ("labels", "one-based"): losses(lambda Y: Y - 1),
    ("softmax-shift", "none"): {"softmax": bare},
    ("loss-reduction", "sum"): losses(lambda Y: Y, lambda m: m),
    ("loss-gradient", "sum"): {"cross_entropy_backward": gradient_of_sum},
    ("affine-gradient", "mean"): {"affine_backward": mean_gradient},
    ("average-pool-borders", "exclude"): borders_excluded(),
    ("mask-ties", "last"): {"create_mask_from_window": lambda x: _last(x)},
}


def _last(x):
    bad = np.flatnonzero(np.isnan(x))
    place = bad if bad.size else np.flatnonzero(x == x.max())
    return one(place[-1], x.size).reshape(x.shape).astype(x.dtype)


def implementation(functions, only=False):
    target = type("Changed", (), {})()
    for name in OPERATIONS:
        function = functions.get(name, None if only else getattr(n, name))
        if function is not None:
            setattr(target, name, function)
    return Implementation("changed", target, Arithmetic(), options=options_of(functions))


def options_of(functions):
    """What the changed functions take beyond the contract: padding, where they are of the loops."""
    return ("pool_*.pad",) if "pool_forward" in functions or not functions else ()


def findings(functions, only=False):
    return {finding.convention.name: finding for finding in probe(implementation(functions, only))}


def test_every_convention_has_an_experiment_that_tells_all_its_values_apart():
    assert set(EXPERIMENTS) == set(CONVENTIONS)
    for name, finding in findings({}).items():
        assert finding.values == (CONVENTIONS[name].default,), name


@pytest.mark.parametrize(("name", "value"), CHOICES)
def test_a_planted_choice_is_found(name, value):
    found = findings(CHOICES[name, value], only=True)
    assert found[name].values == (value,), found[name].note


def test_a_comparison_with_the_maximum_is_what_it_is():
    found = findings({"create_mask_from_window": mask})
    assert found["mask-ties"].values == ("all",)
    assert found["mask-nan"].values == ("none",)


def test_what_is_none_of_the_known_choices_is_said():
    found = findings(relu_gradient(0.25, 1), only=True)["relu-zero"]
    assert found.values == ()
    assert found.note.startswith("relu_backward gives dZ =")


def test_what_is_not_there_is_not_asked():
    found = findings({"relu": n.relu}, only=True)
    assert found["labels"].note == "not asked: no such function"


def test_an_option_that_is_not_declared_is_not_asked():
    found = findings(pool(lambda x: torch_like(x, lambda t: t * 1.0)))["average-pool-borders"]
    assert found.note == "not asked: declares no option pad"


def test_the_command(capsys):
    assert cli.main(["probe", "--impl", "numpy_loops"]) == 0
    shown = capsys.readouterr().out
    assert "pool-ties             first" in shown
    assert "average-pool-borders  include" in shown
