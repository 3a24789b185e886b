"""glibc's allocator, told to keep what activations free.

By default it returns every large block to the system, which then clears each page anew: page faults were a fifth of an
evaluation of the pocket lab on a CPU.
"""

from __future__ import annotations

import ctypes
import sys

# mallopt's parameters, from <malloc.h>.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
#: Bytes at the heap's end that are kept, and that it grows by.
KEPT, GROWTH = 2 * 10**9, 2 * 10**8


def keep_freed_memory() -> bool:
    """Asks for it, for the whole process; says whether there was anyone to ask (glibc on Linux)."""
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, KEPT), (M_TOP_PAD, GROWTH))
    return all([mallopt(parameter, value) for parameter, value in settings])
