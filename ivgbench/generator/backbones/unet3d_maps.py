"""Attention processors that apply TrailBlazer's edits where, and to the guidance half, that the release does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention

from ivgbench.errors import UserError
from ivgbench.generator.backbones.unet3d_attention import Level, heads_apart, heads_together, project_out
from ivgbench.generator.edits.reweighted import spatial_edit, temporal_edit

#: The release edits a temporal map only if its first dimension, 2 x heads x cells, is this number.
OFFICIAL_GATE = 65536
Gate = Literal["official", "intent"]


class SpatialEdit:
    """Processor: `spatial_edit` on the conditional half of each clip, ordinary attention on the other."""

    def __init__(
        self,
        tracks: list[np.ndarray],
        tokens: list[list[int]],
        levels: dict[int, Level],
        strengthen: float,
        weaken: float,
    ):
        self.tracks, self.tokens, self.levels = tracks, tokens, levels
        self.strengthen, self.weaken = strengthen, weaken

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
    ) -> torch.Tensor:
        level = self.levels[hidden_states.shape[1]]

        def edit(probs: torch.Tensor, clip: int) -> torch.Tensor:
            maps = probs.flatten(0, 1).unflatten(1, (level.height, level.width))
            edited = spatial_edit(maps, self.tracks[clip], self.tokens[clip], self.strengthen, self.weaken)
            return edited.flatten(1, 2).unflatten(0, (-1, attn.heads))

        return _half_edited(attn, hidden_states, encoder_hidden_states, len(self.tracks), True, edit)


class TemporalEdit:
    """Processor: `temporal_edit` on one half of each clip; see `TrailBlazer.temporal_gate`."""

    def __init__(
        self, tracks: list[np.ndarray], levels: dict[int, Level], strengthen: float, weaken: float, gate: Gate
    ):
        self.tracks, self.levels, self.strengthen, self.weaken, self.gate = tracks, levels, strengthen, weaken, gate

    def applies(self, heads: int, cells: int) -> bool:
        """Whether the maps of a layer with so many heads and cells are edited."""
        if self.gate == "intent":
            return True
        level = self.levels[cells]
        if 2 * heads * cells == OFFICIAL_GATE and level.height != level.width:
            raise UserError(
                f"trailblazer: the release's temporal edit is undefined on {level.height} x {level.width} cells; "
                "use a square frame, temporal_steps 0 or temporal_gate 'intent'"
            )
        return 2 * heads * cells == OFFICIAL_GATE

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
    ) -> torch.Tensor:
        cells = hidden_states.shape[0] // (2 * len(self.tracks))
        level = self.levels[cells]

        def edit(probs: torch.Tensor, clip: int) -> torch.Tensor:
            maps = probs.unflatten(0, (level.height, level.width)).permute(2, 0, 1, 3, 4)
            edited = temporal_edit(maps, self.tracks[clip], self.strengthen, self.weaken)
            return edited.permute(1, 2, 0, 3, 4).flatten(0, 1)

        return _half_edited(attn, hidden_states, encoder_hidden_states, len(self.tracks), self.gate == "intent", edit)


def _half_edited(
    attn: Attention,
    hidden: torch.Tensor,
    context: torch.Tensor | None,
    clips: int,
    conditional: bool,
    edit: Callable[[torch.Tensor, int], torch.Tensor],
) -> torch.Tensor:
    """Attention [B,N,C] with one guidance half's maps edited clip by clip: edit([b,heads,N,M], clip) -> same shape.

    Only that half needs its maps spelled out. Edited maps are not normalised again; their absolute value is taken.
    """
    context = hidden if context is None else context
    query, key, value = (
        heads_apart(attn, projected) for projected in (attn.to_q(hidden), attn.to_k(context), attn.to_v(context))
    )
    halves = [list(pair) for pair in zip(query.chunk(2), key.chunk(2), value.chunk(2), strict=True)]
    results = []
    for conditional_half, (q, k, v) in zip((False, True), halves, strict=True):
        if conditional_half != conditional:
            results.append(F.scaled_dot_product_attention(q, k, v))
            continue
        probs = torch.softmax(q @ k.transpose(-1, -2) * attn.scale, dim=-1)
        edited = [edit(one, clip).abs() for clip, one in enumerate(probs.chunk(clips))]
        results.append(torch.cat(edited).to(v.dtype) @ v)
    return project_out(attn, heads_together(torch.cat(results)))
