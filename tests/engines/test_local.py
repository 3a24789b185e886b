"""Worker processes: every item has an outcome, whatever happens to the process that held it."""

import multiprocessing
import os
import signal
import time

import pytest

from ivgbench.engines import local as engines
from ivgbench.engines.local import DiskFull, Failure, LocalEngine, StartFailed
from ivgbench.errors import UserError


def start() -> dict:
    return {"pid": os.getpid(), "calls": 0}


def work(state: dict, item: str) -> tuple[str, int, int]:
    state["calls"] += 1
    if item == "raise":
        raise ValueError("two\nlines")
    if item == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "exit":
        os._exit(3)
    if item == "full":
        raise OSError(28, "No space left on device", "clip.mkv")
    return item, state["pid"], state["calls"]


def bad_start() -> None:
    raise UserError("no weights")


def broken_start() -> None:
    raise RuntimeError("bug")


def dead_start() -> None:
    os._exit(7)


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
    assert all(isinstance(outcomes[k], Failure) for k in (1, 2, 3))


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
