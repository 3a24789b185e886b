"""What a run tells while it works, on stderr: lines, and a bar for everything that takes time."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

#: Seconds after which what is usually quick shows how far it is.
PATIENCE = 2.0


def log(message: str) -> None:
    """One line to stderr; stdout is for results."""
    print(f"ivgbench: {message}", file=sys.stderr, flush=True)


class Stage:
    """A bar of items done / total. It is called after each item, or told how far the items at work are."""

    def __init__(self, bar: Progress, what: str, total: int, completed: int):
        self._bar, self._done = bar, completed
        self._task = bar.add_task(what, total=total, completed=completed, beside="")
        self._far: dict[Any, tuple[int, int, int]] = {}

    def __call__(self) -> None:
        self._done += 1
        self._show()

    def steps(self, at_work: Any, done: int, of: int, items: int = 1) -> None:
        """What is `at_work` (any name for it), of so many items, has `done` so many steps `of` so many."""
        self._far[at_work] = done, of, items
        self._show()

    def ended(self, at_work: Any) -> None:
        """It is at work no longer; its items are counted, or given out again."""
        self._far.pop(at_work, None)
        self._show()

    def _show(self) -> None:
        part = sum(items * done / of for done, of, items in self._far.values())
        done, of = (sum(one[place] for one in self._far.values()) for place in (0, 1))
        beside = f"{done}/{of} steps" if self._far else ""
        self._bar.update(self._task, completed=self._done + part, beside=beside)


@contextlib.contextmanager
def progress(what: str, total: int, completed: int = 0) -> Iterator[Stage]:
    """A bar on stderr with items done / total; nothing at all when there is nothing to do."""
    bar = _bars(TextColumn("{task.fields[beside]}"))
    with bar if completed < total else contextlib.nullcontext():
        yield Stage(bar, what, total, completed)


@contextlib.contextmanager
def late_progress() -> Iterator[Callable[[str, int], Callable[[], None]]]:
    """Bars on stderr for the stages of what is usually quick: nothing is seen of them in the first `PATIENCE` seconds.

    Yields a function (what, total) that begins a stage, and gives a function to call after each of its items.
    """
    bar = _bars()
    # From another thread: a single item may take longer than anyone waits for a sign.
    timer = threading.Timer(PATIENCE, bar.start)
    timer.daemon = True
    timer.start()

    def stage(what: str, total: int) -> Callable[[], None]:
        task = bar.add_task(what, total=total)
        return lambda: bar.advance(task)

    try:
        yield stage
    except BaseException:
        bar.live.transient = True  # the reason is to stand alone, where stderr is a file
        raise
    finally:
        timer.cancel()
        timer.join()
        if bar.live.is_started and not bar.live.transient:
            bar.stop()  # which ends the line, where stderr is a file
        else:
            bar.live.stop()


def _bars(*more: TextColumn) -> Progress:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        *more,
    )  # fmt: skip
    return Progress(*columns, console=Console(stderr=True))
