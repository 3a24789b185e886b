"""The fake lab as the soak needs it: every clip noted by its job, no time in a result, and workers that run out of
memory. Importable by worker processes."""

from __future__ import annotations

import os
import resource
import signal
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from fake_lab import FakeLab

#: What the environment of a command tells its lab.
LOG, FAULT = "SOAK_LOG", "SOAK_FAULT"
#: Bytes that a clip needs while it is made, and those that a worker has under the fault "memory": less than two need.
CLIP, ROOM = 256 << 20, 500 << 20


@dataclass
class QuickLab(FakeLab):
    """`fault`: "memory" (a worker has memory for one clip), "oom" (the system kills a worker that takes more), or
    "never" (one case never fits)."""

    fault: str = ""

    @classmethod
    def from_environment(cls, device: str = "auto", offload: bool = False) -> QuickLab:
        """In the place of `ivgbench.runs.lab.Lab`."""
        return cls(Path(os.environ[LOG]), knows_rings=True, fault=os.environ.get(FAULT, ""))

    def start_worker(self) -> dict[str, object]:
        from ivgbench.runs import generating

        generating.time = SimpleNamespace(perf_counter=lambda: 0.0)
        return super().start_worker()

    def backbone(self, name: str, dtype: str, lora: str = "") -> str:
        """Takes nothing; from here on there is little memory."""
        if self.fault == "memory":
            taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, resource.RLIM_INFINITY))
        return super().backbone(name, dtype, lora)

    def room(self, workers: int) -> Any:
        return lambda job: 8

    def generate(self, backbone: str, job: Any, callback: object = None) -> Any:
        return self.generate_batch(backbone, [job])[0]

    def generate_batch(self, backbone: str, jobs: list, callback: object = None) -> list[Any]:
        if (self.fault == "oom" and len(jobs) > 1) or (self.fault == "never" and jobs[0].case.id.endswith("00")):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "memory":
            np.ones(len(jobs) * CLIP, np.uint8)
        return [self.made_of(job) for job in jobs]

    def made_of(self, job: Any) -> Any:
        self.note(job.id)
        return self.draw(job.case, job.options["shift"], job.sampling.steps)

    def ground_truth(self, case: Any, seed: int) -> Any:
        from ivgbench.runs.lab import ground_truth_job

        self.note(ground_truth_job(self, case, seed).id)
        return self.draw(case, 0.0, 0)
