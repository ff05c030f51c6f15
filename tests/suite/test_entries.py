"""One operation, one place: an entry is all there is of it, and nothing else asks for it by its name."""

import ast
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conformance import conventions
from conformance.cases.case import Case
from conformance.cases.request import Array, Cache, Made, Number, Output
from conformance.diagnosis import probe
from conformance.faults.catalogue import NAMED
from conformance.generation.arrays import draw
from conformance.generation.families import FAMILIES
from conformance.implementations.implementation import here
from conformance.operations import OPERATIONS, having
from conformance.operations.entry import TRAITS, Entry

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / "conformance"
FILES = sorted(
    path.stem for path in (SUITE / "operations").glob("*.py") if "\nENTRIES = " in path.read_text()
)


def is_op(node):
    return getattr(node, "attr", getattr(node, "id", "")) == "op"


def questions(tree):
    """The places that ask for an operation by its name: ``case.op == "relu"``, ``op.startswith("conv")``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            words = [word for side in sides for word in getattr(side, "elts", [side])]
            if any(map(is_op, sides)) and any(isinstance(word, ast.Constant) for word in words):
                yield node.lineno
        elif (
            isinstance(node, ast.Attribute) and node.attr in ("startswith", "endswith") and is_op(node.value)
        ):
            yield node.lineno


def sources():
    return (path for path in SUITE.rglob("*.py") if SUITE / "operations" not in path.parents)


def test_no_line_elsewhere_asks_for_an_operation_by_its_name():
    found = [
        f"{p.relative_to(ROOT)}:{line}" for p in sources() for line in questions(ast.parse(p.read_text()))
    ]
    compiled = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SUITE.rglob("*.pyx")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "case.op" in line.replace("case.operation", "")
    ]
    assert found + compiled == []


@pytest.mark.parametrize(
    "line",
    ['case.op == "relu"', 'op in ("relu", "tanh")', 'seen.case.op.startswith("conv")', '"relu" != case.op'],
)
def test_such_a_question_is_found(line):
    assert list(questions(ast.parse(line))) == [1]


def test_torch_is_imported_by_the_oracle_the_dialects_and_models_alone():
    def imports(path):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield str(node.module).split(".")[0]

    importing = {str(path.relative_to(SUITE)) for path in SUITE.rglob("*.py") if "torch" in imports(path)}
    dialects = {
        f"implementations/dialects/{name}.py"
        for name in (
            "torch",
            "torch_modules",
            "model_run",
            "graphs",
            "tensors",
            "compared",
            "model_tensors",
        )
    }
    # A Model of several operations is run and its rounding measured: what is right for its ModelNew.
    models = {f"models/{name}.py" for name in ("prepare", "rounding")}
    assert importing == {"oracle/torch_oracle.py", "adapters/torch_float32.py", *dialects, *models}


def test_what_calls_an_implementation_knows_neither_operations_nor_oracle():
    script = (
        "import sys, conformance.implementations.calls, conformance.implementations.dialects;"
        "print([n for n in sys.modules if n.startswith('conformance.') or n == 'torch']);"
        "from conformance.implementations.dialects import cs231n, layers, torch_modules;"
        "print([n for n in sys.modules if n.startswith('conformance.')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    without, dialects = map(ast.literal_eval, done.stdout.splitlines())
    assert "conformance.implementations.calls" in without
    assert "torch" not in without
    rooms = ("operations", "oracle", "cases.case", "bounds", "verdict", "generation", "faults", "conventions")
    assert not [name for name in dialects if name.startswith(tuple(f"conformance.{room}" for room in rooms))]


PLAIN = (Array, Number, Output, Cache, Made, np.ndarray, bool, int, float, str)


def leaves(value):
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, dict):
        yield from leaves(list(value.values()))
    elif isinstance(value, Made):
        yield from leaves(list(value.fields.values()))
    elif value is not None:
        yield value


@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.parametrize("whole", [True, False])
def test_a_request_is_plain_data(op, whole):
    from conformance.generation.generate import Drawing

    implementation = here("cnnref")
    if not whole:
        only = type("Only", (), {op: staticmethod(getattr(implementation.target, op))})
        object.__setattr__(implementation, "target", only)
    case = Drawing(OPERATIONS[op], "f32", 0).further(0)
    request = implementation.request(case, draw(case))
    assert request.steps[-1].function == op
    assert len(request.steps) == 1 or whole
    assert repr(pickle.loads(pickle.dumps(request))) == repr(request)
    for step in request.steps:
        given = [*leaves(step.arguments), *leaves(dict(step.keywords)), *leaves(dict(step.hyper or {}))]
        assert given
        assert all(isinstance(value, PLAIN) for value in given), given


def test_names_elsewhere_are_of_operations():
    assert set(NAMED) <= set(OPERATIONS)
    assert {op for c in conventions._TABLE for op in c.operations} <= set(OPERATIONS)
    assert {op for asked in probe.EXPERIMENTS.values() for op in asked} <= set(OPERATIONS)


def test_every_trait_is_had_and_one_that_is_none_is_refused():
    assert {trait for entry in OPERATIONS.values() for trait in entry.traits} == set(TRAITS)
    assert {trait for family in FAMILIES.values() for trait in family.traits} <= set(TRAITS)
    with pytest.raises(ValueError, match="bouncy is no trait"):
        having("bouncy")
    entry = OPERATIONS["relu"]
    with pytest.raises(ValueError, match="relu: bouncy is no trait"):
        Entry(
            name="relu", grammar=entry.grammar, arrays=("Z",), outputs=("A",), call=entry.call,
            oracle=entry.oracle, reference=entry.reference, traits=frozenset({"bouncy"}),
        )  # fmt: skip


def without(place, file):
    """A copy of the suite whose file `file` holds no entry; the names that it had."""
    shutil.copytree(SUITE, place / "conformance", copy_function=os.symlink)
    path = place / "conformance" / "operations" / f"{file}.py"
    text = path.read_text()
    path.unlink()
    path.write_text(f"{text}\nENTRIES = ()\n")
    module = sys.modules[f"conformance.operations.{file}"]
    return [entry.name for entry in module.ENTRIES]


def run(place, *command):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(place), str(ROOT)])}
    return subprocess.run(
        [sys.executable, *command], cwd=place, env=environment, capture_output=True, text=True, check=False,
        timeout=600,
    )  # fmt: skip


@pytest.mark.parametrize("file", FILES)
def test_without_its_entry_an_operation_is_listed_nowhere(file, tmp_path):
    gone = without(tmp_path, file)
    done = run(tmp_path, "-m", "conformance", "list")
    assert done.returncode == 0, done.stderr[-2000:]
    head = done.stdout.splitlines()
    assert head[0].startswith(f"Operations ({len(OPERATIONS) - len(gone)})")
    listed = {line.split("(")[0].split(":")[0].strip() for line in head}
    assert not listed & set(gone)


@pytest.mark.parametrize("file", ["relu", "softmax", "columns"])
def test_without_its_entry_the_rest_is_judged(file, tmp_path):
    gone = without(tmp_path, file)
    done = run(
        tmp_path,
        "-m",
        "conformance",
        "run",
        "--impl",
        "numpy_loops",
        "--cases",
        "2",
        "--workers",
        "2",
        "--out",
        "out",
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert {Case.parse(row["case"]).op for row in rows} == set(OPERATIONS) - set(gone)
    assert {row["status"] for row in rows} <= {"passed", "absent"}
