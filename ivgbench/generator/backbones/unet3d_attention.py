"""Attention of a UNet3DConditionModel: where it is, and processors that attend as edits say.

Layout of what a processor sees, for N clips of F frames and a map of h x w cells at the layer's level:
spatial [2NF, hw, C], rows (half, clip, frame); temporal [2N hw, F, C], rows (half, clip, cell). The first half is the
unconditional one. Where the conditional half is evaluated alone (`Batch`), there are half as many rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from diffusers import UNet3DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention

from ivgbench.generator.backbones.processors import heads_apart, heads_together, project_out
from ivgbench.generator.backbones.sites import Band, Site
from ivgbench.generator.edits.biased import Bias
from ivgbench.generator.edits.efdm import match_exactly
from ivgbench.generator.edits.maps import Maps
from ivgbench.generator.edits.masked import Mask
from ivgbench.generator.edits.trajectory import TextInside
from ivgbench.generator.edits.watched import Watch

BANDS: dict[str, Band] = {"in": "input", "down": "early", "mid": "middle", "up": "late"}


@dataclass(frozen=True, eq=False)
class UNetSite(Site):
    """One attention layer; name: its key in `attn_processors`.

    depth: how often the map was halved before it; block: the transformer block around it.
    """

    depth: int
    block: BasicTransformerBlock


#: Of each network, by rows and columns: what `sites` found. To find them takes as long as some layers of a small one.
_FOUND: WeakKeyDictionary[UNet3DConditionModel, dict[tuple[int, int], list[UNetSite]]] = WeakKeyDictionary()


def sites(unet: UNet3DConditionModel, height: int, width: int) -> list[UNetSite]:
    """Every attention layer of the denoiser at latents of height x width cells, in the model's order.

    Each level of the network halves the map, rounding up.
    """
    known = _FOUND.setdefault(unet, {})
    if (height, width) not in known:
        known[height, width] = _sites(unet, height, width)
    return [*known[height, width]]


def _sites(unet: UNet3DConditionModel, height: int, width: int) -> list[UNetSite]:
    grids = [(height, width)]
    for _ in unet.config.down_block_types[1:]:
        rows, columns = grids[-1]
        grids.append((-(-rows // 2), -(-columns // 2)))
    found, last = [], len(grids) - 1
    for name in unet.attn_processors:
        role = name.split(".")[-2]
        place = name.split(".")[0].removesuffix("_blocks").removesuffix("_block").removeprefix("transformer_")
        temporal = place == "in" or ".temp_attentions." in name
        number = int(name.split(".")[1]) if place in ("down", "up") else 0
        depth = {"in": 0, "down": number, "mid": last, "up": last - number}[place]
        block = unet.get_submodule(name.rsplit(".", 2)[0])
        found.append(
            UNetSite(
                name, BANDS[place], "cell" if temporal else "frame",
                # Between frames the second attention reads no text: it is one more self-attention.
                "text" if role == "attn2" and not temporal else "self", role == "attn2" and temporal,
                grids[depth], 2**depth, getattr(block, role), depth, block,
            )
        )  # fmt: skip
    return found


class Batch:
    """What the network's batch holds while it is evaluated.

    halves: 2, or 1 where the conditional one is alone. shared: how many of a text's rows, one after the other, are the
    same: a clip's frames, unless each has text states of its own.
    """

    def __init__(self) -> None:
        self.halves, self.shared = 2, 1

    @contextmanager
    def conditional_alone(self) -> Iterator[None]:
        """While open it holds the conditional half alone."""
        self.halves = 1
        try:
            yield
        finally:
            self.halves = 2


#: Of processors that are never asked for one half alone.
BOTH = Batch()


def compiled(edits: Mapping[Any, Any], clips: int, batch: Batch = BOTH) -> dict[str, Any]:
    """The processors of edits, by layer name."""
    kinds = {
        Mask: MaskedAttention,
        Maps: EditedMaps,
        Bias: OneHalfEdited,
        Watch: WatchedAttention,
        TextInside: EditedAttention,
    }
    return {
        site.name: next(made for kind, made in kinds.items() if isinstance(edit, kind))(site, edit, clips, batch)
        for site, edit in edits.items()
    }


def projected(
    attn: Attention, hidden: torch.Tensor, context: torch.Tensor | None, shared: int = 1
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries [B,heads,N,d], keys and values [B,heads,M,d] of a layer. shared: see `Batch`."""
    query = attn.to_q(hidden)
    if context is None:
        key, value = attn.to_k(hidden), attn.to_v(hidden)
    else:  # rows that are the same have one key and value
        text = context[::shared]
        key, value = (made.repeat_interleave(shared, 0) for made in (attn.to_k(text), attn.to_v(text)))
    return heads_apart(attn, query), heads_apart(attn, key), heads_apart(attn, value)


class MaskedAttention:
    """Processor: attention under a `Mask`.

    match: given (masked, unmasked) outputs [B,N,heads*d] before the projection, returns what replaces the masked one;
    None for nothing. The unmasked output comes from the same queries, keys and values, and carries no gradient.
    """

    def __init__(self, site: UNetSite, mask: Mask, clips: int, batch: Batch = BOTH):
        self.site, self.mask, self.batch = site, mask, batch
        self.match = match_exactly if mask.match else None

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
    ) -> torch.Tensor:
        keep = self.mask.updated(self.site, hidden_states.device)
        rows, whole = None, hidden_states  # a row without any update leaves as 0: it is left out
        if keep is not None:
            keep = keep.repeat(len(hidden_states) // len(keep), 1)[:, :, None]
            if encoder_hidden_states is None and not self.mask.acts:
                rows = self.mask.rows_updated(self.site, len(hidden_states), hidden_states.device)
            if rows is not None:
                hidden_states, keep = hidden_states.index_select(0, rows), keep.index_select(0, rows)
            # Tokens that are not kept enter as the bias of the layer norm, which is what it makes of a zeroed one.
            hidden_states = torch.where(keep, hidden_states, self.site.block.norm2.bias)
        query, key, value = projected(attn, hidden_states, encoder_hidden_states, self.batch.shared)
        result = heads_together(self.mask.attend(self.site, query, key, value))
        if self.match is not None and self.mask.acts:
            with torch.no_grad():
                unmasked = heads_together(F.scaled_dot_product_attention(query, key, value))
            result = self.match(result, unmasked)
        result = project_out(attn, result)
        result = result if keep is None else result * keep
        return result if rows is None else torch.zeros_like(whole).index_copy(0, rows, result)


class EditedAttention:
    """Processor: attention that an edit computes by itself, from queries, keys and values of both guidance halves."""

    def __init__(self, site: UNetSite, edit: Any, clips: int, batch: Batch = BOTH):
        self.site, self.edit, self.clips, self.batch = site, edit, clips, batch

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
    ) -> torch.Tensor:
        parts = projected(attn, hidden_states, encoder_hidden_states, self.batch.shared)
        return project_out(attn, heads_together(self.attended(attn, *parts)))

    def attended(self, attn: Attention, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Attention [B,heads,N,d] of the whole batch."""
        return self.edit.attend(self.site, query, key, value)


class OneHalfEdited(EditedAttention):
    """One guidance half is edited, and the other is the model's own."""

    @property
    def conditional(self) -> bool:
        return True

    def attended(self, attn: Attention, *parts: torch.Tensor) -> torch.Tensor:
        halves = zip(*(one.chunk(self.batch.halves) for one in parts), strict=True)
        return torch.cat(
            [
                self.attend(attn, *half) if conditional == self.conditional else F.scaled_dot_product_attention(*half)
                for conditional, half in zip((False, True)[-self.batch.halves :], halves, strict=True)
            ]
        )

    def attend(self, attn: Attention, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Attention [B,heads,N,d] of the edited half: by the edit itself, where it says no more."""
        return self.edit.attend(self.site, query, key, value)


class EditedMaps(OneHalfEdited):
    """The maps of one half are edited clip by clip; only they are spelled out."""

    @property
    def conditional(self) -> bool:
        return self.edit.conditional

    def attend(self, attn: Attention, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        probs = torch.softmax(query @ key.transpose(-1, -2) * attn.scale, dim=-1)
        edited = [self.edit.change(one, self.site, clip).abs() for clip, one in enumerate(probs.chunk(self.clips))]
        return torch.cat(edited).to(value.dtype) @ value


class WatchedAttention(OneHalfEdited):
    """The conditional half's maps are spelled out, and shown, while a `Watch` is on."""

    def attend(self, attn: Attention, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        if not self.edit.on:
            return F.scaled_dot_product_attention(query, key, value)
        probs = torch.softmax(query @ key.transpose(-1, -2) * attn.scale, dim=-1)
        self.edit.see(self.site, probs)
        return probs @ value
