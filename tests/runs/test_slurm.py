"""A run in shares: the example for Slurm, with stand-ins for Slurm and for the models."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_lab import FakeLab, InlineEngine

from ivgbench.report import render, tables
from ivgbench.runs import runner
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.runs import Store

ROOT = Path(__file__).parents[2]
SPEC = RunSpec("r", (MethodSpec("plain"), MethodSpec("tid")), cases=5, suites=("static",))
#: A command `ivgbench` that runs with the fake lab, and says what it was asked.
PROGRAM = """#!{python}
import sys
from pathlib import Path
sys.path[:0] = ["{root}", "{root}/tests/doubles"]
from fake_lab import FakeLab
from ivgbench import cli
from ivgbench.runs import lab
if __name__ == "__main__":
    lab.Lab = lambda *_: FakeLab(Path("{log}"))
    with open("{log}.asked", "a") as handle:
        handle.write(" ".join(sys.argv[1:]) + chr(10))
    cli.main()
"""


def csv(root: Path) -> str:
    table = tables.build(1, root, "r")
    for row in table.rows:
        row["seconds"] = 0.0
    return render.csv(table)


@pytest.mark.skipif(os.name == "nt", reason="the example is a shell script")
def test_two_tasks_at_once_and_a_third_make_the_whole_table(tmp_path):
    whole, runs, log = tmp_path / "whole", tmp_path / "runs", tmp_path / "log"
    lab = FakeLab(tmp_path / "log-whole")
    runner.run(make_plan(SPEC, lab), Store(whole), lab, InlineEngine())
    program = tmp_path / "bin" / "ivgbench"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable, root=ROOT, log=log))
    program.chmod(0o755)
    spec = tmp_path / "r.toml"
    spec.write_text('name = "r"\ncases = 5\nsuites = ["static"]\nmethods = ["plain", "tid"]\n')
    common = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}

    def task(**slurm: str) -> subprocess.Popen:
        command = ["bash", str(ROOT / "examples" / "slurm.sh"), str(spec), str(runs)]
        return subprocess.Popen(command, env={**common, **slurm}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    array = {"SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "2"}
    tasks = [task(SLURM_ARRAY_TASK_ID=str(number), **array) for number in (1, 2)]
    for one in tasks:
        _, told = one.communicate(timeout=120)
        assert one.returncode == 0, told.decode()
    last = task()
    told, _ = last.communicate(timeout=120)
    assert last.returncode == 0 and b"0 clips made now" in told
    asked = Path(f"{log}.asked").read_text().splitlines()
    assert sorted(line.partition("--shard ")[2] for line in asked) == ["", "0/2", "1/2"]
    made = [line for line in lab.made() if line]
    assert sorted(log.read_text().split()) == sorted(made)  # each clip once
    assert csv(runs) == csv(whole)
