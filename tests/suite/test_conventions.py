"""A documented choice is no failure; any other one still is."""

import numpy as np
import pytest
from test_probe import CHOICES, options_of

from conformance.adapters import numpy_loops
from conformance.bounds import Arithmetic
from conformance.cases.case import Case
from conformance.commands import cli
from conformance.conventions import CONVENTIONS, ConventionError, Settings, offered, parse, read
from conformance.generation.generate import generate
from conformance.implementations.implementation import Implementation
from conformance.operations import OPERATIONS, select
from conformance.verdict.judge import Judge


def failures(functions, conventions, count=40):
    target = type("Changed", (), {})()
    for name in OPERATIONS:
        setattr(target, name, functions.get(name, getattr(numpy_loops, name)))
    settings = Settings(conventions)
    changed = Implementation(
        "changed", target, Arithmetic(), settings=settings, options=options_of(functions)
    )
    judge = Judge(changed)
    judge.diagnoser = None
    chosen = [operation for name in functions for operation in select([name])]
    found = [judge(case) for case in generate(chosen, ("f32", "f64"), count, 3)]
    return [record for records in found for record in records if record.status == "failed"]


@pytest.mark.parametrize(("name", "value"), CHOICES)
def test_a_choice_fails_unless_it_is_named(name, value):
    functions = CHOICES[name, value]
    if value != CONVENTIONS[name].default:
        assert failures(functions, {})
    left = failures(functions, {name: value})
    assert not left, left[0].line()
    for other in CONVENTIONS[name].values:
        if other != value:
            assert failures(functions, {name: other}), other


def test_anything_else_is_still_a_failure():
    def relu_backward(dA, cache):
        return np.where(cache >= 0, dA, dA.dtype.type(2) ** -20).astype(dA.dtype)

    assert failures({"relu_backward": relu_backward}, {"relu-zero": "1"})


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("pool-ties", "not NAME=VALUE"),
        ("ties=last", "no convention 'ties'"),
        ("pool-ties=best", "expected one of first"),
    ],
)
def test_what_is_no_convention_is_refused(item, message, capsys):
    with pytest.raises(ConventionError, match=message):
        parse([item])
    assert cli.main(["run", "--convention", item]) == 2
    assert message in capsys.readouterr().err


def test_the_list_shows_every_convention(capsys):
    cli.main(["list"])
    shown = capsys.readouterr().out
    assert all(
        f"{c.name}: {c.text}" in shown and all(v in shown for v in c.values) for c in CONVENTIONS.values()
    )


@pytest.mark.parametrize(("labels", "seen"), [("rank", [-100, 0, 1, -100, 0]), ("one-based", None)])
def test_an_ignored_label_is_no_class_to_be_renumbered(labels, seen):
    case = Case.parse("cross_entropy_cost:f64:m5n9_ignore-100:probabilities:0")
    arrays, settings = {"Y": np.array([-100, 3, 8, -100, 3])}, Settings({"labels": labels})
    assert offered(case, arrays, settings)["Y"].tolist() == (
        [-100, 4, 9, -100, 4] if not seen else arrays["Y"].tolist()
    )
    assert read(case, arrays, settings)["Y"].tolist() == (seen or arrays["Y"].tolist())
