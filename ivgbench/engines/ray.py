"""The same work on a Ray cluster: one actor per GPU (or CPU), each with its models loaded once.

Every node must see the working folder and the folder of runs under the same path: clips are files, and travel through
no other channel. How many nodes there are is Ray's affair. As many actors as are up wait for room, as long as there
are items for them: an autoscaler sees that as demand, and a node that joins is used at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ivgbench.engines import ray_cluster
from ivgbench.engines.base import TRIES, DiskFull, Failure, StartFailed, start_error
from ivgbench.engines.queue import Queue
from ivgbench.engines.ray_actor import EAR, Holder, Place
from ivgbench.errors import UserError

#: Seconds without any worker after which that is told, and told again.
PATIENCE = 30.0


@dataclass(eq=False)
class _Worker:
    """An actor; `node`: where it is, None while it waits for room or loads; `index`: the item it holds."""

    actor: Any
    node: str | None = None
    index: int | None = None


class RayEngine:
    """Actors on a cluster, `workers` at most, by default as many as find room. Ray is only needed here.

    device: as `--device`. With "auto" each actor has a GPU to itself if the cluster has any, with "cuda" in any case;
    otherwise a CPU.
    """

    def __init__(self, workers: int | None, device: str):
        if workers is not None and workers < 1:
            raise UserError(f"--workers must be at least 1, got {workers}")
        if device.startswith("cuda:"):
            raise UserError(f"--device {device}: Ray gives each worker a GPU of its own; use --device cuda")
        self.ray = ray_cluster.connect()
        there = self.ray.cluster_resources()
        gpu = device == "cuda" or (device == "auto" and there.get("GPU", 0) >= 1)
        if gpu and not there.get("GPU"):
            raise UserError("--engine ray: the cluster has no GPU; use --device cpu")
        self.asks, self.limit = {"num_cpus": 1, "num_gpus": int(gpu)}, workers
        self.places = max(int(there.get("GPU" if gpu else "CPU", 0)), 1)
        self.workers = min(workers or self.places, self.places)

    def run(
        self,
        start: Callable[[], Any],
        work: Callable[[Any, Any], Any],
        items: Iterable[Any],
        tries: Callable[[Any], int] = lambda item: TRIES,
        hear: Callable[[int, int, int], None] | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """See `Engine.run`. A worker that dies while it loads is replaced as well; `TRIES` in a row, and it is told."""
        queue, crew = Queue(items, tries), _Crew(self, start, work, hear is not None)
        died_loading = 0
        try:
            while crew.fit(queue):
                if (come := crew.wait()) is None:
                    continue
                worker, what, answer = come
                if what == "ear":
                    crew.listen(worker)
                    if hear is not None and answer is not None and answer[0] == worker.index:
                        hear(*answer)
                    continue
                if isinstance(answer, self.ray.exceptions.RayError):
                    crew.drop(worker)
                    if worker.node is None:
                        died_loading += 1
                        if died_loading == TRIES or getattr(answer, "actor_init_failed", False):
                            raise StartFailed(f"a worker died while loading: {ray_cluster.cause(answer)}")
                    elif worker.index is not None:
                        gone = ray_cluster.is_lost(self.ray, worker.node, answer)
                        how = f"{'its machine was lost' if gone else 'the worker died'}: {ray_cluster.cause(answer)}"
                        if failure := (queue.lost if gone else queue.died)(worker.index, how):
                            yield worker.index, failure
                    continue
                outcome, lines = answer
                print(*lines, sep="", end="", file=sys.stderr, flush=True)
                if what == "load":
                    if isinstance(outcome, Failure):
                        raise start_error(outcome)
                    worker.node, died_loading = outcome, 0
                elif (index := worker.index) is not None:
                    if isinstance(outcome, Failure) and outcome.kind == "disk":
                        raise DiskFull(outcome.reason)
                    worker.index = None
                    queue.done(index)
                    yield index, outcome
                crew.give(worker, queue)
        finally:
            crew.stop()


class _Crew:
    """The actors of a run, and what each of them was asked."""

    def __init__(self, engine: RayEngine, start: Callable[[], Any], work: Callable[[Any, Any], Any], ears: bool):
        self._ray, self._places, self._limit, self._asks = engine.ray, engine.places, engine.limit, engine.asks
        make = self._ray.remote(**self._asks, concurrency_groups={EAR: 1})(Holder)
        self._make = lambda: make.remote(start, work)
        self._ears = ears
        self.workers: list[_Worker] = []
        self._pending: dict[Any, tuple[_Worker, str]] = {}

    def fit(self, queue: Queue) -> bool:
        """Asks for more actors, or for fewer, by what waits. False when nothing is left to do."""
        new = [worker for worker in self.workers if worker.node is None]
        up = len(self.workers) - len(new)
        wanted = min(queue.waiting(), max(self._places, up))
        if self._limit is not None:
            wanted = min(wanted, self._limit - up)
        for worker in new[max(wanted, 0) :]:  # what has no room yet, and is no longer needed
            self.drop(worker)
        for _ in range(wanted - len(new)):
            worker = _Worker(self._make())
            self.workers.append(worker)
            self._pending[worker.actor.load.remote(Place.here())] = worker, "load"
        return bool(self.workers)

    def wait(self) -> tuple[_Worker, str, Any] | None:
        """The next answer of an actor, or why there is none; None when there is nothing new for a while."""
        ready, _ = self._ray.wait(list(self._pending), num_returns=1, timeout=PATIENCE)
        if not ready:
            if all(worker.node is None for worker in self.workers):
                self._tell_of_waiting()
            return None
        worker, what = self._pending.pop(ready[0])
        try:
            answer = self._ray.get(ready[0])
        except self._ray.exceptions.RayError as fault:
            answer = None if what == "ear" else fault  # its item's call says the same
        return worker, what, answer

    def give(self, worker: _Worker, queue: Queue) -> None:
        """Hands it the next item; where none waits it ends, and what it held is free for others."""
        worker.index = queue.take()
        if worker.index is None:
            self.drop(worker)
            return
        self._pending[worker.actor.do.remote(worker.index, queue.item(worker.index))] = worker, "do"
        if self._ears and not any(one is worker and what == "ear" for one, what in self._pending.values()):
            self.listen(worker)

    def listen(self, worker: _Worker) -> None:
        """Asks once more how far its item is; the answer takes a moment."""
        if worker in self.workers and worker.index is not None:
            self._pending[worker.actor.heard.options(concurrency_group=EAR).remote()] = worker, "ear"

    def drop(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        self._pending = {asked: about for asked, about in self._pending.items() if about[0] is not worker}
        self._ray.kill(worker.actor)  # also one that only cannot be reached: no two are to work on one item

    def stop(self) -> None:
        for worker in list(self.workers):
            self.drop(worker)

    def _tell_of_waiting(self) -> None:
        """What is missing, on one line: nothing else says why nothing happens."""
        asks = "a GPU and a CPU" if self._asks["num_gpus"] else "a CPU"
        there = {name: self._ray.cluster_resources().get(name, 0) for name in ("CPU", "GPU")}
        free = {name: self._ray.available_resources().get(name, 0) for name in there}
        told = ", ".join(f"{free[name]:g} of {count:g} {name}s free" for name, count in there.items() if count)
        print(
            f"ivgbench: waiting for Ray: no worker is up yet, each needs {asks}; the cluster has {told or 'no node'}",
            file=sys.stderr, flush=True,
        )  # fmt: skip
