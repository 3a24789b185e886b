"""Work in this process, one item after another: models that are loaded stay loaded, and a crash is the caller's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ivgbench.engines.local import DiskFull, Failure, failure_of, start_error


class HereEngine:
    """As `LocalEngine`, without processes. What is no `Exception` (a stop) ends the work at once."""

    workers = 1

    def run(
        self, start: Callable[[], Any], work: Callable[[Any, Any], Any], items: Sequence[Any]
    ) -> Iterator[tuple[int, Any]]:
        """Yields (index, outcome) for every item in order. Raises as `LocalEngine.run`."""
        if not items:
            return
        try:
            state = start()
        except Exception as fault:  # told as a worker process would
            raise start_error(failure_of(fault)) from fault
        for index, item in enumerate(items):
            try:
                outcome = work(state, item)
            except Exception as fault:  # becomes the item's failure, with its reason
                outcome = failure_of(fault)
            if isinstance(outcome, Failure) and outcome.kind == "disk":
                raise DiskFull(outcome.reason)
            yield index, outcome
