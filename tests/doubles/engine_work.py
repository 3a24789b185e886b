"""What engines are given to work on in tests: items that say what is to happen. Picklable, as workers need it."""

from __future__ import annotations

import os
import signal
import time

from ivgbench.errors import UserError


def start() -> dict:
    return {"pid": os.getpid(), "calls": 0}


def work(state: dict, item: str) -> tuple[str, int, int]:
    state["calls"] += 1
    if item == "raise":
        raise ValueError("two\nlines")
    if item == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "exit":
        os._exit(3)
    if item == "full":
        raise OSError(28, "No space left on device", "clip.mkv")
    if item.isdigit():
        time.sleep(0.3)
    if item == "folder":
        return os.getcwd(), os.getpid(), int(os.environ["IVGBENCH_NUMBER"])
    return item, state["pid"], state["calls"]


def bad_start() -> None:
    raise UserError("no weights")


def broken_start() -> None:
    raise RuntimeError("bug")


def dead_start() -> None:
    os._exit(7)
