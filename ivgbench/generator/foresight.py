"""What will not work, seen before any weights are loaded: from a backbone's tokenizer and scheduler files alone."""

from __future__ import annotations

from ivgbench.cases import Case
from ivgbench.errors import UserError
from ivgbench.generator import schedulers
from ivgbench.generator.backbones import sources
from ivgbench.generator.backbones.base import family
from ivgbench.generator.methods.base import Method


class Foresight:
    """Checks requests to one backbone; what is the same for many is looked at once. `source`: see `sources.locate`."""

    def __init__(self, source: str):
        folder = sources.locate(source)
        self._family = family(sources.family(folder))
        self.reader = self._family.reader_of(folder)
        self._config = sources.read_config(sources.scheduler_file(folder))
        self._known: set[tuple] = set()

    def check(self, config: Method, case: Case, steps: int, scheduler: str | None, suffix: str = "") -> None:
        """Refuses what `generate` would refuse.

        Raises:
            UserError: the scheduler cannot make the steps, or the text encoder never reads a subject whose words the
                method needs; then with the case.
        """
        if self._new("steps", steps, scheduler):
            schedulers.check(self._family.scheduler_of(self._config, scheduler), steps)
        phrases = tuple(subject.phrase for subject in case.subjects)
        if self._new("words", config, case.prompt, suffix, phrases):
            try:
                config.check_words(self.reader, case.prompt, suffix, phrases)
            except UserError as fault:
                raise UserError(f"case {case.id}: {fault}; or leave the case out") from None

    def _new(self, *question: object) -> bool:
        """Whether this is asked for the first time."""
        if question in self._known:
            return False
        self._known.add(question)
        return True
