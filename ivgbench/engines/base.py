"""What engines have in common: what they are asked, what they answer, and how an item that is at work tells how far
it is.

An engine turns items into outcomes, in any order. It knows nothing of videos.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from ivgbench.errors import UserError
from ivgbench.extras import missing
from ivgbench.files import is_full, room_at

#: How often an item is given out, in all, while it costs each of its workers its life. Memory may be short only for
#: a while; what always crashes is to stop.
TRIES = 3
#: Seconds between two signs of how far an item is.
TOLD_EVERY = 0.25


@dataclass(frozen=True)
class Failure:
    """Why an item has no result: `reason` on one line, `trace` for the log.

    kind: "item"; "died", its worker did, by signal or crash; "user", something of the user's is wrong; or "disk".
    """

    reason: str
    trace: str = ""
    kind: str = "item"


class DiskFull(Exception):
    """No room left. What was computed so far is whole; a later run goes on from there."""


class StartFailed(Exception):
    """The workers could not load what they need, so no item can be worked on."""


class Engine(Protocol):
    """Workers, each of which loads its models once and then takes items until none is left."""

    #: About how many items are worked on at once.
    workers: int

    def run(
        self,
        start: Callable[[], Any],
        work: Callable[[Any, Any], Any],
        items: Iterable[Any],
        tries: Callable[[Any], int] = lambda item: TRIES,
        hear: Callable[[int, int, int], None] | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Yields (index, outcome) for every item as they come; an outcome is work's result or a `Failure`.

        An item whose worker dies is given to a fresh one, `tries` times in all; then it is a failure of kind "died".
        What was lost with its whole machine is given out again, and counts apart: see `Queue`.

        Args:
            start: called once in each worker; its result is the first argument of `work`. All must be picklable.
            items: taken one by one, as workers become free. An iterator that has no more is asked again after each
                outcome, so that what failed can be asked for in another way.
            tries: item -> how often it is given out.
            hear: called with (index, done, of) of an item that `tell`s how far it is.
        Raises:
            StartFailed: `start` failed. UserError: for a reason of the user's. DiskFull: nothing can be written.
        """
        ...


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


def start_error(failure: Failure) -> Exception:
    """What is raised when the workers cannot start for this reason."""
    if failure.kind == "user":
        return UserError(failure.reason)
    return DiskFull(failure.reason) if failure.kind == "disk" else StartFailed(f"{failure.reason}\n{failure.trace}")


#: Who hears how far the item at work is; nobody outside of an engine's workers.
_ear: ContextVar[Callable[[int, int], None] | None] = ContextVar("ear", default=None)


def tell(done: int, of: int) -> None:
    """Says how far the item at work is, e.g. in steps. May be called as often as one likes, and anywhere."""
    if (ear := _ear.get()) is not None:
        ear(done, of)


@contextmanager
def telling(send: Callable[[int, int], None]) -> Iterator[None]:
    """While open, `send` is given what is told, at most every `TOLD_EVERY` seconds."""
    last = 0.0

    def ear(done: int, of: int) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= TOLD_EVERY:
            last = now
            send(done, of)

    before = _ear.set(ear)
    try:
        yield
    finally:
        _ear.reset(before)
