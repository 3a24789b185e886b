"""Runs that are killed at random points, with the fake lab: nothing done is lost, and the end is the same."""

import random
import sys
import time
from pathlib import Path

from fake_lab import FakeLab, InlineEngine
from kills import results, run_until_done
from test_runner import SPEC

from ivgbench.runs import runner
from ivgbench.runs.planning import make_plan
from ivgbench.store.runs import Store

PROGRAM = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2].split(":")
from fake_lab import FakeLab
from test_runner import SPEC
from ivgbench.runs import runner
from ivgbench.engines.local import LocalEngine
from ivgbench.runs.planning import make_plan
from ivgbench.store.runs import Store
lab = FakeLab(Path(sys.argv[3]))
runner.run(make_plan(SPEC, lab), Store(sys.argv[1]), lab, LocalEngine(1))
"""


def test_a_run_that_is_killed_over_and_over_ends_like_one_that_is_not(tmp_path):
    lab, whole = FakeLab(tmp_path / "log"), tmp_path / "whole"
    runner.run(make_plan(SPEC, lab), Store(whole), lab, InlineEngine())
    rng, root = random.Random(0), tmp_path / "killed"
    here = Path(__file__).parent
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        str(root),
        f"{here}:{here.parent / 'doubles'}",
        str(tmp_path / "log"),
    ]

    def wait(process):
        """Until some more files are there, whole or not: clips, then detections, then scores."""
        enough = len(list(root.rglob("*"))) + rng.randint(1, 30)
        while process.poll() is None and len(list(root.rglob("*"))) < enough:
            time.sleep(0.001)

    assert run_until_done(command, root, wait) > 2
    assert results(root, "r") == results(whole, "r")
