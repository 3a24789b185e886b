"""Who waits for what: a bounded queue of requests, one thread that works them off, and cancelling at any time."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ivgbench.errors import UserError
from ivgbench.runs.spec import MethodSpec
from ivgbench.studio.requests import Asked

#: Requests that wait or are worked on: of everybody, and of one session.
MOST_OPEN, MOST_OF_ONE = 20, 4
#: Finished requests that are remembered. Their clips are in the store in any case.
MOST_KEPT = 200


class Full(UserError):
    """The queue takes no more."""


class Stopped(BaseException):
    """The request was cancelled, or the studio closes. Not an `Exception`: no failure of a method, nothing keeps it."""


@dataclass(eq=False)
class Take:
    """One clip of a request. state: "waiting", "making", "scoring", "done", "failed" or "cancelled".

    done, steps: of the sampler; steps is 0 until the first is done. result: what the page shows of it.
    """

    method: MethodSpec
    seed: int
    state: str = "waiting"
    done: int = 0
    steps: int = 0
    failed: str = ""
    result: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Ticket:
    """A request in the queue. state: "queued", "running", "done" or "cancelled". failed: why nothing could be made."""

    id: str
    session: str
    asked: Asked
    takes: list[Take]
    state: str = "queued"
    failed: str = ""
    stop: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raises Stopped where the request was cancelled: called as often as anything happens."""
        if self.stop.is_set():
            raise Stopped


class Queue:
    """Requests in the order in which they came. `work` makes a ticket's takes; it may raise what it likes."""

    def __init__(self, work: Callable[[Ticket], None], ready: Callable[[], None] | None = None):
        """ready: what the thread does first of all, such as loading models."""
        self._work, self._ready = work, ready
        self.loading = ready is not None
        self._waiting: deque[Ticket] = deque()
        self._known: dict[str, Ticket] = {}
        self._running: Ticket | None = None
        self._closed = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="studio", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def add(self, session: str, asked: Asked) -> Ticket:
        """A new ticket at the queue's end. Full where there are too many."""
        takes = [Take(method, seed) for seed in asked.seeds for method in asked.methods]
        ticket = Ticket(secrets.token_hex(12), session, asked, takes)
        with self._change:
            opened = [one for one in self._known.values() if one.state in ("queued", "running")]
            if sum(one.session == session for one in opened) >= MOST_OF_ONE:
                raise Full(f"{MOST_OF_ONE} of your requests are open already; wait for one, or cancel it")
            if len(opened) >= MOST_OPEN:
                raise Full(f"{MOST_OPEN} requests wait already; come back when some are done")
            finished = [one.id for one in self._known.values() if one not in opened]
            for old in finished[: max(0, len(self._known) - MOST_KEPT + 1)]:
                del self._known[old]
            self._known[ticket.id] = ticket
            self._waiting.append(ticket)
            self._change.notify()
        return ticket

    def get(self, session: str, id: str) -> Ticket | None:
        """A session's own ticket; None for another's, as for one that there is not."""
        with self._change:
            ticket = self._known.get(id)
        return ticket if ticket is not None and ticket.session == session else None

    def of(self, session: str) -> list[Ticket]:
        """A session's tickets, the newest first."""
        with self._change:
            return [one for one in reversed(self._known.values()) if one.session == session]

    def ahead(self, ticket: Ticket) -> int:
        """How many requests are worked off before this one; 0 for one that does not wait."""
        with self._change:
            if ticket not in self._waiting:
                return 0
            return self._waiting.index(ticket) + (self._running is not None)

    def cancel(self, ticket: Ticket) -> None:
        """Ends it: at once where it waits, at the next network evaluation where it is worked on."""
        with self._change:
            ticket.stop.set()
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                _close(ticket)

    def close(self, seconds: float) -> bool:
        """Cancels everything, takes nothing more, and waits so long for the thread; returns whether it has ended."""
        with self._change:
            self._closed = True
            for ticket in [*self._waiting, *([self._running] if self._running else [])]:
                ticket.stop.set()
            self._change.notify()
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _serve(self) -> None:
        if self._ready is not None:
            self._ready()
            self.loading = False
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                ticket = self._running = self._waiting.popleft()
                ticket.state = "running"
            try:
                ticket.check()
                self._work(ticket)
            except Stopped:
                pass
            except Exception as fault:  # the next one has its turn in any case
                ticket.failed = " ".join((str(fault) or type(fault).__name__).split())
            finally:
                with self._change:
                    self._running = None
                    _close(ticket)


def _close(ticket: Ticket) -> None:
    """A ticket with which nothing more happens: what it has is kept."""
    ticket.state = "done"
    for take in ticket.takes:
        if take.state in ("waiting", "making", "scoring"):
            ticket.state = "cancelled"
            take.state, take.failed = ("failed", ticket.failed) if ticket.failed else ("cancelled", "")
    if ticket.failed:
        ticket.state = "done"
