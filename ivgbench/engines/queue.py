"""Which items wait for a worker, which are at work, and how often each was given out."""

from __future__ import annotations

import operator
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

from ivgbench.engines.base import Failure

#: How often an item is given out, in all, while its machine goes with it: one may be ill-fated, or what kills it.
LOST = 5


class Queue:
    """What an engine gives out. `tries`: see `Engine.run`."""

    def __init__(self, items: Iterable[Any], tries: Callable[[Any], int]):
        self._more, self._tries = iter(items), tries
        self._again: deque[int] = deque()
        self._out: dict[int, Any] = {}
        self._taken = 0
        self._died: Counter[int] = Counter()
        self._lost: Counter[int] = Counter()

    def take(self) -> int | None:
        """The index of an item to work on; None when none waits."""
        if self._again:
            return self._again.popleft()
        for item in self._more:
            index, self._taken = self._taken, self._taken + 1
            self._out[index] = item
            return index
        return None

    def item(self, index: int) -> Any:
        return self._out[index]

    def done(self, index: int) -> None:
        """Its outcome is there."""
        del self._out[index]

    def open(self) -> int:
        """How many items have no outcome yet, at work or waiting."""
        return len(self._out) + operator.length_hint(self._more)

    def waiting(self) -> int:
        """How many wait for a worker."""
        return len(self._again) + operator.length_hint(self._more)

    def died(self, index: int, how: str) -> Failure | None:
        """The worker of an item died: None when it is given out again, else its outcome."""
        self._died[index] += 1
        return self._once_more(index, self._died[index], self._tries(self._out[index]), how)

    def lost(self, index: int, how: str) -> Failure | None:
        """The machine of an item's worker is gone; as `died`."""
        self._lost[index] += 1
        return self._once_more(index, self._lost[index], LOST, how)

    def _once_more(self, index: int, times: int, most: int, how: str) -> Failure | None:
        if times < most:
            self._again.append(index)
            return None
        self.done(index)
        return Failure(how if times == 1 else f"{how} ({times} times)", kind="died")
