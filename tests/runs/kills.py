"""A run that is killed over and over until it is done: what was finished stays, and the end is as if nothing happened.

python tests/runs/kills.py --minutes 30     # make soak: the real models of the pocket lab, round after round
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ivgbench.store.runs import Store

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "benchmarks" / "snapshot.toml"


def run_until_done(command: Sequence[str], root: Path, wait: Callable[[subprocess.Popen], None]) -> int:
    """Starts a command that makes a run in `root`, kills all of its processes when `wait` returns, and again, until it
    ends by itself. Returns the number of kills.

    Raises:
        AssertionError: the command failed, or clips that were done are gone.
    """
    kills, done = 0, set()
    while True:
        with tempfile.TemporaryFile() as told:
            process = subprocess.Popen(command, start_new_session=True, stderr=told, stdout=subprocess.DEVNULL)
            wait(process)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                kills += 1
            elif process.returncode:
                told.seek(0)
                raise AssertionError(told.read().decode(errors="replace")[-2000:])
            process.wait()
        store = Store(root)
        now = {path.name for path in (root / "jobs").glob("*") if store.intact(path.name)}
        assert done <= now, f"clips that were done are gone: {sorted(done - now)}"
        done = now
        if process.returncode == 0:
            return kills


def results(root: Path, run: str) -> tuple[list[dict], list[dict]]:
    """Rows of a run and of its sets, without what is a measurement of time."""
    store = Store(root)
    return [row for row in store.load_rows(run)[0] if row["metric"] != "seconds"], store.set_rows(run)


def main() -> None:
    """Rounds of kills with the real models until the time is up. Exit code 1 when a round ends differently."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--minutes", type=float, default=30)
    asked.add_argument("--seed", type=int, default=0)
    asked = asked.parse_args()
    rng, end = random.Random(asked.seed), time.monotonic() + 60 * asked.minutes
    with tempfile.TemporaryDirectory() as folder:

        def command(root: Path) -> list[str]:
            return [sys.executable, "-m", "ivgbench", "run", "--spec", str(SPEC), "--runs", str(root)]

        whole, started = Path(folder) / "whole", time.monotonic()
        run_until_done(command(whole), whole, subprocess.Popen.wait)
        seconds, expected = time.monotonic() - started, results(whole, "snapshot")
        print(f"undisturbed: {seconds:.0f} s, {len(expected[0])} rows", flush=True)

        def wait(process: subprocess.Popen) -> None:
            """From within the imports to nearly the whole run."""
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(1, 0.7 * seconds))

        for number in itertools.count():
            if time.monotonic() > end:
                break
            root = Path(folder) / str(number)
            kills = run_until_done(command(root), root, wait)
            assert results(root, "snapshot") == expected, f"round {number} (seed {asked.seed}) ended differently"
            print(f"round {number}: killed {kills} times, the same {len(expected[0])} rows", flush=True)


if __name__ == "__main__":
    main()
