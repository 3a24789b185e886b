"""DiTraj (arXiv 2509.21839): a video DiT reads one prompt for the subject and one for the background, and takes the
box's tokens for ones that stay where they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from ivgbench.errors import UserError
from ivgbench.generator.backbones.sites import Offer, Site
from ivgbench.generator.edits.masked import Mask
from ivgbench.generator.edits.positions import BoxEnd, decoupled, isolated, own_prompts
from ivgbench.generator.methods.base import Clip, Method, Run, Setup, option
from ivgbench.generator.words import Reader
from ivgbench.phrases import occurrences
from ivgbench.texts import short

PHRASE = "{phrase}"


@dataclass(frozen=True)
class DiTraj(Method):
    """Prompt separation and decoupled positions, for one subject. Defaults are the release's, but for its prompts,
    which a language model writes there.

    mask_steps: in the first so many steps the box's tokens read the subject's prompt, and the others the background's,
        in the conditional half; after them all read the whole one.
    rope_steps: in the first so many steps positions follow the box, in both halves, and what is redundant then is kept
        apart from it (`edits.positions`).
    foreground: the subject's prompt, in which {phrase} stands for its phrase. background: the background's; None: the
        prompt without the subject.
    box_end: see `edits.positions.decoupled`.
    """

    name: ClassVar[str] = "ditraj"
    version: ClassVar[int] = 1

    mask_steps: int = option(30, low=0)
    rope_steps: int = option(5, low=0)
    foreground: str = "{phrase}, close-up"
    background: str | None = None
    box_end: BoxEnd = "official"

    def needs(self) -> frozenset[Offer]:
        return frozenset({"positions"})

    def check_words(self, reader: Reader, prompt: str, suffix: str, phrases: Sequence[str | None]) -> None:
        if self.mask_steps and len(phrases) == 1:
            self.prompts(prompt, suffix, phrases[0])

    def prompts(self, prompt: str, suffix: str, phrase: str | None) -> tuple[str, str]:
        """(the background's prompt, the subject's) of a clip.

        Raises:
            UserError: one of them is to be made of a phrase that is not there.
        """
        if phrase is None and PHRASE in self.foreground:
            raise UserError(f"{self.name}: the subject has no phrase: give it one, or the option foreground")
        if self.background is None and (phrase is None or not occurrences(prompt, phrase)):
            raise UserError(
                f"{self.name}: the background's prompt is the prompt without the subject, and {short(phrase)} is not "
                f"in {short(prompt)}: name it there, or give the option background"
            )
        background = without(prompt, phrase or "") + suffix if self.background is None else self.background
        return background, self.foreground.replace(PHRASE, phrase or "")

    def start(self, setup: Setup) -> Run:
        return DiTrajRun(setup, self)


def without(prompt: str, phrase: str) -> str:
    """A prompt without a phrase, and without the article before it and an "and" that then has nothing to join."""
    for first, stop in reversed(occurrences(prompt, phrase)):
        before = re.sub(r"\b(an?|the)\s+$", "", prompt[:first], flags=re.IGNORECASE)
        after = prompt[stop:]
        if re.search(r"(^|\band|,)\s*$", before, flags=re.IGNORECASE):
            after = re.sub(r"^\s*(,|and\b)", "", after, flags=re.IGNORECASE)
        if not re.match(r"\s*(and\b|,)", after, flags=re.IGNORECASE):
            before = re.sub(r"(,|\band)\s*$", "", before, flags=re.IGNORECASE)
        prompt = f"{before.rstrip()} {after.lstrip()}"
    return " ".join(prompt.split()).replace(" ,", ",").replace(" .", ".")


class DiTrajRun(Run):
    """Everything is made once, for all steps that have it."""

    def __init__(self, setup: Setup, config: DiTraj):
        self._config, backbone, clips = config, setup.backbone, setup.clips
        if any(len(clip.phrases) != 1 for clip in clips):
            raise UserError(f"{config.name} is for one subject; give one, with a phrase and boxes")
        self._text = self._positions = None
        apart, own = [], []
        cells = [clip.masks[0] for clip in clips]
        if config.rope_steps:
            placed = [decoupled(one, config.box_end) for one in cells]
            apart = [isolated(one, at) for one, at in zip(cells, placed, strict=True)]
            self._positions = torch.stack(placed)
        if config.mask_steps:
            self._text = _states(setup, config, clips)
            own = [own_prompts(one, self._text.shape[1] // 2) for one in cells]
        self._apart, self._own = Mask(apart), Mask(own, conditional=True)
        self._sites = backbone.sites(setup.shape)

    def text(self, step: int) -> torch.Tensor | None:
        return self._text if step < self._config.mask_steps else None

    def positions(self, step: int) -> torch.Tensor | None:
        return self._positions if step < self._config.rope_steps else None

    def edits(self, step: int) -> dict[Site, Mask]:
        masks = {"self": self._apart} if step < self._config.rope_steps else {}
        if step < self._config.mask_steps:
            masks["text"] = self._own
        return {site: masks[site.reads] for site in self._sites if site.reads in masks}


def _states(setup: Setup, config: DiTraj, clips: Sequence[Clip]) -> torch.Tensor:
    """States [N,2L,C] of the two prompts of each clip, the background's first."""
    prompts = [config.prompts(clip.prompt, clip.suffix, clip.phrases[0]) for clip in clips]
    states = setup.backbone.encode_prompt([prompt for pair in prompts for prompt in pair])
    return states.to(setup.backbone.device, setup.backbone.dtype).unflatten(0, (-1, 2)).flatten(1, 2)
