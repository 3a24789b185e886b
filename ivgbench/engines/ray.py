"""The same work on a Ray cluster: one actor per GPU (or CPU), each with its models loaded once.

Every node must see the folder of runs under the same path: clips are files, and travel through no other channel.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ivgbench.engines.local import DiskFull, Failure, StartFailed, failure_of, start_error
from ivgbench.errors import UserError


class _Holder:
    """Lives in an actor: loads once, then turns items into outcomes."""

    def __init__(self, start: Callable[[], Any], work: Callable[[Any, Any], Any]):
        self._start, self._work, self._state = start, work, None

    def load(self) -> Failure | None:
        try:
            self._state = self._start()
        except Exception as fault:  # told to the driver, which raises it
            return failure_of(fault)
        return None

    def do(self, item: Any) -> Any:
        try:
            return self._work(self._state, item)
        except Exception as fault:  # becomes the item's failure, with its reason
            return failure_of(fault)


class RayEngine:
    """`workers` actors, by default one for every GPU (`gpu`) or CPU of the cluster. Ray is only needed here."""

    def __init__(self, workers: int | None, gpu: bool):
        try:
            import ray
        except ImportError:
            raise UserError("--engine ray needs Ray: pip install 'ivgbench[ray]' (or use --engine local)") from None
        if workers is not None and workers < 1:
            raise UserError(f"--workers must be at least 1, got {workers}")
        if not ray.is_initialized():
            ray.init()  # RAY_ADDRESS names a cluster; without it one is started on this machine
        there = int(ray.cluster_resources().get("GPU" if gpu else "CPU", 0))
        if gpu and not there:
            raise UserError("--engine ray: the cluster has no GPU; use --device cpu")
        self.ray, self.workers = ray, workers or max(there, 1)
        self._actor = ray.remote(num_cpus=1, num_gpus=int(gpu))(_Holder)

    def run(
        self, start: Callable[[], Any], work: Callable[[Any, Any], Any], items: Sequence[Any]
    ) -> Iterator[tuple[int, Any]]:
        """Yields (index, outcome) for every item as they come; see `LocalEngine.run`."""
        waiting = deque(range(len(items)))
        actors = [self._actor.remote(start, work) for _ in range(min(self.workers, len(items)))]
        # What is under way -> its actor and the item it holds, None while it loads.
        pending: dict[Any, tuple[Any, int | None]] = {actor.load.remote(): (actor, None) for actor in actors}
        try:
            while pending:
                reference = self.ray.wait(list(pending), num_returns=1)[0][0]
                actor, index = pending.pop(reference)
                try:
                    outcome = self.ray.get(reference)
                except self.ray.exceptions.RayError as fault:
                    how = " ".join(f"{type(fault).__name__}: {fault}".split())[:300]
                    if index is None:
                        raise StartFailed(f"a worker died while loading: {how}") from None
                    yield index, Failure(f"the worker died: {how}")
                    if waiting:
                        actors.append(self._actor.remote(start, work))
                        pending[actors[-1].load.remote()] = (actors[-1], None)
                    continue
                if isinstance(outcome, Failure) and index is None:
                    raise start_error(outcome)
                if isinstance(outcome, Failure) and outcome.kind == "disk":
                    raise DiskFull(outcome.reason)
                if index is not None:
                    yield index, outcome
                if waiting:
                    taken = waiting.popleft()
                    pending[actor.do.remote(items[taken])] = (actor, taken)
        finally:
            for actor in actors:
                self.ray.kill(actor)
