"""The network behind JEDi: a V-JEPA (version 1) video transformer with an attentive probe, for weights of its layout.

Bardes et al. 2024, "Revisiting Feature Prediction for Learning Visual Representations from Video". Parameters are named
as in the published files, so that those load with strict keys; at `VIT_H` this is the published network, and the pocket
lab trains it small.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from ivgbench.judges.ids import VJEPA_SIZE

#: Of the transformer; the probe's norms have torch's default.
NORM_EPS = 1e-6


class Config(NamedTuple):
    """Sizes. `size` and `patch` are (frames, height, width); the position grid is made for `size`."""

    dim: int
    depth: int
    heads: int
    size: tuple[int, int, int]
    patch: tuple[int, int, int]
    classes: int

    @property
    def grid(self) -> tuple[int, int, int]:
        frames, rows, columns = (whole // part for whole, part in zip(self.size, self.patch, strict=True))
        return frames, rows, columns


#: ViT-H/16 with the probe for Something-Something v2.
VIT_H = Config(dim=1280, depth=32, heads=16, size=VJEPA_SIZE, patch=(2, 16, 16), classes=174)


def positions(dim: int, grid: tuple[int, int, int]) -> torch.Tensor:
    """Sine-cosine positions of a grid (frames, rows, columns): [1, tokens, dim]. A third of `dim` for each axis."""
    share = math.ceil(dim / 6) * 2
    rate = 10000.0 ** -(torch.arange(share // 2, dtype=torch.float64) / (share / 2))
    places = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in grid), indexing="ij")
    turns = [place.reshape(-1, 1) * rate for place in places]
    return torch.cat([wave(turn) for turn in turns for wave in (torch.sin, torch.cos)], 1)[None, :, :dim].float()


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int) -> torch.Tensor:
    """Softmax attention of [B,N,D] on [B,M,D] with `heads` heads."""
    q, k, v = (one.unflatten(2, (heads, -1)).transpose(1, 2) for one in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class MLP(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class SelfAttention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.qkv(x).chunk(3, 2)
        return self.proj(attend(query, key, value, self.heads))


class Block(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS), nn.LayerNorm(dim, eps=NORM_EPS)
        self.attn, self.mlp = SelfAttention(dim, heads), MLP(dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class CrossAttention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q, self.kv, self.proj = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)

    def forward(self, query: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        key, value = self.kv(x).chunk(2, 2)
        return self.proj(attend(self.q(query), key, value, self.heads))


class CrossBlock(nn.Module):
    """The query is not normalised before it attends; the tokens are."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.xattn, self.mlp = CrossAttention(dim, heads), MLP(dim)

    def forward(self, query: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        query = query + self.xattn(query, self.norm1(x))
        return query + self.mlp(self.norm2(query))


class Encoder(nn.Module):
    """Normalised pixels [B,3,T,H,W] -> tokens [B,N,dim]. T, H, W: multiples of the patch."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.pos_embed = nn.Parameter(positions(config.dim, config.grid), requires_grad=False)
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv3d(3, config.dim, config.patch, config.patch)})
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.dim, eps=NORM_EPS)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = self.patch_embed["proj"](pixels)
        place: torch.Tensor = self.pos_embed
        if x.shape[2:] != self.config.grid:
            place = place.unflatten(1, self.config.grid).permute(0, 4, 1, 2, 3)
            place = F.interpolate(place, size=x.shape[2:], mode="trilinear").flatten(2).transpose(1, 2)
        x = x.flatten(2).transpose(1, 2) + place
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class Pooler(nn.Module):
    """The learned query [1,1,dim] and the block in which it looks at tokens; named as in the released weights."""

    def __init__(self, config: Config):
        super().__init__()
        self.query_tokens = nn.Parameter(torch.zeros(1, 1, config.dim))
        self.cross_attention_block = CrossBlock(config.dim, config.heads)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        query = self.query_tokens.expand(len(tokens), -1, -1)
        return self.cross_attention_block(query, tokens).squeeze(1)


class Probe(nn.Module):
    """Tokens [B,N,dim] -> one feature [B,dim]: what a learned query gathers from them. `linear` names classes."""

    def __init__(self, config: Config):
        super().__init__()
        self.pooler = Pooler(config)
        self.linear = nn.Linear(config.dim, config.classes)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.pooler(tokens)


class VideoTransformer(nn.Module):
    """Encoder and probe: normalised pixels [B,3,T,H,W] -> features [B,dim]."""

    def __init__(self, config: Config):
        super().__init__()
        self.encoder, self.probe = Encoder(config), Probe(config)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.probe(self.encoder(pixels))
