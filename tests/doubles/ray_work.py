"""Work that is told what befalls it, for workers on a Ray cluster: this file is importable there."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from fake_lab import FakeLab

from ivgbench.engines.base import tell
from ivgbench.runs.lab import Made


def walk(state: dict, steps: int) -> int:
    """Takes a third of a second a step, and tells of each."""
    for step in range(steps):
        tell(step + 1, steps)
        time.sleep(0.3)
    return steps


@dataclass
class SlowLab(FakeLab):
    """A clip takes its time, and leaves a line "PID CASE" in `pids` when it is begun.

    too_many: of this many clips at once the worker is killed by signal 9 ("kill") or torch has no memory ("torch").
    """

    pids: Path = Path()
    seconds: float = 0.0
    too_many: int = 99
    how: str = "kill"

    def generate(self, backbone: str, job: object, callback: object = None) -> Made:
        with self.pids.open("a") as handle:
            handle.write(f"{os.getpid()} {job.case.id}\n")
        time.sleep(self.seconds)
        return super().generate(backbone, job, callback)

    def generate_batch(self, backbone: str, jobs: list, callback: object = None) -> list[Made]:
        if len(jobs) >= self.too_many:
            self.note(f"batch:{len(jobs)}")
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return super().generate_batch(backbone, jobs, callback)

    def begun(self) -> list[int]:
        """Who began a clip, one entry for each."""
        return [int(line.split()[0]) for line in self.pids.read_text().splitlines()] if self.pids.exists() else []
