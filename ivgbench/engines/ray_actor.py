"""What lives in a Ray actor: it holds the models, and does what the driver asks. Ray is not imported at the top."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ivgbench import __version__
from ivgbench.engines.base import Failure, failure_of, telling
from ivgbench.errors import UserError

#: The actor's second thread, which answers while the first one works.
EAR = "ear"
#: Seconds between two answers of it.
ANSWERS_EVERY = 0.5
#: What workers print to stderr for whoever started the run begins so; the rest stays in Ray's logs.
OURS = "ivgbench: "
#: Settings that a worker has of the driver, whatever the node was started with.
PASSED_ON = ("IVGBENCH_", "OMP_", "HF_HUB_OFFLINE")


@dataclass(frozen=True)
class Place:
    """Where the driver runs: its version, host, working folder, and the settings that workers share."""

    version: str
    host: str
    folder: str
    settings: dict[str, str]

    @classmethod
    def here(cls) -> Place:
        settings = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
        return cls(__version__, socket.gethostname(), os.getcwd(), settings)

    def enter(self) -> None:
        """Makes this process one at that place: paths are relative to the same folder. UserError where it cannot."""
        here = socket.gethostname()
        if self.version != __version__:
            raise UserError(
                f"{here} has ivgbench {__version__}, and {self.host}, where the run was started, {self.version}: "
                "install the same on every node"
            )
        try:
            os.chdir(self.folder)
        except OSError as fault:
            raise UserError(
                f"{here} cannot use the folder {self.folder} ({fault.strerror}): start the run in a folder that every "
                "node sees under the same path"
            ) from None
        os.environ.update(self.settings)


class Holder:
    """Loads once, then turns items into outcomes. Each answer comes with the lines that were printed meanwhile."""

    def __init__(self, start: Callable[[], Any], work: Callable[[Any, Any], Any]):
        self._start, self._work, self._state = start, work, None
        self._far: tuple[int, int, int] | None = None

    def load(self, place: Place) -> tuple[Failure | str, list[str]]:
        """The id of the node this is on, or why nothing can be done here."""
        import ray

        with _printed() as lines:
            try:
                place.enter()
                self._state = self._start()
                outcome: Failure | str = ray.get_runtime_context().get_node_id()
            except Exception as fault:  # told to the driver, which raises it
                outcome = failure_of(fault)
        return outcome, lines

    def do(self, index: int, item: Any) -> tuple[Any, list[str]]:
        def far(done: int, of: int) -> None:
            self._far = index, done, of

        with _printed() as lines, telling(far):
            try:
                outcome = self._work(self._state, item)
            except Exception as fault:  # becomes the item's failure, with its reason
                outcome = failure_of(fault)
        return outcome, lines

    def heard(self) -> tuple[int, int, int] | None:
        """How far the item at work is, in a moment: (index, done, of)."""
        time.sleep(ANSWERS_EVERY)
        return self._far


@contextlib.contextmanager
def _printed() -> Iterator[list[str]]:
    """A list that has, at the end, the lines for the user of what was printed to stderr."""
    lines: list[str] = []
    held = io.StringIO()
    try:
        with contextlib.redirect_stderr(held):
            yield lines
    finally:
        sys.stderr.write(held.getvalue())
        lines += [line for line in held.getvalue().splitlines(keepends=True) if line.startswith(OURS)]
