"""Each public docstring has an example, and each example, the pages' among them, gives what it says."""

import doctest
import inspect
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import cnnref

PAGES = [page for page in sorted(Path("docs").glob("*.md")) if "```{doctest}" in page.read_text()]
NAMES = [name for name in cnnref.__all__ if callable(getattr(cnnref, name))]


def examples(name):
    """The examples of a public docstring, with what docs/conf.py gives those of the site."""
    return parsed(inspect.getdoc(getattr(cnnref, name)) or "", name)


def parsed(text, name):
    return doctest.DocTestParser().get_doctest(
        text, {"np": np, "cnnref": cnnref, "blog": cnnref.blog}, name, None, None
    )


def wrong(found):
    """What its examples give instead."""
    said = []
    with np.printoptions(precision=4, suppress=True), warnings.catch_warnings():
        warnings.simplefilter("always")  # as in a new interpreter
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(found, out=said.append)
    return "".join(said)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page(page):
    found = parsed(
        "\n".join(re.findall(r"^```\{doctest\}\n(.*?)^```$", page.read_text(), re.M | re.S)), page.name
    )
    assert any(example.want for example in found.examples)
    assert not wrong(found)


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_a_docstring(name):
    found = examples(name)
    assert any(example.want for example in found.examples), f"{name} shows no result"
    assert not wrong(found)
    # What is shown is the function, or what has this name.
    assert any(name in example.source for example in found.examples) or isinstance(
        getattr(cnnref, name), type
    )


def test_there_are_as_many_as_there_are_public_functions():
    assert len(NAMES) > 45
