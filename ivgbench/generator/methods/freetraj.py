"""FreeTraj (Qiu et al. 2024, arXiv 2406.16863): noise laid along a path, and attention isolated along it in the first
steps. One subject, one size of box; no extra network evaluation and no gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch

from ivgbench.errors import UserError
from ivgbench.generator import words
from ivgbench.generator.backbones.base import Backbone
from ivgbench.generator.backbones.sites import Offer, Site
from ivgbench.generator.edits.frequency import mix
from ivgbench.generator.edits.trajectory import Inside, Size, TextInside, injected, isolated, places
from ivgbench.generator.levels import Schedule
from ivgbench.generator.methods.base import Clip, Run, Setup, option, standard_normal
from ivgbench.generator.methods.freeinit import Filtering
from ivgbench.generator.methods.trailblazer import phrase_positions
from ivgbench.generator.words import Binding, Reader


@dataclass(frozen=True)
class FreeTraj(Filtering):
    """Noise and attention along the subject's boxes. Defaults are the release's; the filter's are for the noise.

    ddim_edit: attention is edited in the first so many steps; 0 leaves the noise alone (any backbone).
    noise: whether the initial noise is laid along the path; false leaves the attention alone.
    tokens: the subject's token positions (BOS is 0) as the release takes them; None: those of its phrase.
    words: how these are found: "official", wherever the ids of the phrase's tokens stand in a row, or "place", where
        the phrase stands; see `words.Binding`.
    inside: what cells inside the box attend to in text attention: "official", every token alike, as released, or
        "intent", the subject's. Their weights of the subject's are then raised.
    logits: how attention between inside and outside is weakened: "official", its logits are multiplied by 0.01 (which
        raises negative ones), or "intent", its weights are.
    box_size: "first", every box has the first frame's size, as released, or "frame", its own.
    """

    name: ClassVar[str] = "freetraj"
    version: ClassVar[int] = 1

    d_t: float = option(0.1, low=0, high=1)
    ddim_edit: int = option(6, low=0)
    noise: bool = True
    tokens: tuple[int, ...] | None = option(None, low=1, high=76)
    words: Binding = "official"
    inside: Inside = "official"
    logits: Literal["official", "intent"] = "official"
    box_size: Size = "first"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tokens is not None and len(set(self.tokens)) != max(1, len(self.tokens)):
            raise UserError(
                f"{self.name}: tokens {list(self.tokens)} must name one position or more, each once; leave it out for "
                f"the phrase's"
            )

    def needs(self) -> frozenset[Offer]:
        return frozenset({"frames"} if self.ddim_edit else ())  # the noise fits any network

    def check_words(self, reader: Reader, prompt: str, suffix: str, phrases: Sequence[str | None]) -> None:
        if self.ddim_edit == 0 or self.tokens is not None or len(phrases) != 1 or phrases[0] is None:
            return
        places = words.check(reader, prompt, suffix, phrases[0], self.name)
        words.check_bound(places, set(subject_tokens(reader, prompt, phrases[0], self)), phrases[0], self.name)

    def check_schedule(self, schedule: Schedule, subjects: int) -> None:
        if self.noise and schedule.levels is None:
            raise UserError(
                f"{self.name} makes noise of unit variance, which the scheduler does not start from: use 'ddim' or "
                f"'dpm', or leave the noise out (noise=false)"
            )

    def start(self, setup: Setup) -> Run:
        for clip in setup.clips:
            _check_subject(clip)
        if self.ddim_edit and setup.guidance <= 1:
            raise UserError(
                f"{self.name} edits no attention without guidance, as released: it needs guidance_scale > 1, got "
                f"{setup.guidance:g}; or use its noise alone (ddim_edit=0)"
            )
        return TrajectoryRun(setup, self)


def _check_subject(clip: Clip) -> None:
    count = len(clip.phrases)
    if count == 0:
        raise UserError("freetraj: the case has no subject; give a phrase and boxes, or use method 'plain'")
    if count > 1:
        raise UserError(f"freetraj places one subject and has no rule for the case's {count}; leave the case out")
    empty = ~clip.boxes[0].any(axis=1)
    if empty.any():
        raise UserError(f"freetraj needs a box in every frame, and frame {int(empty.argmax())} has none")


def subject_tokens(backbone: Backbone | Reader, prompt: str, phrase: str | None, config: FreeTraj) -> list[int]:
    """Positions of the subject's tokens that are read; empty where its phrase is None or not in the prompt."""
    if config.tokens is not None:
        return list(config.tokens)
    last = len(backbone.token_ids(prompt)) - 1  # the end of the text
    return sorted(at for at in phrase_positions(backbone, prompt, phrase, config.words) if at < last)


class TrajectoryRun(Run):
    """Both halves of the method over a batch."""

    def __init__(self, setup: Setup, config: FreeTraj):
        self._config, self._clips, self._shape = config, setup.clips, setup.shape
        self._paths = [clip.boxes[0] for clip in setup.clips]
        self._on: dict[Site, Any] = {}
        if config.ddim_edit == 0:
            return
        sites = setup.backbone.sites(setup.shape)
        text = TextInside(
            self._paths, [self._tokens(setup.backbone, clip) for clip in setup.clips], config.inside, config.box_size
        )
        masks = {
            grid: isolated(self._paths, grid, config.box_size, config.logits == "official")
            for grid in {site.grid for site in sites}
        }
        # Every level's cells are its own, not picked from the clip's.
        self._on = {replace(site, stride=1): text if site.reads == "text" else masks[site.grid] for site in sites}

    def _tokens(self, backbone: Backbone, clip: Clip) -> list[int]:
        found = subject_tokens(backbone, clip.prompt, clip.phrases[0], self._config)
        length = len(backbone.token_ids(clip.prompt))
        if not found:
            raise UserError(
                f"freetraj: the subject's phrase {clip.phrases[0]!r} is not in the prompt; give one that is, or tokens"
            )
        if max(found) >= length:
            raise UserError(f"freetraj: tokens {max(found)} is beyond the {length} tokens that are read")
        return found

    def edits(self, step: int) -> dict[Site, Any]:
        return self._on if step < self._config.ddim_edit else {}

    def initial(self, latents: torch.Tensor) -> torch.Tensor:
        if not self._config.noise:
            return latents
        base = latents.to("cpu", torch.float32)  # as released, whatever the network's precision
        rand = standard_normal([clip.stream("freetraj-rand") for clip in self._clips], (1, *base.shape[1:]))
        laid = [self._laid(one, clip, path) for one, clip, path in zip(base, self._clips, self._paths, strict=True)]
        return mix(torch.stack(laid), rand, self._config.kept(self._shape))

    def _laid(self, base: torch.Tensor, clip: Clip, path: Any) -> torch.Tensor:
        """One clip's noise [C,f,h,w] with a patch along its path."""
        where = places(path, *self._shape[1:], self._config.box_size)
        rows, columns = max(one.height for one in where), max(one.width for one in where)
        patch = standard_normal([clip.stream("freetraj-patch")], (1, len(base), rows, columns))[0]
        return injected(base, patch, where)
