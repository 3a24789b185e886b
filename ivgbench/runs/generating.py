"""The first stage of a run: clips. Worker processes hold the models; a failure is stored with its reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ivgbench.engines.base import TRIES, Engine, Failure, failure_of, tell
from ivgbench.runs.batching import Waiting, batches, chosen, kind_of
from ivgbench.runs.identity import GROUND_TRUTH, Job
from ivgbench.runs.lab import Made
from ivgbench.runs.progress import log, progress
from ivgbench.store.runs import Store
from ivgbench.store.video import pixel_sha256

#: Of a message that says so.
NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")


class Generator:
    """What a generating worker holds: the store, the models, the facts for its sidecars, and what is `there`."""

    def __init__(
        self,
        store: Store,
        lab: Any,
        about: dict[str, Any],
        backbones: set[tuple[str, str, str]],
        there: Callable[[Store, str], object] = Store.intact,
    ):
        self.store, self.lab, self.about, self.there = store, lab, about, there
        self.machine = lab.start_worker()
        self.backbones = {key: lab.backbone(*key) for key in backbones}
        #: Kind of job -> how many were made together after there was too little memory for more.
        self.fits: dict[str, int] = {}
        #: Of the batch in hand: how many clips it has, and how many of them are made.
        self._clips_in_hand, self._clips_made = 0, 0

    def work(self, jobs: Sequence[Job]) -> list[str | Failure]:
        """`make`, and tells how many steps of all clips of the batch are done."""
        self._clips_in_hand, self._clips_made = len(jobs), 0
        return self.make(jobs)

    def make(self, jobs: Sequence[Job]) -> list[str | Failure]:
        """Makes the clips of a batch and stores them; for each its id, or why there is none.

        A clip that is there as it was written (another run may be at work on the same jobs) is neither made again nor
        replaced: scores stand on it.
        """
        left = [job for job in jobs if not self.there(self.store, job.id)]
        made = dict(zip([job.id for job in left], self._in_parts(left) if left else [], strict=True))
        return [made.get(job.id, job.id) for job in jobs]

    def _in_parts(self, jobs: Sequence[Job]) -> list[str | Failure]:
        """The same of clips that are not there. A batch for which there is too little memory is halved, and so are
        those that follow; one that fails otherwise (a bad case) is made again clip by clip."""
        size = min(len(jobs), self.fits.get(kind_of(jobs[0]), len(jobs)))
        if size == len(jobs):
            try:
                return list(self._make(jobs))
            except Exception as fault:  # of a single clip it becomes the job's failure, with its reason
                _raise_if_disk_is_full(fault)
                if size == 1:
                    self._clips_made += 1
                    return [failure_of(fault)]
                size = self._smaller(jobs, fault)
            self.lab.free_memory()  # what was held by the fault is let go by now
        parts = [jobs[at : at + size] for at in range(0, len(jobs), size)]
        return [outcome for part in parts for outcome in self._in_parts(part)]

    def _smaller(self, jobs: Sequence[Job], fault: Exception) -> int:
        """How many clips to make together after a batch failed."""
        if not _is_out_of_memory(fault):
            log(f"{len(jobs)} clips of {jobs[0].method} at once failed, made one by one: {failure_of(fault).reason}")
            return 1
        self.fits[kind_of(jobs[0])] = half = len(jobs) // 2
        log(f"too little memory for {len(jobs)} clips of {jobs[0].method} at once: going on with {half}")
        return half

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
        self._clips_made += len(jobs)
        return [job.id for job in jobs]

    def _clips(self, jobs: Sequence[Job]) -> list[Made]:
        first = jobs[0]
        if first.method == GROUND_TRUTH:
            return [self.lab.ground_truth(job.case, job.seed) for job in jobs]
        backbone = self.backbones[first.source, first.sampling.dtype, first.lora_file]

        def told(done: int, of: int) -> None:
            tell(self._clips_made * of + len(jobs) * done, self._clips_in_hand * of)

        if len(jobs) == 1:
            return [self.lab.generate(backbone, first, told)]
        return self.lab.generate_batch(backbone, jobs, told)


def _is_out_of_memory(fault: Exception) -> bool:
    """Of Python, a GPU, or torch's allocator on a CPU, which has no class of its own for it."""
    told = str(fault).lower()
    return isinstance(fault, MemoryError) or type(fault).__name__ == "OutOfMemoryError" or (
        isinstance(fault, RuntimeError) and any(words in told for words in NO_MEMORY)
    )  # fmt: skip


def _raise_if_disk_is_full(fault: Exception) -> None:
    if failure_of(fault).kind == "disk":
        raise fault


def generate(
    store: Store,
    lab: Any,
    engine: Engine,
    jobs: list[Job],
    total: int,
    about: dict[str, Any],
    batch_size: int | str = 1,
    there: Callable[[Store, str], object] = Store.intact,
) -> int:
    """Makes the clips of jobs; failures are recorded with their reason. Returns how many were made.

    batch_size: see `batching`. A batch that costs a worker its life is made again in halves.
    there: whether all that is wanted of a job is in the store, which another run may have put there meanwhile.
    """
    backbones = {(job.source, job.sampling.dtype, job.lora_file) for job in jobs if job.method != GROUND_TRUTH}
    start = partial(Generator, store, lab, about, backbones, there=there)
    waiting = Waiting(batches(jobs, chosen(batch_size, lab, engine.workers)) if jobs else ())
    made = 0

    def tries(batch: list[Job]) -> int:
        return TRIES if len(batch) == 1 else 1

    with progress("generate", total, total - len(jobs)) as bar:

        def hear(index: int, done: int, of: int) -> None:
            bar.steps(index, done, of, len(waiting.taken[index]))

        for index, outcome in engine.run(start, Generator.work, waiting, tries, hear):
            batch = waiting.taken.pop(index)
            bar.ended(index)
            if isinstance(outcome, Failure) and len(batch) > 1:
                half = waiting.halve(batch)
                log(f"{len(batch)} clips of {batch[0].method} are made again, {half} at once: {outcome.reason}")
                continue
            for job, one in zip(batch, [outcome] if isinstance(outcome, Failure) else outcome, strict=True):
                if isinstance(one, Failure):
                    log(f"failed: {job.describe()}: {one.reason}")
                    store.fail(job.id, one.reason, {"spec": job.identity(), "trace": one.trace})
                else:
                    made += 1
                bar()
    return made
