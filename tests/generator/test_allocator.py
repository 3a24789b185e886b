"""Whether the allocator keeps what is freed, seen by the pages that the system has to clear."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource
import numpy as np
from ivgbench.generator.allocator import keep_freed_memory
if {ask}:
    assert keep_freed_memory()
np.ones(2**22)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(2**22)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(ask: bool) -> int:
    told = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(ask=ask)], capture_output=True, text=True, check=True, timeout=120
    )
    return int(told.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's mallopt")
def test_freed_blocks_are_used_again():
    # 32 MB are 8192 pages of 4 KB, or 16 of the huge ones that numpy asks for.
    assert faults(ask=True) * 5 < faults(ask=False)
