"""The notebook runs from its first cell to its last, in few steps, and is stored without what it printed."""

import json
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "compare.ipynb"
STEPS = "STEPS, SEED = 20, 4"


def test_it_is_stored_without_outputs_in_ten_cells():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert len(cells) == 10
    assert all(one["outputs"] == [] and one["execution_count"] is None for one in cells if one["cell_type"] == "code")
    code = ["".join(one["source"]) for one in cells if one["cell_type"] == "code"]
    assert code[0].splitlines()[1].startswith("from ivgbench import")  # before torch
    assert sum(STEPS in one for one in code) == 1


@pytest.mark.slow
def test_it_ends_in_a_scored_table(tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="the notebook needs nbclient: pip install 'ivgbench[dev]'")
    pytest.importorskip("ipykernel", reason="the notebook needs ipykernel: pip install 'ivgbench[dev]'")
    import nbformat

    # The kernel is a process of its own: it imports the package that is tested.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace(STEPS, "STEPS, SEED = 1, 4")
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    outputs = [kind for cell in notebook.cells for kind in (one.get("data", {}) for one in cell.get("outputs", ()))]
    assert sum("image/png" in one for one in outputs) == 3
    (table,) = [one["text/html"] for one in outputs if "text/html" in one]
    assert all(f"<th>{name}</th>" in table for name in ("plain", "peekaboo", "tid", "CLIP-SIM", "mIoU %", "NFE"))
