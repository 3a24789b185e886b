"""Which attention is where in a UNet3DConditionModel, attention with a mask, and putting processors on and off again.

Layout of what a processor sees, for N clips of F frames and a map of h x w cells at the layer's level:
spatial [2NF, hw, C], rows (half, clip, frame); temporal [2N hw, F, C], rows (half, clip, cell). The first half is the
unconditional one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import UNet3DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention

from ivgbench.errors import UserError

#: Added to the logit of a pair that may not attend, as in the released Peekaboo. Finite on purpose: a row in which
#: every pair is forbidden is ordinary attention then, where -inf would give NaN.
FORBIDDEN = -10000.0


@dataclass(frozen=True, eq=False)
class Site:
    """One attention layer.

    name: its key in `unet.attn_processors`; place: "in" (transformer_in), "down", "mid" or "up";
    temporal: over the frames of a cell, not over the cells of a frame; role: "attn1", or "attn2", which reads the text
    where spatial and is a second self-attention where temporal; depth: how often the map was halved before it;
    block: the transformer block around it.
    """

    name: str
    place: str
    temporal: bool
    role: str
    depth: int
    block: BasicTransformerBlock


def sites(unet: UNet3DConditionModel) -> list[Site]:
    """Every attention layer of the denoiser, in the model's order."""
    found = []
    for name in unet.attn_processors:
        role = name.split(".")[-2]
        place = name.split(".")[0].removesuffix("_blocks").removesuffix("_block").removeprefix("transformer_")
        temporal = place == "in" or ".temp_attentions." in name
        last = len(unet.config.down_block_types) - 1
        number = int(name.split(".")[1]) if place in ("down", "up") else 0
        depth = {"in": 0, "down": number, "mid": last, "up": last - number}[place]
        found.append(Site(name, place, temporal, role, depth, unet.get_submodule(name.rsplit(".", 2)[0])))
    return found


@dataclass(frozen=True)
class Level:
    """The map of one resolution of the denoiser: its cells, and how many latent cells apart its picks are."""

    height: int
    width: int
    stride: int


def levels(unet: UNet3DConditionModel, height: int, width: int) -> dict[int, Level]:
    """Number of cells of a map -> its Level, for latents of height x width cells; each level halves, rounding up."""
    found: dict[int, Level] = {}
    stride = 1
    for _ in unet.config.down_block_types:
        found.setdefault(height * width, Level(height, width, stride))
        height, width, stride = -(-height // 2), -(-width // 2), stride * 2
    return found


@contextmanager
def attached(unet: UNet3DConditionModel, processors: dict[str, Any]) -> Iterator[None]:
    """While open, the named layers run the given processors; afterwards the model's own are back, whatever happened."""
    if not processors:
        yield
        return
    before = dict(unet.attn_processors)
    if unknown := processors.keys() - before.keys():
        raise KeyError(f"no attention layer named {sorted(unknown)[0]}")
    try:
        # set_attn_processor empties the dict it is given: always hand it a copy.
        unet.set_attn_processor({**before, **processors})
        yield
    finally:
        unet.set_attn_processor(dict(before))


def required(processors: dict[str, Any], method: str, what: str) -> dict[str, Any]:
    """The processors, or UserError if there is none: a mask that touches no layer must not pass for a result."""
    if not processors:
        raise UserError(f"{method}: the backbone has no layer for {what}, nothing would be masked; use another scope")
    return processors


def heads_apart(attn: Attention, tensor: torch.Tensor) -> torch.Tensor:
    """[B,N,heads*d] -> [B,heads,N,d]."""
    return tensor.unflatten(-1, (attn.heads, -1)).transpose(1, 2)


def heads_together(tensor: torch.Tensor) -> torch.Tensor:
    """[B,heads,N,d] -> [B,N,heads*d]."""
    return tensor.transpose(1, 2).flatten(2)


def project_out(attn: Attention, tensor: torch.Tensor) -> torch.Tensor:
    """The layer's output projection (and its dropout, idle in eval mode)."""
    return attn.to_out[1](attn.to_out[0](tensor))


def attend(
    attn: Attention,
    hidden: torch.Tensor,
    context: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    match: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    multiply: bool = False,
) -> torch.Tensor:
    """The layer's attention with a bias added to its logits, or with its logits multiplied by it.

    Args:
        hidden: [B,N,C]; context: [B,M,C'], or None for self-attention.
        bias: [b,N,M] with b dividing B: the same for each of the B/b parts (the guidance halves) and all heads.
        match: given (masked, unmasked) outputs [B,N,heads*d] before the projection, returns what replaces the masked
            one. The unmasked output comes from the same queries, keys and values, and carries no gradient.
        multiply: the bias is a factor of the logits: softmax((QK^T/sqrt(d)) * bias) V.
    """
    context = hidden if context is None else context
    query, key, value = (
        heads_apart(attn, projected) for projected in (attn.to_q(hidden), attn.to_k(context), attn.to_v(context))
    )
    result = heads_together(_softmax_attention(query, key, value, bias, multiply))
    if match is not None:
        with torch.no_grad():
            unmasked = heads_together(_softmax_attention(query, key, value, None))
        result = match(result, unmasked)
    return project_out(attn, result)


def _softmax_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor | None, multiply: bool = False
) -> torch.Tensor:
    if bias is None:
        return F.scaled_dot_product_attention(query, key, value)
    parts = zip(*(tensor.split(len(bias)) for tensor in (query, key, value)), strict=True)
    if multiply:
        scale = query.shape[-1] ** -0.5
        return torch.cat([torch.softmax(q @ k.transpose(-1, -2) * scale * bias[:, None], -1) @ v for q, k, v in parts])
    return torch.cat([F.scaled_dot_product_attention(*part, attn_mask=bias[:, None]) for part in parts])


class MaskedAttention:
    """Attention under a mask whose shape depends on the level.

    Args:
        bias: cells of the level -> [b,N,M] for `attend`, or None.
        keep: cells of the level -> bool [b,N], or None. Rows that are not kept enter as `blank` (the bias of the
            layer norm, which is what that norm makes of a zeroed row) and leave as 0: they get no update.
        temporal: whether the layer's sequence is the frames of a cell.
        clips: number N of clips in the batch.
        multiply: the bias is a factor of the logits, see `attend`.
    """

    def __init__(
        self,
        clips: int,
        temporal: bool,
        bias: Callable[[int], torch.Tensor | None] | None = None,
        keep: Callable[[int], torch.Tensor | None] | None = None,
        blank: torch.Tensor | None = None,
        match: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
        multiply: bool = False,
    ):
        self.clips, self.temporal, self.bias = clips, temporal, bias
        self.keep, self.blank, self.match, self.multiply = keep, blank, match, multiply

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
    ) -> torch.Tensor:
        cells = hidden_states.shape[0] // (2 * self.clips) if self.temporal else hidden_states.shape[1]
        bias = None if self.bias is None else self.bias(cells)
        keep = None if self.keep is None else self.keep(cells)
        match = None if bias is None else self.match
        if keep is None:
            return attend(attn, hidden_states, encoder_hidden_states, bias, match, self.multiply)
        kept = keep.repeat(len(hidden_states) // len(keep), 1)[:, :, None]
        shown = torch.where(kept, hidden_states, self.blank)
        return attend(attn, shown, encoder_hidden_states, bias, match, self.multiply) * kept
