"""How many clips share a network call: a number, or "auto", which is chosen from what is planned and what there is.

"auto" is the least of: `MOST`; as many as fit into memory by what `plan` counts; an even share of the clips of a kind
for each worker, so that none waits for another's last batch; and 1 for a method that does not batch. Clips of a batch
agree with those made alone to about 1e-5, not bit for bit.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ivgbench.errors import UserError
from ivgbench.files import canonical_json, digest
from ivgbench.runs.identity import GROUND_TRUTH, Job
from ivgbench.texts import short

AUTO = "auto"
#: What one call gains is gained by then: on a CPU 8 clips took 15 to 20 % less a clip than one, 4 half of that.
MOST = 8
#: Of the free memory of a GPU, and of what the machine has available for all workers: the rest is for work space of
#: kernels, fragmentation, and others.
SHARE_OF_GPU, SHARE_OF_MACHINE = 0.8, 0.5


def check(size: Any, what: str) -> int | str:
    """A number of clips from 1, or "auto"; a text of digits counts as its number. UserError for anything else."""
    if isinstance(size, str) and size.isascii() and size.isdigit() and len(size) < 10:
        size = int(size)
    if size != AUTO and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise UserError(f"{what} must be at least 1, or auto, got {short(size)}")
    return size


def kind_of(job: Job) -> str:
    """What jobs have in common that can be made together: all but their cases (of equal length) and seeds."""
    return digest([job.manner(), job.source, job.case.frames, len(job.case.subjects)])


def batches(jobs: Iterable[Job], size: int | Callable[[Job, int], int]) -> list[list[Job]]:
    """Jobs of a kind in batches, in the order in which their first jobs come.

    size: of a batch at most; or a function (a job of the kind, how many there are) -> that.
    """
    of_kinds = [(kind_of(job), job) for job in jobs]
    counts: dict[str, int] = {}
    for kind, _ in of_kinds:
        counts[kind] = counts.get(kind, 0) + 1
    found: list[list[Job]] = []
    sizes: dict[str, int] = {}
    filling: dict[str, list[Job]] = {}
    for kind, job in of_kinds:
        if kind not in sizes:
            sizes[kind] = size if isinstance(size, int) else size(job, counts[kind])
        if len(filling.get(kind, ())) in (0, sizes[kind]):
            filling[kind] = []
            found.append(filling[kind])
        filling[kind].append(job)
    return found


class Waiting(Iterator[list[Job]]):
    """Batches that wait for a worker. An engine takes them one by one, so those that wait can still be made smaller."""

    def __init__(self, batches: Iterable[list[Job]]):
        self._waiting, self._count = deque(batches), 0
        #: Those at work, by the engine's index.
        self.taken: dict[int, list[Job]] = {}

    def __next__(self) -> list[Job]:
        if not self._waiting:
            raise StopIteration
        self.taken[self._count] = batch = self._waiting.popleft()
        self._count += 1
        return batch

    def __length_hint__(self) -> int:
        return len(self._waiting)

    def halve(self, batch: list[Job]) -> int:
        """For a batch that was too much: it waits again, first, in halves, and so do those of its kind that are no
        smaller. Returns the size of a half."""
        half, kind = len(batch) // 2, kind_of(batch[0])
        waiting, self._waiting = [batch, *self._waiting], deque()
        for one in waiting:
            small = len(one) < len(batch) or kind_of(one[0]) != kind
            size = len(one) if small else half
            self._waiting += [one[at : at + size] for at in range(0, len(one), size)]
        return half


def chosen(size: int | str, lab: Any, workers: int) -> int | Callable[[Job, int], int]:
    """What `batches` is to be told for a size, by which workers there are.

    lab: its `room` says how many clips of a kind fit; see `fitting`.
    """
    size = check(size, "--batch-size")
    if isinstance(size, int):
        return size
    room = lab.room(workers)
    return lambda job, count: 1 if job.method == GROUND_TRUTH else max(min(MOST, room(job), -(-count // workers)), 1)


def fitting(device: str, offload: bool, workers: int) -> Callable[[Job], int]:
    """A function: job -> how many clips like it fit into memory at once; 1 for a method that does not batch.

    What a plain clip takes stands for all: masks add little, and what adds more does not batch.
    """
    import torch

    from ivgbench.generator.backbones import sources
    from ivgbench.generator.cost import Costs
    from ivgbench.generator.methods.options import resolve

    known: dict[str, Any] = {}

    def room(job: Job) -> int:
        if not resolve(job.method, job.options).batches:
            return 1
        key = canonical_json([job.source, job.sampling.said(), job.case.frames])
        if key not in known:
            preset = sources.preset(job.source)[1]
            costs = Costs(sources.architecture(job.source), preset, getattr(torch, job.sampling.dtype))
            known[key] = costs.of(resolve("plain"), job.case, job.sampling)
        cost = known[key]
        kept = cost.weights[1] if offload else sum(cost.weights)
        free = SHARE_OF_GPU * torch.cuda.mem_get_info(device)[0] if device.startswith("cuda") else (
            SHARE_OF_MACHINE * available() / workers)  # fmt: skip
        return int((free - kept) // max(cost.working[0], 1))

    return room


def available() -> int:
    """Bytes of memory that this machine can still give."""
    about = Path("/proc/meminfo")
    if about.is_file():
        for line in about.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
