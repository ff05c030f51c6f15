"""The type stubs name what the package has, with the same arguments and defaults.

`python tests/kernels/test_stubs.py` writes `cnnref/blog.pyi` anew: its functions have the types of `cnnref`.
"""

import ast
import inspect
from pathlib import Path

import cnnref
from cnnref import blog

STUBS = Path(cnnref.__file__).parent


def stub(name):
    return ast.parse((STUBS / name).read_text())


def test_functions_of_the_package():
    seen = set()
    for node in stub("__init__.pyi").body:
        if not isinstance(node, ast.FunctionDef):
            continue
        seen.add(node.name)
        parameters = dict(inspect.signature(getattr(cnnref, node.name)).parameters)
        keys = parameters.pop("keywords", None)  # which the stub names one by one, without a default
        named = [*node.args.args, *node.args.kwonlyargs]
        assert [argument.arg for argument in named][: len(parameters)] == list(parameters), node.name
        assert (len(named) > len(parameters)) == (keys is not None), node.name
        if not node.decorator_list:  # an overload has the defaults of one way to call
            values = [*node.args.defaults, *(value for value in node.args.kw_defaults if value)]
            defaults = [ast.literal_eval(value) for value in values]
            defaults = [value for value in defaults if value is not ...]
            assert defaults == [p.default for p in parameters.values() if p.default is not p.empty], node.name
    public = {name for name in cnnref.__all__ if inspect.isroutine(getattr(cnnref, name))}
    assert len(public) == len(blog.__all__) + 4  # and those of threads, configuration and the plan
    assert seen == public


def test_names_of_the_package():
    """Defined in the stub, or imported as itself, which is how a stub says that a name is public."""
    names = set()
    for node in stub("__init__.pyi").body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname for alias in node.names if alias.asname == alias.name}
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign):
            names.add(node.target.id)
    assert names == set(cnnref.__all__)


def blog_stub():
    """The text of `cnnref/blog.pyi`."""
    return "".join(f"from cnnref import {name} as {name}\n" for name in blog.__all__)


def test_functions_of_the_blog():
    assert (STUBS / "blog.pyi").read_text() == blog_stub(), "python tests/kernels/test_stubs.py writes it"


if __name__ == "__main__":
    (STUBS / "blog.pyi").write_text(blog_stub())
