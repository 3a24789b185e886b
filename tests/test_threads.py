"""Torch's threads wait without holding a core, however the project is started."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Imports that load no torch and may stand before ivgbench's.
BEFORE = {"numpy", "pandas", "rich"} | sys.stdlib_module_names


@pytest.mark.parametrize("given", [None, "ACTIVE"])
def test_importing_the_package_says_so_unless_the_user_does(given):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"PYTHONPATH": str(ROOT)} | ({"OMP_WAIT_POLICY": given} if given else {})
    code = "import sys, ivgbench, os; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.split() == [given or "PASSIVE", "False"]


def test_the_tests_themselves_run_so():
    assert os.environ["OMP_WAIT_POLICY"] and os.environ["OMP_NUM_THREADS"]


@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_scripts_import_the_package_before_anything_heavy(script):
    names = []
    for node in ast.parse(script.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names += [node.module] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
    heads = [name.partition(".")[0] for name in names]
    first = next(head for head in heads if head not in BEFORE)
    assert first == "ivgbench"
