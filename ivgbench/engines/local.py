"""How work is spread: local worker processes that load their models once and take items until none is left.

An engine turns items into outcomes, in any order. It knows nothing of videos. A worker that dies (killed, out of
memory, a crash in native code) costs the one item it held; a fresh worker takes its place.
"""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from ivgbench.errors import UserError
from ivgbench.extras import missing
from ivgbench.files import is_full, room_at

#: What stops a command: Ctrl-C, and what a scheduler of jobs sends.
STOPPING = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Failure:
    """Why an item has no result: `reason` on one line, `trace` for the log. `kind`: "item", "user" or "disk"."""

    reason: str
    trace: str = ""
    kind: str = "item"


def failure_of(fault: Exception) -> Failure:
    """An exception as an outcome that can leave its process."""
    if is_full(fault):
        return Failure(room_at(fault), traceback.format_exc(), "disk")
    if isinstance(fault, ImportError):
        fault = missing(fault) or fault
    if isinstance(fault, UserError):
        return Failure(str(fault), traceback.format_exc(), "user")
    reason = " ".join(f"{type(fault).__name__}: {fault}".split())
    return Failure(reason, traceback.format_exc())


class DiskFull(Exception):
    """No room left. What was computed so far is whole; a later run goes on from there."""


class StartFailed(Exception):
    """The workers could not load what they need, so no item can be worked on."""


class _Worker:
    """A process and the parent's end of its pipe; `index` is the item it holds, None before it is ready."""

    def __init__(self, context: Any, start: Callable[[], Any], work: Callable[[Any, Any], Any]):
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, start, work), daemon=True)
        with _undisturbed():
            self.process.start()
        theirs.close()
        self.index: int | None = None

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Signals that stop this process wait meanwhile: a process that is half started would tell of it in a traceback.

    What is started inherits this, so that Ctrl-C, which all processes of a terminal get, is the parent's alone.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # or its start, within the first process's, would let them through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, start: Callable[[], Any], work: Callable[[Any, Any], Any]) -> None:
    """A worker's life: load, say ready, then an item in and an outcome out until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle: it stops its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    # The parent may be killed at any moment.
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            state = start()
        except Exception as fault:  # reported to the parent, which raises it
            pipe.send(failure_of(fault))
            return
        pipe.send(None)
        while True:
            item = pipe.recv()
            try:
                outcome = work(state, item)
            except Exception as fault:  # becomes the item's failure, with its reason
                outcome = failure_of(fault)
            pipe.send(outcome)


class LocalEngine:
    """`workers` processes on this machine, started fresh (spawn): no state is inherited from the parent."""

    def __init__(self, workers: int):
        if workers < 1:
            raise UserError(f"--workers must be at least 1, got {workers}")
        self.workers = workers

    def run(
        self, start: Callable[[], Any], work: Callable[[Any, Any], Any], items: Sequence[Any]
    ) -> Iterator[tuple[int, Any]]:
        """Yields (index, outcome) for every item as they come; an outcome is work's result or a `Failure`.

        start: called once in each worker; its result is the first argument of `work`. All must be picklable.
        Raises:
            StartFailed: `start` failed. UserError: for a reason of the user's. DiskFull: nothing can be written.
        """
        context = multiprocessing.get_context("spawn")
        waiting = deque(range(len(items)))
        workers = [_Worker(context, start, work) for _ in range(min(self.workers, len(items)))]
        try:
            while workers:
                # A dead process closes its pipe, which wakes `wait` too: one place to hear of both.
                for pipe in wait([worker.pipe for worker in workers]):
                    worker = next(one for one in workers if one.pipe is pipe)
                    yield from self._hear(worker, workers, waiting, items, lambda: _Worker(context, start, work))
        finally:
            for worker in workers:
                worker.stop()

    def _hear(
        self,
        worker: _Worker,
        workers: list[_Worker],
        waiting: deque[int],
        items: Sequence[Any],
        fresh: Callable[[], _Worker],
    ) -> Iterator[tuple[int, Any]]:
        """Takes one message of a worker, yields the outcome it brings, and gives the worker its next item."""
        try:
            outcome = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            workers.remove(worker)
            worker.process.join()
            how = _cause_of_death(worker.process.exitcode)
            worker.stop()
            if worker.index is None:
                raise StartFailed(f"a worker process died while loading: {how}") from None
            if waiting:
                workers.append(fresh())
            yield worker.index, Failure(f"the worker process died: {how}")
            return
        if worker.index is None:
            if isinstance(outcome, Failure):
                raise start_error(outcome)
        else:
            if isinstance(outcome, Failure) and outcome.kind == "disk":
                raise DiskFull(outcome.reason)
            index, worker.index = worker.index, None
            yield index, outcome
        if waiting:
            worker.index = waiting.popleft()
            with suppress(BrokenPipeError):  # it died just now: the next `wait` hears of it, and the item fails
                worker.pipe.send(items[worker.index])
        else:
            workers.remove(worker)
            worker.stop()


def _cause_of_death(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    return f"killed by signal {-code}" + (" (out of memory?)" if code == -signal.SIGKILL else "")


def start_error(failure: Failure) -> Exception:
    """What is raised when the workers cannot start for this reason."""
    if failure.kind == "user":
        return UserError(failure.reason)
    return DiskFull(failure.reason) if failure.kind == "disk" else StartFailed(f"{failure.reason}\n{failure.trace}")
