"""Worker processes: every item has an outcome, whatever happens to the process that held it."""

import multiprocessing
import os
import signal
import time

import pytest
from engine_work import bad_start, broken_start, dead_start, start, work

from ivgbench.engines import base
from ivgbench.engines import local as engines
from ivgbench.engines.base import TRIES, DiskFull, Failure, StartFailed, tell
from ivgbench.engines.local import LocalEngine
from ivgbench.errors import UserError


def test_items_are_spread_over_workers_that_start_once():
    items = [str(k) for k in range(12)]
    outcomes = dict(LocalEngine(2).run(start, work, items))
    assert [outcomes[k][0] for k in range(12)] == items
    pids = {pid for _, pid, _ in outcomes.values()}
    assert os.getpid() not in pids and 1 <= len(pids) <= 2
    assert sum(max(calls for _, p, calls in outcomes.values() if p == pid) for pid in pids) == 12


def test_a_fault_costs_one_item():
    outcomes = dict(LocalEngine(1).run(start, work, ["a", "raise", "die", "exit", "b"]))
    assert outcomes[0][0] == "a" and outcomes[4][0] == "b"
    assert outcomes[1].reason == "ValueError: two lines" and "Traceback" in outcomes[1].trace
    assert "signal 9 (out of memory?)" in outcomes[2].reason
    assert "exit code 3" in outcomes[3].reason
    assert [outcomes[k].kind for k in (1, 2, 3)] == ["item", "died", "died"]


def die_twice(state: dict, item: object) -> int:
    """item: a file of tries."""
    with item.open("a") as handle:
        handle.write("x")
    if (tried := item.stat().st_size) < TRIES:
        os.kill(os.getpid(), signal.SIGKILL)
    return tried


def test_an_item_whose_worker_dies_is_given_out_again_a_few_times(tmp_path):
    items = [tmp_path / "a", tmp_path / "b"]
    assert dict(LocalEngine(2).run(start, die_twice, items)) == {0: TRIES, 1: TRIES}
    (once,) = dict(LocalEngine(1).run(start, die_twice, [tmp_path / "c"], lambda item: 1)).values()
    assert once == Failure("the worker process died: killed by signal 9 (out of memory?)", kind="died")


class Growing:
    """An iterator that has more after an item failed."""

    def __init__(self, items: list[str]):
        self.items = items

    def __iter__(self):
        return self

    def __next__(self) -> str:
        if not self.items:
            raise StopIteration
        return self.items.pop(0)

    def __length_hint__(self) -> int:
        return len(self.items)


def test_what_failed_can_be_asked_for_in_another_way():
    items, seen = Growing(["a", "exit"]), []
    for _, outcome in LocalEngine(2).run(start, work, items, lambda item: 1):
        seen.append(outcome.kind if isinstance(outcome, Failure) else outcome[0])
        if seen[-1] == "died":
            items.items += ["b", "c"]
    assert sorted(seen) == ["a", "b", "c", "died"]


def steps(state: dict, item: int) -> int:
    for step in range(item):
        tell(step + 1, item)
    return item


def test_workers_tell_how_far_they_are():
    heard = []
    outcomes = dict(LocalEngine(1).run(start, steps, [4, 2], hear=lambda *far: heard.append(far)))
    assert outcomes == {0: 4, 1: 2}
    assert heard == [(0, 1, 4), (1, 1, 2)]  # no more often than anyone can see
    steps({}, 3)  # nobody hears


def test_what_is_told_is_not_told_too_often(monkeypatch):
    clock, heard = [100.0], []
    monkeypatch.setattr(base.time, "monotonic", lambda: clock[0])
    with base.telling(lambda *far: heard.append(far)):
        for step in range(6):
            tell(step, 6)
            clock[0] += base.TOLD_EVERY / 2
    assert heard == [(0, 6), (2, 6), (4, 6)]


def test_a_full_disk_stops_the_work():
    with pytest.raises(DiskFull, match=r"clip\.mkv"):
        list(LocalEngine(1).run(start, work, ["a", "full", "b"]))


@pytest.mark.parametrize(
    ("begin", "kind", "words"),
    [
        (bad_start, UserError, "no weights"),
        (broken_start, StartFailed, "bug"),
        (dead_start, StartFailed, "exit code 7"),
    ],
)
def test_workers_that_cannot_start_say_why(begin, kind, words):
    with pytest.raises(kind, match=words):
        list(LocalEngine(2).run(begin, work, ["a", "b", "c"]))


def test_no_items_start_no_worker():
    assert list(LocalEngine(2).run(dead_start, work, [])) == []
    with pytest.raises(UserError, match="at least 1"):
        LocalEngine(0)


def test_leaving_early_stops_the_workers():
    outcomes = LocalEngine(1).run(start, work, ["a", "b"])
    _, (_, pid, _) = next(outcomes)
    outcomes.close()
    time.sleep(0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("begin", [start, bad_start])
def test_a_worker_whose_parent_is_gone_ends_without_a_word(begin):
    before, (parent, own) = signal.getsignal(signal.SIGINT), multiprocessing.Pipe()
    parent.close()
    try:
        assert engines._serve(own, begin, work) is None
    finally:
        signal.signal(signal.SIGINT, before)
