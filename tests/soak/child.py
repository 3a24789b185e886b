"""The command line with a lab without models: python child.py run --spec ... [CLOCK in SOAK_CLOCK]."""

import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "doubles"), str(HERE.parents[1])]

from quick_lab import QuickLab  # noqa: E402

from ivgbench import cli  # noqa: E402
from ivgbench.runs import lab  # noqa: E402

if __name__ == "__main__":
    if shift := float(os.environ.get("SOAK_CLOCK", 0)):
        now, now_ns = time.time, time.time_ns
        time.time = lambda: now() + shift
        time.time_ns = lambda: now_ns() + int(shift * 1e9)
    lab.Lab = QuickLab.from_environment
    cli.main()
