"""Imports run one way, from a room to those that stand before it, and no chain of them is long."""

import re
from functools import cache
from pathlib import Path

import pytest

import cnnref

TREE = Path(__file__).parents[2]

#: A room a line: what is in it may import its own and what the lines above hold, nothing below.
ROOMS = {
    "cnnref": """
        cnnref._baseline cnnref._avx2 cnnref._avx512 cnnref._limits cnnref._processor
        cnnref.kernels.base.types cnnref.kernels.base.caches
        cnnref._dispatch cnnref.caches cnnref.checks.aligned cnnref.checks.arrays cnnref.checks.mistakes
        cnnref.threads cnnref.config
        cnnref.kernels.base cnnref.kernels.__init__
        cnnref.checks
        cnnref.kernels.vmath
        cnnref.kernels.reduce
        cnnref.kernels.pool
        cnnref.checks.pool_affine
        cnnref.kernels.conv.problem cnnref.kernels.conv.__init__
        cnnref.kernels.gemm.micro_kernel
        cnnref.kernels.planar.micro_kernel
        cnnref.kernels.depthwise.micro_kernel cnnref.kernels.depthwise.wgrad_micro_kernel
        cnnref.kernels.wgrad.micro_kernel cnnref.kernels.wgrad.blocking
        cnnref.kernels.conv.select
        cnnref.kernels.gemm
        cnnref.kernels.planar
        cnnref.kernels.wgrad
        cnnref.kernels.depthwise
        cnnref.kernels.wgrad.driver
        cnnref.kernels.conv
        OPERATIONS cnnref.window_pool cnnref.elementary cnnref.plan cnnref.affine_activation
        cnnref.__init__ cnnref.blog
        cnnref.torch
        cnnref.classifier
        cnnref.__main__
    """.replace("OPERATIONS", " ".join(f"cnnref.{module}" for module in cnnref._OPERATIONS)),
    "conformance": """
        conformance.__init__
        conformance.cases
        conformance.operations
        conformance.cases.case
        conformance.generation
        conformance.oracle
        conformance.bounds
        conformance.conventions
        conformance.faults
        conformance.implementations
        conformance.verdict
        conformance.diagnosis
        conformance.report
        conformance.models
        conformance.runs
        conformance.commands
        conformance.adapters
        conformance.interface
        conformance.cli conformance.__main__ conformance.pytest_plugin
    """,
}
_IMPORT = re.compile(r"^[ \t]*(?:from ([\w.]+) )?c?import (\([^)]*\)|[^\n]*)", re.MULTILINE)
_TYPES = re.compile(r"^if TYPE_CHECKING:\n(?:[ \t]+.*\n|\n)+", re.MULTILINE)  # these are not run


@cache
def imports(package):
    """Of each module, which modules of the tree it imports; a declaration (.pxd) counts as its module's."""
    texts = {}
    for path in sorted(p for p in (TREE / package).rglob("*") if p.suffix in (".py", ".pyx", ".pxd")):
        name = ".".join(path.relative_to(TREE).with_suffix("").parts).removesuffix(".__init__")
        texts[name] = texts.get(name, "") + _TYPES.sub("", path.read_text(encoding="utf-8"))
    found = {name: set() for name in texts}
    for name, text in texts.items():
        for module, names in _IMPORT.findall(text):
            for word in re.sub(r"#.*|[()\\]|\bas \w+", " ", names).replace(",", " ").split():
                full = f"{module}.{word}" if module else word
                place = full if full in texts else module or full
                if place.split(".")[0] in ROOMS and place != name:
                    found[name].add(place)
    return found


def room(package, module):
    """The line of `ROOMS` that a module stands in: that of the longest name that it begins with."""
    module = f"{module}.__init__." if (TREE / module.replace(".", "/")).is_dir() else f"{module}."
    lines = [line.split() for line in ROOMS[package].strip().splitlines()]
    fitting = [(len(n), i) for i, line in enumerate(lines) for n in line if module.startswith(n)]
    assert fitting, f"{module} stands in no room"
    return max(fitting)[1]


PACKAGES = [package for package in ROOMS if package != "cnnref" or (TREE / "cnnref" / "kernels").is_dir()]


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way(package):
    edges = [(name, other) for name, others in imports(package).items() for other in others]
    assert len(edges) > 100
    assert [f"{name} imports {other}" for name, other in edges if other.split(".")[0] != package] == []
    stands = {name: room(package, name) for name in imports(package)}
    assert [f"{name} imports {other}" for name, other in edges if stands[name] < stands[other]] == []


def test_no_chain_of_imports_of_the_suite_is_long():
    edges, rooms = imports("conformance"), {path.parent for path in (TREE / "conformance").glob("*/*.py")}

    @cache
    def longest(module):
        return (*max((longest(other) for other in edges[module]), default=(), key=len), module)

    chain = max(map(longest, edges), key=len)
    assert len(chain) <= len(rooms) + 3, " <- ".join(chain)
