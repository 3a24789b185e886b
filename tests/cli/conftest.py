"""The command line in processes of its own, and a stored run to print."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A folder of runs with one whole run, table1, of a few clips of the lab without models."""
    from fake_lab import FakeLab, InlineEngine

    from ivgbench.runs.planning import make_plan
    from ivgbench.runs.runner import run
    from ivgbench.runs.spec import MethodSpec, RunSpec
    from ivgbench.store.runs import Store

    folder = tmp_path_factory.mktemp("stored")
    lab = FakeLab(folder / "log")
    spec = RunSpec("table1", (MethodSpec("plain"), MethodSpec("tid")), cases=2, ground_truth=True)
    run(make_plan(spec, lab), Store(folder / "runs"), lab, InlineEngine())
    return folder / "runs"


@pytest.fixture
def shell(tmp_path):
    """A function (line of bash, variables) -> the finished process, its output as bytes. `ivgbench` is the command."""

    def call(line: str, **variables: str) -> subprocess.CompletedProcess:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160", **variables}
        line = f'ivgbench() {{ {sys.executable} -m ivgbench "$@"; }}; {line}'
        return subprocess.run(["bash", "-c", line], capture_output=True, env=environment, cwd=tmp_path, timeout=300)

    return call
