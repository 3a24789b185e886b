"""The queue: one at a time and in order, bounded, each session its own; a cancel ends a clip within a step."""

import threading

import pytest

from ivgbench.studio import tickets
from ivgbench.studio.tickets import Full, Queue


class Work:
    """Work that waits where it is told to, and notes what it did."""

    def __init__(self):
        self.begun, self.go, self.done = threading.Event(), threading.Event(), []

    def __call__(self, ticket):
        self.begun.set()
        while not self.go.wait(0.01):
            ticket.check()
        for take in ticket.takes:
            take.state = "done"
        self.done.append(ticket.id)


@pytest.fixture
def work():
    return Work()


@pytest.fixture
def queue(work):
    made = Queue(work)
    made.start()
    yield made
    work.go.set()
    assert made.close(10)


def until(condition):
    waiting = threading.Event()
    for _ in range(1000):
        if condition():
            return
        waiting.wait(0.01)
    raise AssertionError("it never came")


def test_requests_are_worked_off_in_order_and_each_knows_its_place(queue, work, asked):
    first, second, third = (queue.add(session, asked()) for session in ("a", "b", "a"))
    assert work.begun.wait(10)
    assert [queue.ahead(one) for one in (first, second, third)] == [0, 1, 2]
    assert [one.state for one in (first, second, third)] == ["running", "queued", "queued"]
    work.go.set()
    until(lambda: third.state == "done")
    assert work.done == [first.id, second.id, third.id] and queue.ahead(third) == 0


def test_a_session_sees_its_own_alone(queue, asked):
    mine, theirs = queue.add("me", asked()), queue.add("they", asked())
    assert queue.get("me", mine.id) is mine and queue.get("me", theirs.id) is None and queue.get("me", "x") is None
    assert queue.of("me") == [mine]


def test_a_cancel_of_what_waits_lets_the_others_go_on(queue, work, asked):
    first, second, third = (queue.add("a", asked()) for _ in range(3))
    assert work.begun.wait(10)
    queue.cancel(second)
    assert second.state == "cancelled" and {one.state for one in second.takes} == {"cancelled"}
    assert queue.ahead(third) == 1
    work.go.set()
    until(lambda: third.state == "done")
    assert second.id not in work.done and first.state == "done"


def test_a_cancel_of_what_runs_ends_it_and_the_next_begins(queue, work, asked):
    first, second = queue.add("a", asked()), queue.add("a", asked())
    assert work.begun.wait(10)
    queue.cancel(first)
    until(lambda: first.state == "cancelled" and second.state == "running")


def test_the_queue_is_bounded_for_one_and_for_all(queue, asked, monkeypatch):
    monkeypatch.setattr(tickets, "MOST_OPEN", 6)
    for _ in range(tickets.MOST_OF_ONE):
        queue.add("greedy", asked())
    with pytest.raises(Full, match="your requests"):
        queue.add("greedy", asked())
    queue.add("b", asked())
    queue.add("c", asked())
    with pytest.raises(Full, match="wait already"):
        queue.add("d", asked())


def test_old_requests_are_forgotten(queue, work, asked, monkeypatch):
    monkeypatch.setattr(tickets, "MOST_KEPT", 3)
    work.go.set()
    made = []
    for _ in range(6):
        made.append(queue.add("a", asked()))
        until(lambda: made[-1].state == "done")
    assert len(queue.of("a")) == 3 and queue.get("a", made[0].id) is None


def test_work_that_breaks_is_told_and_stops_nothing(asked):
    calls = []

    def broken(ticket):
        calls.append(ticket)
        raise RuntimeError("no\nroom")

    queue = Queue(broken)
    queue.start()
    first, second = queue.add("a", asked()), queue.add("a", asked())
    until(lambda: second.state == "done")
    assert first.failed == "no room" and {one.state for one in first.takes} == {"failed"} and len(calls) == 2
    assert queue.close(10)


def test_closing_cancels_what_runs_and_what_waits(asked, work):
    queue = Queue(work)
    queue.start()
    first, second = queue.add("a", asked()), queue.add("a", asked())
    assert work.begun.wait(10) and queue.close(10)
    assert first.state == "cancelled" and work.done == [] and second.stop.is_set()
