"""The first stage of a run: clips. Worker processes hold the models; a failure is stored with its reason."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from ivgbench.errors import UserError
from ivgbench.files import digest
from ivgbench.runs.engines import Failure, failure_of
from ivgbench.runs.identity import GROUND_TRUTH, Job
from ivgbench.runs.lab import Made
from ivgbench.runs.progress import log, progress
from ivgbench.runs.store import Store
from ivgbench.runs.video import pixel_sha256


class Generator:
    """What a generating worker holds: the store, the models, and the facts for its sidecars."""

    def __init__(self, store: Store, lab: Any, about: dict[str, Any], backbones: set[tuple[str, str, str]]):
        self.store, self.lab, self.about = store, lab, about
        self.machine = lab.start_worker()
        self.backbones = {key: lab.backbone(*key) for key in backbones}

    def make(self, jobs: Sequence[Job]) -> list[str | Failure]:
        """Makes the clips of a batch and stores them; for each its id, or why there is none.

        A clip that is there as it was written is never replaced: scores stand on it. A batch that fails (one bad case,
        or too little memory) is made again clip by clip.
        """
        if len(jobs) > 1:
            try:
                return self._make(jobs)
            except Exception as fault:
                _raise_if_disk_is_full(fault)
        outcomes: list[str | Failure] = []
        for job in jobs:
            try:
                outcomes += self._make([job])
            except Exception as fault:  # becomes the job's failure, with its reason
                _raise_if_disk_is_full(fault)
                outcomes.append(failure_of(fault))
        return outcomes

    def _make(self, jobs: Sequence[Job]) -> list[str]:
        started = time.perf_counter()
        made = self._clips(jobs)
        seconds = round((time.perf_counter() - started) / len(jobs), 4)
        about = {**self.about, **self.machine, "batch": len(jobs)}
        for job, clip in zip(jobs, made, strict=True):
            if kept := self.store.intact(job.id):
                if kept["pixel_sha256"] != pixel_sha256(clip.video):
                    log(f"{job.describe()}: made again it has other pixels than the stored clip, which is kept")
                continue
            facts = {"spec": job.identity(), "nfe": clip.nfe, "backward": clip.backward, "seconds": seconds}
            self.store.save_clip(job.id, clip.video, {**facts, "environment": about})
        return [job.id for job in jobs]

    def _clips(self, jobs: Sequence[Job]) -> list[Made]:
        first = jobs[0]
        if first.method == GROUND_TRUTH:
            return [self.lab.ground_truth(job.case, job.seed) for job in jobs]
        backbone = self.backbones[first.source, first.sampling.dtype, first.lora_file]
        if len(jobs) == 1:
            return [self.lab.generate(backbone, first)]
        return self.lab.generate_batch(backbone, jobs)


def _raise_if_disk_is_full(fault: Exception) -> None:
    if failure_of(fault).kind == "disk":
        raise fault


def batches(jobs: Iterable[Job], size: int) -> list[list[Job]]:
    """Jobs in batches of at most `size`: those that differ in nothing but their cases (of equal length) and seeds."""
    if size < 1:
        raise UserError(f"--batch-size must be at least 1, got {size}")
    found: list[list[Job]] = []
    filling: dict[str, list[Job]] = {}
    for job in jobs:
        identity = {name: value for name, value in job.identity().items() if name not in ("case", "seed")}
        key = digest([identity, job.source, job.case.frames, len(job.case.subjects)])
        if len(filling.get(key, ())) in (0, size):
            filling[key] = []
            found.append(filling[key])
        filling[key].append(job)
    return found


def generate(
    store: Store, lab: Any, engine: Any, jobs: list[Job], total: int, about: dict[str, Any], batch_size: int = 1
) -> int:
    """Makes the clips of jobs; failures are recorded with their reason. Returns how many were made."""
    backbones = {(job.source, job.sampling.dtype, job.lora_file) for job in jobs if job.method != GROUND_TRUTH}
    start = partial(Generator, store, lab, about, backbones)
    items = batches(jobs, batch_size)
    made = 0
    with progress("generate", total, total - len(jobs)) as advance:
        for index, outcome in engine.run(start, Generator.make, items):
            outcomes = [outcome] * len(items[index]) if isinstance(outcome, Failure) else outcome
            for job, one in zip(items[index], outcomes, strict=True):
                if isinstance(one, Failure):
                    log(f"failed: {job.describe()}: {one.reason}")
                    store.fail(job.id, one.reason, {"spec": job.identity(), "trace": one.trace})
                else:
                    made += 1
                advance()
    return made
