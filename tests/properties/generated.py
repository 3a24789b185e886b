"""Properties on generated inputs: how many inputs, and what an input may lead to.

Whatever comes in, a reader answers with a value that keeps its promises, or with one `UserError` of one line.
"""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings

from ivgbench.errors import UserError

#: Inputs of a property that costs little: in `make test`, and in `make test-slow`.
EXAMPLES = {"quick": 12, "thorough": 700}
#: An answer that takes longer than so many seconds counts as none.
PATIENCE = 60

#: Inputs that properties were tried on in this session.
count = 0


def holds_for(*inputs: Any, dear: int = 1) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Makes a test of a property: called with drawn values of the strategies `inputs` as its last arguments.

    dear: how many times as much as others an input costs; there are so many times fewer.
    """

    def make(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def one(*arguments: Any, **named: Any) -> None:
            global count
            count += 1
            previous = signal.signal(signal.SIGALRM, _hangs)
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)
            try:
                test(*arguments, **named)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, previous)

        examples = max(settings.default.max_examples // dear, 2)
        return settings(max_examples=examples)(given(*inputs)(one))

    return make


def _hangs(*_: object) -> None:
    raise TimeoutError(f"no answer after {PATIENCE} s")


def answer(call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call returns, or None where it refuses its input in one line. Any other exception is the test's."""
    try:
        return call(*arguments)
    except UserError as fault:
        line = str(fault)
        assert line.strip() and len(line.splitlines()) == 1, f"not one line: {line!r}"
        return None
