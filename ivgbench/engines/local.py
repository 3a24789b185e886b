"""Local worker processes that load their models once and take items until none is left."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from ivgbench.engines.base import TRIES, DiskFull, Failure, StartFailed, failure_of, start_error, telling
from ivgbench.engines.queue import Queue
from ivgbench.errors import UserError

#: What stops a command: Ctrl-C, and what a scheduler of jobs sends.
STOPPING = (signal.SIGINT, signal.SIGTERM)


class _Told(NamedTuple):
    """A message of a worker: how far its item is."""

    done: int
    of: int


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
                with telling(lambda done, of: pipe.send(_Told(done, of))):
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
        self,
        start: Callable[[], Any],
        work: Callable[[Any, Any], Any],
        items: Iterable[Any],
        tries: Callable[[Any], int] = lambda item: TRIES,
        hear: Callable[[int, int, int], None] | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """See `Engine.run`."""
        context, queue, workers = multiprocessing.get_context("spawn"), Queue(items, tries), list[_Worker]()
        try:
            while True:
                while len(workers) < min(self.workers, queue.open()):
                    workers.append(_Worker(context, start, work))
                if not workers:
                    return
                # A dead process closes its pipe, which wakes `wait` too: one place to hear of both.
                for pipe in wait([worker.pipe for worker in workers]):
                    worker = next(one for one in workers if one.pipe is pipe)
                    yield from _hear(worker, workers, queue, hear)
        finally:
            for worker in workers:
                worker.stop()


def _hear(
    worker: _Worker, workers: list[_Worker], queue: Queue, hear: Callable[[int, int, int], None] | None
) -> Iterator[tuple[int, Any]]:
    """Takes one message of a worker, yields the outcome it brings, and gives the worker its next item."""
    index = worker.index
    try:
        outcome = worker.pipe.recv()
    except (EOFError, ConnectionResetError):
        workers.remove(worker)
        worker.process.join()
        how = _cause_of_death(worker.process.exitcode)
        worker.stop()
        if index is None:
            raise StartFailed(f"a worker process died while loading: {how}") from None
        if failure := queue.died(index, f"the worker process died: {how}"):
            yield index, failure
        return
    if isinstance(outcome, _Told):
        if hear is not None and index is not None:
            hear(index, *outcome)
        return
    if index is None:
        if isinstance(outcome, Failure):
            raise start_error(outcome)
    else:
        if isinstance(outcome, Failure) and outcome.kind == "disk":
            raise DiskFull(outcome.reason)
        queue.done(index)
        worker.index = None
        yield index, outcome
    worker.index = queue.take()
    if worker.index is not None:
        with suppress(BrokenPipeError):  # it died just now: the next `wait` hears of it, and the item is given again
            worker.pipe.send(queue.item(worker.index))
    else:
        workers.remove(worker)
        worker.stop()


def _cause_of_death(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    return f"killed by signal {-code}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
