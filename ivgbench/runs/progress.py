"""What a run tells while it works, on stderr: lines, and a bar for everything that takes time."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def log(message: str) -> None:
    """One line to stderr; stdout is for results."""
    print(f"ivgbench: {message}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress(what: str, total: int, completed: int = 0) -> Iterator[Callable[[], None]]:
    """A bar on stderr with items done / total; nothing at all when there is nothing to do."""
    if completed >= total:
        yield lambda: None
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total, completed=completed)
        yield lambda: bar.advance(task)
