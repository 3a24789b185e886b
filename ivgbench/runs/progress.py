"""What a run tells while it works, on stderr: lines, and a bar for everything that takes time."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

#: Seconds after which what is usually quick shows how far it is.
PATIENCE = 2.0


def log(message: str) -> None:
    """One line to stderr; stdout is for results."""
    print(f"ivgbench: {message}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress(what: str, total: int, completed: int = 0) -> Iterator[Callable[[], None]]:
    """A bar on stderr with items done / total; nothing at all when there is nothing to do."""
    if completed >= total:
        yield lambda: None
        return
    with _bars() as bar:
        task = bar.add_task(what, total=total, completed=completed)
        yield lambda: bar.advance(task)


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
        bar.live.stop()  # nothing where it never began


def _bars() -> Progress:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    return Progress(*columns, console=Console(stderr=True))
