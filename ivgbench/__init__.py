"""ivgbench: benchmark and evaluation harness for training-free, box-controlled text-to-video generation.

Importing it sets OMP_WAIT_POLICY=PASSIVE where the environment does not say otherwise. The library of torch's threads
reads that once, when torch is loaded: import ivgbench before torch.
"""

import os

# Threads that wait for each other in a busy loop hold the core that the one they wait for needs, as soon as another
# process is at work too: several times the seconds. Worker processes inherit the setting.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from ivgbench.cases import Case, Subject
from ivgbench.suites import load_suite

__version__ = "0.1.0"
__all__ = ["Case", "Subject", "load_suite"]
