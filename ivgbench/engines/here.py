"""Work in this process, one item after another: models that are loaded stay loaded, and a crash is the caller's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from ivgbench.engines.base import TRIES, DiskFull, Failure, failure_of, start_error, telling


class HereEngine:
    """As `LocalEngine`, without processes. What is no `Exception` (a stop) ends the work at once."""

    workers = 1

    def run(
        self,
        start: Callable[[], Any],
        work: Callable[[Any, Any], Any],
        items: Iterable[Any],
        tries: Callable[[Any], int] = lambda item: TRIES,
        hear: Callable[[int, int, int], None] | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Yields (index, outcome) for every item in order, see `base.Engine`. Nobody dies here: `tries` is unused."""
        state, loaded = None, False
        for index, item in enumerate(items):
            try:
                state, loaded = (state if loaded else start()), True
            except Exception as fault:  # told as a worker process would
                raise start_error(failure_of(fault)) from fault
            try:
                with telling(partial(hear, index) if hear else lambda done, of: None):
                    outcome = work(state, item)
            except Exception as fault:  # becomes the item's failure, with its reason
                outcome = failure_of(fault)
            if isinstance(outcome, Failure) and outcome.kind == "disk":
                raise DiskFull(outcome.reason)
            yield index, outcome
