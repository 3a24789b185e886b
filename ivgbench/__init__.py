"""ivgbench: benchmark and evaluation harness for training-free, box-controlled text-to-video generation.

Importing it sets OMP_WAIT_POLICY=PASSIVE where the environment does not say otherwise. The library of torch's threads
reads that once, when torch is loaded: import ivgbench before torch.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Threads that wait for each other in a busy loop hold the core that the one they wait for needs, as soon as another
# process is at work too: several times the seconds. Worker processes inherit the setting.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from ivgbench.cases import Case, Subject
    from ivgbench.suites import load_suite

__version__ = "0.1.0"
__all__ = ["Case", "Subject", "load_suite"]

#: Where the names are that are imported when they are first used: the command line's help needs no numpy.
_PLACES = {"Case": "ivgbench.cases", "Subject": "ivgbench.cases", "load_suite": "ivgbench.suites"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(import_module(_PLACES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
