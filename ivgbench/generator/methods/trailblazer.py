"""TrailBlazer (Ma et al. 2024, arXiv 2401.00896): edits of the cross-attention maps in the first steps, no masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from ivgbench.errors import UserError
from ivgbench.generator import words
from ivgbench.generator.backbones.base import Backbone
from ivgbench.generator.backbones.sites import Offer, Site
from ivgbench.generator.edits.maps import Gate, Maps, SpatialEdit, TemporalEdit
from ivgbench.generator.edits.reweighted import compose, spatial_edit, temporal_edit
from ivgbench.generator.levels import Schedule
from ivgbench.generator.methods.base import Clip, Method, Run, Setup, option
from ivgbench.generator.words import Binding, Reader

__all__ = ["TrailBlazer", "compose", "spatial_edit", "temporal_edit"]


@dataclass(frozen=True)
class TrailBlazer(Method):
    """Attention edits. Defaults are those of the Test-Time Domain Adaptation comparison as we read it.

    spatial_steps, temporal_steps: the first so many steps are edited.
    spatial_strengthen, spatial_weaken: added inside, multiplied outside the box in text attention.
    temporal_strengthen, temporal_weaken: the same in attention between frames.
    trailing_length: how many tokens after the prompt follow the subject's.
    words: how the subject's tokens are found from its phrase: "official", wherever the ids of the phrase's tokens
        stand in a row, or "place", where the phrase stands; see `words.Binding`.
    token_indices: the subject's token positions (BOS is 0) as the release takes them; the trailing tokens then start
        after as many positions as the prompt has words before its first ";". None: the phrase's tokens, found in
        the prompt, and the trailing tokens start after the prompt's last token.
    temporal_gate: "official": only where 2 x heads x cells = 65536, on the unconditional half, and transformer_in
        takes the spatial scales, as released (never at 576 x 320). "intent": every temporal attention, on the
        conditional half, with the temporal scales. The default is the release, because TrailBlazer's numbers are its.
    integration_steps: with several subjects, how many first steps blend the subjects' own latents in.
    integration_region: "official": rows are computed with the latent width (wrong on frames that are not square, as
        released); "intent": with the latent height. The default is the release, as for the gate.
    """

    name: ClassVar[str] = "trailblazer"
    version: ClassVar[int] = 1

    spatial_steps: int = option(5, low=0)
    temporal_steps: int = option(5, low=0)
    spatial_strengthen: float = option(0.1, low=0)
    spatial_weaken: float = option(0.001, low=0)
    temporal_strengthen: float = option(0.1, low=0)
    temporal_weaken: float = option(0.001, low=0)
    trailing_length: int = option(15, low=0)
    token_indices: tuple[int, ...] | None = option(None, low=1, high=76)
    words: Binding = "official"
    temporal_gate: Gate = "official"
    integration_steps: int = option(20, low=0)
    integration_region: Literal["official", "intent"] = "official"

    def needs(self) -> frozenset[Offer]:
        return frozenset({"frames"})

    def check_words(self, reader: Reader, prompt: str, suffix: str, phrases: Sequence[str | None]) -> None:
        if self.spatial_steps == 0 or self.token_indices is not None:
            return
        for phrase in phrases:
            if phrase is None:
                continue
            places = words.check(reader, prompt, suffix, phrase, self.name)
            if len(phrases) == 1:
                bound = phrase_positions(reader, prompt, phrase, self.words)
                words.check_bound(places, bound, phrase, self.name)
            else:  # each is made alone first, from its phrase as the prompt
                self.check_words(reader, phrase, suffix, (phrase,))

    def check_schedule(self, schedule: Schedule, subjects: int) -> None:
        if subjects > 1 and self.integration_steps:  # it blends the subjects' latents
            schedule.check_hand(self.name)

    def start(self, setup: Setup) -> Run:
        if setup.guidance <= 1:
            raise UserError(f"trailblazer edits one guidance half: it needs guidance_scale > 1, got {setup.guidance:g}")
        counts = {len(clip.phrases) for clip in setup.clips}
        if 0 in counts:
            raise UserError("trailblazer: the case has no subject; give a phrase and boxes, or use method 'plain'")
        if counts == {1}:
            return EditRun(setup, self)
        if 1 in counts:
            raise UserError("trailblazer: a batch cannot mix cases of one and of several subjects; use batch size 1")
        return CompositionRun(setup, self)


class EditRun(Run):
    """The edits of one subject per clip."""

    def __init__(self, setup: Setup, config: TrailBlazer):
        self._config = config
        tracks = [clip.boxes[0] for clip in setup.clips]
        sites = setup.backbone.sites(setup.shape)
        self._spatial: dict[Site, SpatialEdit] = {}
        self._temporal: dict[Site, TemporalEdit] = {}
        if config.spatial_steps:
            tokens = [edited_tokens(setup.backbone, clip, config) for clip in setup.clips]
            edit = SpatialEdit(tracks, tokens, config.spatial_strengthen, config.spatial_weaken)
            self._spatial = {site: edit for site in sites if site.reads == "text" and site.over == "frame"}
            if not self._spatial:
                raise UserError(
                    f"{config.name}: the backbone has no layer for text attention by frames, nothing would be edited"
                )
        if config.temporal_steps:
            own = TemporalEdit(tracks, config.temporal_strengthen, config.temporal_weaken, config.temporal_gate)
            # The release picks the scales by the layer's name, and transformer_in's is not among the temporal ones.
            lent = TemporalEdit(tracks, config.spatial_strengthen, config.spatial_weaken, config.temporal_gate)
            for site in sites:
                if site.over == "cell" and site.second and own.applies(site):
                    official_in = site.band == "input" and config.temporal_gate == "official"
                    self._temporal[site] = lent if official_in else own

    def edits(self, step: int) -> dict[Site, Maps]:
        spatial = self._spatial if step < self._config.spatial_steps else {}
        temporal = self._temporal if step < self._config.temporal_steps else {}
        return {**spatial, **temporal}


def edited_tokens(backbone: Backbone, clip: Clip, config: TrailBlazer) -> list[int]:
    """Token positions that are edited: the subject's and the trailing ones; see `TrailBlazer.token_indices`."""
    if config.token_indices is not None:
        subject = set(config.token_indices)
        last = len(clip.prompt.split(";")[0].split(" "))
    else:
        subject = phrase_positions(backbone, clip.prompt, clip.phrases[0], config.words)
        last = len(backbone.phrase_ids(clip.prompt)) - 2
    length = len(backbone.token_ids(clip.prompt))
    if subject and max(subject) >= length:
        raise UserError(f"trailblazer: token_indices {max(subject)} is beyond the {length} tokens that are read")
    if last + config.trailing_length >= length:
        raise UserError(
            f"trailblazer: the prompt's {last} tokens and trailing_length {config.trailing_length} exceed "
            f"{length - 1}; shorten one of them"
        )
    return sorted(subject | set(range(last + 1, last + 1 + config.trailing_length)))


def phrase_positions(
    backbone: Backbone | Reader, prompt: str, phrase: str | None, binding: Binding = "official"
) -> set[int]:
    """Positions of a phrase's tokens in a prompt; empty for None or no match.

    binding: "official", every place where the tokens stand in a row, or "place", where the phrase stands.
    """
    if phrase is None:
        return set()
    if binding == "place":
        return set().union(*backbone.places(prompt, phrase))
    ids, wanted = backbone.token_ids(prompt), backbone.phrase_ids(phrase)[backbone.start : -1]
    starts = [at for at in range(backbone.start, len(ids)) if wanted and ids[at : at + len(wanted)] == wanted]
    return {start + offset for start in starts for offset in range(len(wanted))}


class CompositionRun(Run):
    """Several subjects: each is made alone with the edits, then one run without edits blends their latents in.

    The subject's own prompt is its phrase; its noise is its own; the joint run has the case's prompt and noise.
    """

    def __init__(self, setup: Setup, config: TrailBlazer):
        self._config, self._clips = config, setup.clips
        if config.token_indices is not None:
            raise UserError(
                "trailblazer: leave token_indices out for several subjects: tokens are found from the phrases"
            )
        self._alone: list[list[torch.Tensor]] = []
        for clip in setup.clips:
            if None in clip.phrases:
                raise UserError("trailblazer: of several subjects each needs a phrase: it is what it is made from")
            self._alone.append([self._one(setup, clip, index) for index in range(len(clip.phrases))])
        self._evaluations = len(setup.clips[0].phrases) * setup.steps

    def _one(self, setup: Setup, clip: Clip, index: int) -> torch.Tensor:
        phrase = clip.phrases[index]
        if phrase is None or setup.solo is None:
            raise ValueError("a clip that is made alone has one subject, with a phrase")
        subject = Clip(
            phrase, clip.suffix, (phrase,), clip.masks[index : index + 1], clip.boxes[index : index + 1], clip.stream
        )
        return setup.solo(subject, self._config, f"subject {index}")

    def extra_evaluations(self) -> int:
        return self._evaluations

    def after_step(self, step: int, latents: torch.Tensor) -> torch.Tensor:
        if step >= self._config.integration_steps:
            return latents
        weight, rows = step / self._config.integration_steps, self._config.integration_region
        blended = [
            compose(latents[n : n + 1], [own[step][None] for own in alone], clip.boxes, weight, rows)
            for n, (clip, alone) in enumerate(zip(self._clips, self._alone, strict=True))
        ]
        return torch.cat(blended)
