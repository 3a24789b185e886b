"""What will not work, seen before any weights are loaded: from a backbone's tokenizer and scheduler files alone."""

from __future__ import annotations

import torch

from ivgbench.cases import Case
from ivgbench.errors import UserError
from ivgbench.generator import levels, schedulers
from ivgbench.generator.backbones import layout, limits, sources
from ivgbench.generator.backbones.base import family
from ivgbench.generator.methods.base import Method
from ivgbench.generator.sampling import Decided


class Foresight:
    """Checks requests to one backbone; what is the same for many is looked at once. `source`: see `sources.locate`."""

    def __init__(self, source: str):
        folder = sources.locate(source)
        self._family = family(layout.family(folder))
        self.reader = self._family.reader_of(folder)
        self._config = layout.read_scheduler(folder)
        parts = [folder / part / "config.json" for part in (*layout.FILES[layout.family(folder)].weights,)]
        self._limits = limits.of_parts({file.parent.name: layout.read_config(file) for file in parts if file.is_file()})
        self._known: set[tuple] = set()

    def check(self, config: Method, case: Case, sampling: Decided) -> None:
        """Refuses what `generate` would refuse.

        Args:
            sampling: all of it decided; a size of None is the backbone's own.
        Raises:
            UserError: the scheduler cannot make the steps, or the method not work with it; the network makes no frames
                of the size; the text encoder never reads a subject whose words the method needs: then with the case.
        """
        if self._new("steps", sampling.steps, sampling.scheduler):
            schedulers.check(self._family.scheduler_of(self._config, sampling.scheduler), sampling.steps)
        if self._new("schedule", config, len(case.subjects), sampling.steps, sampling.scheduler):
            config.check_schedule(self._schedule(sampling), len(case.subjects))
        if sampling.size is not None and self._new("size", sampling.size, case.frames):
            self._limits.check(sampling.size, case.frames)
        suffix = sampling.prompt_suffix
        phrases = tuple(subject.phrase for subject in case.subjects)
        if self._new("words", config, case.prompt, suffix, phrases):
            try:
                config.check_words(self.reader, case.prompt, suffix, phrases)
            except UserError as fault:
                raise UserError(f"case {case.id}: {fault}; or leave the case out") from None

    def _schedule(self, sampling: Decided) -> levels.Schedule:
        scheduler = self._family.scheduler_of(self._config, sampling.scheduler)
        scheduler.set_timesteps(sampling.steps)
        return levels.schedule(scheduler, sampling.steps, torch.device("cpu"), torch.float32)

    def _new(self, *question: object) -> bool:
        """Whether this is asked for the first time."""
        if question in self._known:
            return False
        self._known.add(question)
        return True
