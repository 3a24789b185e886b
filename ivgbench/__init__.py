"""ivgbench: benchmark and evaluation harness for training-free, box-controlled text-to-video generation.

Importing it sets OMP_WAIT_POLICY=PASSIVE where the environment does not say otherwise. The library behind torch's threads
reads that once, when torch is loaded: import ivgbench before torch.
"""

import os

# Threads that wait for each other in a busy loop take the core from the very thread that they wait for, wherever another
# process is at work too. Worker processes inherit the setting.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from ivgbench.cases import Case, Subject  # noqa: E402
from ivgbench.suites import load_suite  # noqa: E402

__version__ = "0.1.0"
__all__ = ["Case", "Subject", "load_suite"]
