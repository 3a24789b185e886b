"""Torch's threads wait without holding a core, however the project is started."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Imports that load no torch and may stand before ivgbench's; chromium is benchmarks/chromium.py.
BEFORE = {"numpy", "pandas", "rich", "chromium"} | sys.stdlib_module_names


@pytest.mark.parametrize("given", [None, "ACTIVE"])
def test_importing_the_package_says_so_unless_the_user_does(given):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"PYTHONPATH": str(ROOT)} | ({"OMP_WAIT_POLICY": given} if given else {})
    code = "import sys, ivgbench, os; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.split() == [given or "PASSIVE", "False"]


def test_the_tests_themselves_run_so():
    assert os.environ["OMP_WAIT_POLICY"] and os.environ["OMP_NUM_THREADS"]


SCRIPTS = [path for path in sorted((ROOT / "benchmarks").glob("*.py")) if "__main__" in path.read_text()]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_import_the_package_before_anything_heavy(script):
    names = []
    for node in ast.parse(script.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names += [node.module] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
    heads = [name.partition(".")[0] for name in names]
    first = next((head for head in heads if head not in BEFORE), "ivgbench")  # or nothing that is heavy
    assert first == "ivgbench"


#: Put first on the path, it notes the policy that stands when torch is looked for, and ends the process: torch itself
#: is never loaded.
WATCH = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            with open(os.environ["SEEN"], "a") as handle:
                print(os.environ.get("OMP_WAIT_POLICY"), file=handle)
            os._exit(0)
sys.meta_path.insert(0, Watch())
"""
BOX = ["--subject", "red star", "--box", "0:.1,.1,.4,.6"]
WORKER = (
    "from ivgbench.engines.local import LocalEngine as E; import test_threads as t; list(E(1).run(t.load, t.load, [1]))"
)
STARTS = {
    "run": ["-m", "ivgbench", "run", "--method", "tid"],
    "plan": ["-m", "ivgbench", "plan", "--method", "tid"],
    "score": ["-m", "ivgbench", "score", "--videos", ".", "--suite", "static"],
    "generate": ["-m", "ivgbench", "generate", "a red star", *BOX, "-o", "clip.mp4"],
    "figure": ["-m", "ivgbench", "figure", "2"],
    "claims": ["-m", "ivgbench", "claims", "--spec", f"{ROOT}/benchmarks/claims.toml"],
    "calibrate": ["-m", "ivgbench", "study", "calibrate", "--spec", f"{ROOT}/benchmarks/calibration.toml"],
    "snapshot": ["-m", "ivgbench", "snapshot", "check", "--spec", f"{ROOT}/benchmarks/snapshot.toml", "--snapshots",
                 f"{ROOT}/results/snapshots"],
    "list": ["-m", "ivgbench", "list", "methods", "--options"],
    "train": ["-m", "ivgbench.pocket.train", "--help"],
    "exam": ["-m", "ivgbench.pocket.exam", "--help"],
    "card": ["-m", "ivgbench.pocket.card", "--help"],
    "search": ["-m", "ivgbench", "study", "search"],
    "fid_kid": [f"{ROOT}/benchmarks/fid_kid.py"],
    "parity": [f"{ROOT}/benchmarks/parity.py"],
    "gate": [f"{ROOT}/benchmarks/gate.py"],
    "worker": ["-c", WORKER],
    "tests": ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"{ROOT}/tests/generator/test_efdm.py"],
}  # fmt: skip


def load(*_):
    """What a worker does first."""
    import torch  # noqa: F401


def policy_before_torch(start, folder, given):
    """What a process, or its worker, has for OMP_WAIT_POLICY when torch is loaded."""
    (folder / "sitecustomize.py").write_text(WATCH)
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    path = os.pathsep.join([str(folder), str(ROOT), str(ROOT / "tests")])
    environment |= {"PYTHONPATH": path, "SEEN": str(folder / "seen")} | ({"OMP_WAIT_POLICY": given} if given else {})
    subprocess.run([sys.executable, *start], env=environment, cwd=folder, capture_output=True, timeout=600)
    return (folder / "seen").read_text().split()[0]


QUICK = ("generate", "worker", "tests", "train", "parity")


@pytest.mark.parametrize("start", [pytest.param(one, marks=[] if one in QUICK else pytest.mark.slow) for one in STARTS])
def test_every_command_worker_script_and_test_waits_without_spinning(start, tmp_path):
    assert policy_before_torch(STARTS[start], tmp_path, None) == "PASSIVE"


@pytest.mark.parametrize("start", ["generate", "worker", "tests"])
def test_the_users_own_policy_stands(start, tmp_path):
    assert policy_before_torch(STARTS[start], tmp_path, "ACTIVE") == "ACTIVE"


def test_make_says_so_too():
    assert "\nexport OMP_WAIT_POLICY ?= PASSIVE\n" in (ROOT / "Makefile").read_text()
