"""Each public docstring has an example, and each example gives what it says."""

import doctest
import inspect

import numpy as np
import pytest

import cnnref

NAMES = [name for name in cnnref.__all__ if callable(getattr(cnnref, name))]


def examples(name):
    """The examples of a public docstring, with what docs/conf.py gives those of the site."""
    text = inspect.getdoc(getattr(cnnref, name)) or ""
    return doctest.DocTestParser().get_doctest(text, {"np": np, "cnnref": cnnref}, name, None, None)


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_a_docstring(name):
    found = examples(name)
    assert any(example.want for example in found.examples), f"{name} shows no result"
    said = []
    with np.printoptions(precision=4, suppress=True):
        failed, _ = doctest.DocTestRunner().run(found, out=said.append)
    assert not failed, "".join(said)
    # What is shown is the function, or what has this name.
    assert any(name in example.source for example in found.examples) or isinstance(
        getattr(cnnref, name), type
    )


def test_there_are_as_many_as_there_are_public_functions():
    assert len(NAMES) > 45
