"""What a method is: a frozen dataclass of options (its config), and a run that hooks into the sampler."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch

from ivgbench.errors import UserError
from ivgbench.generator.backbones.base import Backbone
from ivgbench.generator.backbones.sites import OFFERED, Offer, Site
from ivgbench.generator.levels import Level, Schedule
from ivgbench.generator.words import Reader


@dataclass(frozen=True, eq=False)
class Clip:
    """What a method knows of one clip of the batch.

    prompt, suffix: the case's prompt and what is appended to it before encoding;
    phrases: K subject phrases, or None; masks: bool [K,f,h,w] on the backbone's cells, a latent frame each (CPU);
    boxes: float64 [K,f,4] xyxy in 0..1, an empty box as zeros; stream: label -> the clip's own random generator.
    """

    prompt: str
    suffix: str
    phrases: tuple[str | None, ...]
    masks: torch.Tensor
    boxes: np.ndarray
    stream: Callable[[str], torch.Generator]


@dataclass(eq=False)
class Setup:
    """A run's surroundings.

    shape: (f,h,w) of the latents. levels: the noise level of each step, or None where the scheduler keeps its latents
    on another scale. steps and levels are those of the round that is being made (`Run.rounds`).
    schedule: of a round of all steps; it was given to `Method.check_schedule`.
    solo: (clip, config, stream label) -> trajectory [steps,C,f,h,w] of one more clip, made alone; None in
    such a run itself.
    """

    backbone: Backbone
    clips: list[Clip]
    shape: tuple[int, int, int]
    steps: int
    guidance: float
    levels: list[Level] | None
    solo: Callable[[Clip, Method, str], torch.Tensor] | None
    schedule: Schedule | None = None


class Network:
    """The network as a method sees it inside a step: latents [N,C,f,h,w] -> guided output, counted.

    level: what the output means, see `levels.Level`.
    evaluations: guided ones so far; backward: passes that the method went back through the network, counted by it.
    """

    def __init__(
        self,
        evaluate: Callable[[torch.Tensor], torch.Tensor],
        level: Level | None,
        conditional: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ):
        self._evaluate, self._conditional, self._level = evaluate, conditional, level
        self.evaluations: float = 0
        self.backward = 0

    @property
    def level(self) -> Level:
        """What the output means. ValueError where the scheduler keeps its latents on another scale: a method that asks
        has refused such a scheduler in `check_schedule`."""
        if self._level is None:
            raise ValueError("the scheduler keeps its latents on a scale of its own")
        return self._level

    def __call__(self, latents: torch.Tensor) -> torch.Tensor:
        self.evaluations += 1
        return self._evaluate(latents)

    def conditional(self, latents: torch.Tensor) -> torch.Tensor:
        """The output of the conditional half alone: half of a guided evaluation, and counted as that."""
        if self._conditional is None:
            raise ValueError("this network is evaluated in pairs only")
        self.evaluations += 0.5
        return self._conditional(latents)


def counted(evaluations: float) -> int | float:
    """A number of guided evaluations as it is recorded: an int unless there is a half in it."""
    return int(evaluations) if evaluations == int(evaluations) else evaluations


class Run:
    """One run of a method over a batch; subclasses override the hooks they need. The defaults do nothing."""

    def edits(self, step: int) -> Mapping[Site, Any]:
        """How layers attend in this step, as `ivgbench.generator.edits` has it; those not named are the model's own."""
        return {}

    def text(self, step: int) -> torch.Tensor | None:
        """The prompts' states [N,L,C] in this step, of any length L; None: those of what `Method.text` says."""
        return None

    def positions(self, step: int) -> torch.Tensor | None:
        """Where each token is in this step, for a network that is told: int64 [N,f,h,w,3], (frame, row, column); None:
        where it lies."""
        return None

    def initial(self, latents: torch.Tensor) -> torch.Tensor:
        """Standard-normal latents [N,C,f,h,w] to start from, before the scheduler scales them."""
        return latents

    def rounds(self) -> list[int]:
        """Sampler steps of each round; none: one round of all steps. Every round has a scheduler of its own, and its
        first step is step 0 again; the last round's latents are the clip's."""
        return []

    def restart(self, round: int, initial: torch.Tensor, final: torch.Tensor) -> torch.Tensor:
        """Latents [N,C,f,h,w] that a round after the first (0) starts from, on the scheduler's scale.

        Args:
            initial: what round 0 started from, before it was scaled. final: what the round before ended with.
        """
        return final

    def before_step(self, step: int, latents: torch.Tensor, network: Network) -> torch.Tensor:
        """Latents [N,C,f,h,w] to take the scheduler's step from; the step's edits are on."""
        return latents

    def after_step(self, step: int, latents: torch.Tensor) -> torch.Tensor:
        """Latents [N,C,f,h,w] to go on with after the scheduler's step."""
        return latents

    def extra_evaluations(self) -> int:
        """Network evaluations per clip made outside the sampler's own loop."""
        return 0


@dataclass(frozen=True)
class Method:
    """Base of the configs. Fields are the method's options; every one has a default and is part of a job's identity.

    name: canonical name; version: raised whenever the method's output changes for the same options;
    batches: whether clips may share a network evaluation. Larger batches round differently; a method that ranks values
    turns that into visible differences, so its clips are made one after another.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    batches: ClassVar[bool] = True

    def check_words(self, reader: Reader, prompt: str, suffix: str, phrases: Sequence[str | None]) -> None:
        """Refuses a subject whose words the method needs and the text encoder never reads. Here none are needed.

        Called before any work, also where only the tokenizer is at hand. A phrase that is None or not in the prompt
        is no mistake (see `rules`).

        Args:
            reader: the backbone's. prompt, suffix, phrases: as in `Clip`.
        Raises:
            UserError: with the phrase, and what to do.
        """

    def check_schedule(self, schedule: Schedule, subjects: int) -> None:
        """Refuses a scheduler that the method cannot work with. Here there is none.

        Called before any work, also where only the scheduler's file is at hand.

        Args:
            subjects: most of a clip.
        Raises:
            UserError: with what to use.
        """

    def versions(self) -> tuple[int, ...]:
        """The version, and after it that of a method that this one is made around."""
        return (self.version,)

    def needs(self) -> frozenset[Offer]:
        """What the network must have, of what not all have (`backbones.sites.OFFERED`)."""
        return frozenset()

    def text(self, clip: Clip) -> str:
        """What is encoded as a clip's prompt; where text states are given, those are taken and this is not asked."""
        return clip.prompt + clip.suffix

    def start(self, setup: Setup) -> Run:
        """A run over the setup's clips. Raises UserError where the clips or the backbone do not allow the method."""
        raise NotImplementedError


def check_fits(config: Method, offers: Collection[Offer], backbone: str) -> None:
    """Refuses a method on a network that lacks what it needs.

    Args:
        offers: see `Backbone`. backbone: its name.
    """
    for need in sorted(config.needs() - set(offers)):
        raise UserError(
            f"{config.name} needs {OFFERED[need]}; backbone {backbone!r} has none: leave the method out, or use "
            f"another backbone"
        )


def standard_normal(streams: Sequence[torch.Generator], shape: tuple[int, ...]) -> torch.Tensor:
    """One draw of `shape` per stream, joined on dim 0: float32 on the CPU, whatever the run's device and dtype."""
    return torch.cat([torch.randn(shape, generator=stream, dtype=torch.float32) for stream in streams])


def option(default: Any, low: float | None = None, high: float | None = None) -> Any:
    """A config field with a default and an allowed range (both ends included; for pairs, of each number)."""
    return field(default=default, metadata={"low": low, "high": high})
