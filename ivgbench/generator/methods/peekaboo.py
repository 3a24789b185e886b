"""Peekaboo (Jain et al. 2024): masked attention in the denoiser's decoder during the first steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch

from ivgbench.errors import UserError
from ivgbench.generator import attention, rules
from ivgbench.generator.backbone import Backbone
from ivgbench.generator.efdm import match_exactly
from ivgbench.generator.methods.base import Clip, Method, Run, Setup, option

Scope = Literal["official", "paper"]
Bind = Literal["all-words", "own-words"]


@dataclass(frozen=True)
class Peekaboo(Method):
    """Masked attention.

    frozen_steps: masks are on in the first so many steps (the release's demo: 2; the paper's Table 1: 4, ours).
    scope: "official", what the released code does: mid and up blocks; self-attention, text attention with BOS
        forbidden to everybody, and both temporal attentions. "paper", what the formulas of the Test-Time Domain
        Adaptation paper say (section 2.1): up blocks, self- and text attention only, BOS belongs to the background.
    bind: with several subjects, whether a subject's cells see all subjects' words ("all-words", the release) or only
        their own ("own-words").
    """

    name: ClassVar[str] = "peekaboo"
    version: ClassVar[int] = 1

    frozen_steps: int = option(4, low=0)
    scope: Scope = "official"
    bind: Bind = "all-words"

    def start(self, setup: Setup) -> Run:
        return MaskedRun(setup, self.name, self.frozen_steps, self.scope, self.bind)


class MaskedRun(Run):
    """The masks of the first steps; `norm_self`, `norm_cross`: those outputs are matched to the unmasked ones."""

    def __init__(
        self,
        setup: Setup,
        name: str,
        frozen_steps: int,
        scope: Scope,
        bind: Bind,
        norm_self: bool = False,
        norm_cross: bool = False,
    ):
        self._frozen = frozen_steps
        self._on: dict[str, Any] = {}
        if frozen_steps == 0:
            return
        backbone, clips = setup.backbone, setup.clips
        if not all(clip.phrases for clip in clips):
            raise UserError(f"{name}: the case has no subject; give a phrase and boxes, or use method 'plain'")
        official = scope == "official"
        levels = attention.levels(backbone.unet, *clips[0].masks.shape[-2:])
        parts = [rules.ClipMasks(clip.masks, *_words(backbone, clip)) for clip in clips]
        biases = rules.Biases(parts, levels, backbone.device, backbone.dtype, not official, bind == "own-words")
        places = ("mid", "up") if official else ("up",)
        for site in attention.sites(backbone.unet):
            if site.place not in places or (site.temporal and not official):
                continue
            self._on[site.name] = _processor(site, biases, len(clips), norm_self, norm_cross)
        attention.required(self._on, name, f"scope {scope!r}")

    def processors(self, step: int) -> dict[str, Any]:
        return self._on if step < self._frozen else {}


def _processor(
    site: attention.Site, biases: rules.Biases, clips: int, norm_self: bool, norm_cross: bool
) -> attention.MaskedAttention:
    blank = site.block.norm2.bias
    if site.temporal and site.role == "attn1":
        return attention.MaskedAttention(clips, True, bias=biases.temporal_self)
    if site.temporal:
        return attention.MaskedAttention(clips, True, keep=biases.temporal_keep, blank=blank)
    if site.role == "attn1":
        match = match_exactly if norm_self else None
        return attention.MaskedAttention(clips, False, bias=biases.spatial_self, match=match)
    match = match_exactly if norm_cross else None
    return attention.MaskedAttention(
        clips, False, bias=biases.spatial_cross, keep=biases.cross_keep, blank=blank, match=match
    )


def _words(backbone: Backbone, clip: Clip) -> tuple[torch.Tensor, bool]:
    """The clip's words bool [K,L], and whether no subject has a phrase. A phrase not in the prompt has no tokens."""
    ids = backbone.token_ids(clip.prompt + clip.suffix)
    rows = [rules.word_tokens(ids, None if phrase is None else backbone.phrase_ids(phrase)) for phrase in clip.phrases]
    return torch.stack(rows), all(phrase is None for phrase in clip.phrases)
