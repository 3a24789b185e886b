"""Faults of all kinds, brought upon small runs over and over: at the end every table is as if nothing had happened.

    python tests/soak/soak.py                     # make soak: all of them, in less than half an hour on two cores
    python tests/soak/soak.py --only killed       # one; --only again for more
    python tests/soak/soak.py --times 2 --seed 7  # each so many times only; other random moments

The runs are those of the command line, with a lab without models: what is tried is the harness.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import Random

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "doubles"), str(HERE.parents[1])]

import clock  # noqa: E402
import damaging  # noqa: E402
import disk  # noqa: E402
import memory  # noqa: E402
import stopping  # noqa: E402
import together  # noqa: E402
from scene import Scene, undisturbed  # noqa: E402

FAULTS = {
    name: fault
    for part in (stopping, disk, damaging, together, clock, memory)
    for name, fault in part.FAULTS.items()
}  # fmt: skip


def main() -> None:
    """Prints a line per fault. Exit code 1 when anything was lost, doubled, or different at the end."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--only", action="append", choices=FAULTS)
    asked.add_argument("--times", type=int)
    asked.add_argument("--seed", type=int, default=0)
    asked = asked.parse_args()
    print(f"{'fault':<22}{'times':>6}{'lost':>6}{'doubled':>9}  {'tables':<8}{'seconds':>8}", flush=True)
    passed = True
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        expected = undisturbed(Path(folder) / "undisturbed")
        for name in asked.only or FAULTS:
            fault, times = FAULTS[name]
            scene = Scene(Path(folder) / name.replace(" ", "-"), expected)
            started = time.monotonic()
            try:
                fault(scene, Random(f"{asked.seed} {name}"), asked.times or times)
                if any(scene.root.glob("*")):
                    scene.finish()
            except disk.Impossible as why:
                print(f"{name:<22}  skipped: {why}", flush=True)
                continue
            equal = "equal" if not scene.faults else "WRONG"
            seconds = time.monotonic() - started
            print(f"{name:<22}{scene.times:>6}{len(scene.lost):>6}{len(scene.doubled):>9}  {equal:<8}{seconds:>8.0f}")
            for line in dict.fromkeys(scene.faults):
                print(f"    {line}")
            sys.stdout.flush()
            passed = passed and scene.passed
    sys.exit(not passed)


if __name__ == "__main__":
    main()
