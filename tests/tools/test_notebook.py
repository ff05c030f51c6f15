"""The notebook runs from top to bottom, and what GitHub shows of it is there."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "backprop.ipynb"

nbformat = pytest.importorskip("nbformat")


@pytest.fixture(scope="module")
def stored():
    return nbformat.read(NOTEBOOK, 4)


def test_pictures_are_stored_and_the_file_is_small(stored):
    assert NOTEBOOK.stat().st_size < 1_000_000
    drawing = [c for c in stored.cells if c.cell_type == "code" and "show(" in c.source]
    assert len(drawing) >= 9
    for cell in drawing:
        assert any("image/png" in o.get("data", {}) for o in cell.outputs), cell.source
    assert not [o for c in stored.cells for o in c.get("outputs", ()) if o.output_type == "error"]


def test_every_function_of_the_post_is_in_it(stored):
    code = "\n".join(c.source for c in stored.cells if c.cell_type == "code")
    names = "pad3d conv_forward relu sigmoid pool_forward arr2col affine_forward softmax cross_entropy_cost"
    assert not [name for name in names.split() if f"cnnref.{name}(" not in code]


# A kernel that is started talks of its transport, and pyzmq of event loops: not what is tried here.
@pytest.mark.filterwarnings("ignore")
def test_it_runs_and_the_suite_says_why(stored, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    book = nbformat.from_dict(stored.copy())
    where = {"metadata": {"path": str(NOTEBOOK.parent)}}
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3", resources=where).execute()
    said = "".join(o.get("text", "") for c in book.cells for o in c.get("outputs", ()))
    for name in ("filter-flipped", "gradient-divided-by-m", "relu-gradient-at-zero"):
        assert name in said
