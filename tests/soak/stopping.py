"""Runs that are stopped: killed, terminated, interrupted, or robbed of a worker, at random moments."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from random import Random

from scene import Scene

#: Seconds: before the first, nothing but Python starts; after the last, a run is surely over.
FIRST, LAST = 0.3, 6.0
#: Seconds in which the processes of a run that was stopped have to be gone.
GRACE = 10


def killed(scene: Scene, rng: Random, times: int) -> None:
    """All processes at once, as by a machine that loses its power."""
    _stop(scene, rng, times, lambda process: os.killpg(process.pid, signal.SIGKILL), {-signal.SIGKILL}, "")


def terminated(scene: Scene, rng: Random, times: int) -> None:
    """SIGTERM to the command alone, as a scheduler of jobs sends it."""
    _stop(scene, rng, times, lambda process: process.send_signal(signal.SIGTERM), {-signal.SIGTERM, 143}, "stopped")


def interrupted(scene: Scene, rng: Random, times: int) -> None:
    """SIGINT to all, as Ctrl-C does it."""
    _stop(scene, rng, times, lambda process: os.killpg(process.pid, signal.SIGINT), {-signal.SIGINT, 130}, "stopped")


def worker_killed(scene: Scene, rng: Random, times: int) -> None:
    """One worker, as by a system without memory: its item fails with that reason, and is done by the next run."""

    def strike(process: subprocess.Popen) -> None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(FIRST, LAST))
            return
        for child in _children(process.pid):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
                scene.times += 1
                break

    while scene.times < times:
        ended = scene.run(strike=strike)
        scene.expect(ended.code in (0, 1, 2), f"exit code {ended.code}: {ended.line()}")
        if ended.code:
            scene.expect("ivgbench: " in ended.told, "no word of why")
        scene.look()
        if ended.code == 0:
            scene.begin_again()


def _stop(scene, rng, times, stop, codes, word) -> None:
    def strike(process: subprocess.Popen) -> None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(FIRST, LAST))
            return
        while word and process.poll() is None and not _listens(process.pid):
            time.sleep(0.01)
        with suppress(ProcessLookupError):
            stop(process)
            scene.times += 1
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:  # Python may forget a signal; whoever sent it sends it again
            stop(process)
            process.wait(GRACE)
        end = time.monotonic() + GRACE
        while _alive(process.pid):
            if time.monotonic() > end:
                scene.faults.append("workers live on after their parent")
                break
            time.sleep(0.05)

    while scene.times < times:
        before = scene.times
        ended = scene.run(strike=strike)
        scene.look()
        if scene.times > before and ended.code:
            scene.expect(ended.code in codes, f"exit code {ended.code}: {ended.line()}")
            if ended.code > 0:
                scene.expect(word in ended.line(), f"told: {ended.line()}")
        elif scene.times == before:
            scene.expect(ended.code == 0, f"exit code {ended.code}: {ended.line()}")
            scene.begin_again()


def _listens(process: int) -> bool:
    """Whether a process handles SIGTERM by now: before, Python is still loading it."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return True


def _alive(group: int) -> list[int]:
    """The processes of a group that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            _, state, _, of, *_ = ("x " + path.read_text().rpartition(")")[2].strip()).split()
            if int(of) == group and state != "Z":
                found.append(int(path.parent.name))
    return found


def _children(parent: int) -> list[int]:
    """Workers of a command; not the tracker of shared memory that Python starts beside them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, of, *_ = path.read_text().rpartition(")")[2].split()
            if int(of) == parent and state != "Z" and "spawn_main" in (path.parent / "cmdline").read_text():
                found.append(int(path.parent.name))
    return found


FAULTS = {
    "killed": (killed, 30), "terminated": (terminated, 10), "interrupted": (interrupted, 10),
    "worker killed": (worker_killed, 10),
}  # fmt: skip
