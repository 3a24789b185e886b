"""LVD's loss on maps of text attention as pure functions: a subject's words are to be seen in its box, and not outside.

Source: the released code of LLM-grounded Video Diffusion (Lian et al., ICLR 2024; commit 22d90d2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Weights:
    """Of the loss. fg_top_p, bg_top_p: which share of a box's cells, and of those outside, are looked at: the largest.
    fg_weight, bg_weight, com: of being seen inside, of not being seen outside, and of the centres of mass."""

    fg_top_p: float
    bg_top_p: float
    fg_weight: float
    bg_weight: float
    com: float


def edges(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Boxes xyxy [...,4] in 0..1 on a map: x0, y0, x1, y1 in cells, int, within the map, perhaps turned inside out.

    The size is rounded by itself, not the far edge; halves go to the even number.
    """
    scale = np.array([width, height])
    near = np.rint(boxes[..., :2] * scale)
    far = near + np.rint((boxes[..., 2:] - boxes[..., :2]) * scale)
    return np.concatenate([np.maximum(near, 0), np.minimum(far, scale)], axis=-1).astype(int)


def cells(boxes: np.ndarray, height: int, width: int) -> torch.Tensor:
    """Which cells of a map boxes [...,4] cover: bool [...,height,width]. One under half a cell covers none, and so does
    one beyond the frame (in the release what lies left of it, or above, may cover most of the map)."""
    x0, y0, x1, y1 = torch.from_numpy(edges(boxes, height, width)).unsqueeze(-1).unbind(-2)
    rows, columns = torch.arange(height), torch.arange(width)
    down, across = (rows >= y0) & (rows < y1), (columns >= x0) & (columns < x1)
    return down[..., :, None] & across[..., None, :]


def loss(
    maps: Sequence[tuple[torch.Tensor, tuple[int, int]]],
    boxes: np.ndarray,
    tokens: Sequence[Sequence[int]],
    weights: Weights,
) -> torch.Tensor:
    """The mean over maps and subjects, of each the mean over its tokens, of sums over frames and heads: 0-dim.

    Args:
        maps: probabilities [F,heads,cells,L], and rows and columns, of each layer.
        boxes: [K,F,4] xyxy in 0..1, zeros where a subject is absent. tokens: of each subject.
    Returns:
        At least float32.
    """
    total: torch.Tensor | int = 0
    for probs, grid in maps:
        for track, own in zip(boxes, tokens, strict=True):
            inside = cells(track, *grid).to(probs.device)
            wide = probs[..., list(own)].to(torch.promote_types(probs.dtype, torch.float32))
            of_tokens = wide.permute(3, 0, 1, 2).unflatten(-1, grid)
            total = total + _energy(of_tokens, inside, weights) / len(own)
    return torch.as_tensor(total / (len(maps) * len(boxes)))


def _energy(maps: torch.Tensor, inside: torch.Tensor, weights: Weights) -> torch.Tensor:
    """Of one subject on one map: [tokens,F,heads,h,w], and its cells bool [F,h,w]."""
    place = inside[:, None]
    fg = 1 - _top(maps * place, inside.sum((1, 2)), weights.fg_top_p)
    bg = _top(maps * ~place, (~inside).sum((1, 2)), weights.bg_top_p)
    total = (weights.fg_weight * fg + weights.bg_weight * bg).sum()
    return total + weights.com * _off_centre(maps, inside) if weights.com > 0 else total


def _top(maps: torch.Tensor, count: torch.Tensor, share: float) -> torch.Tensor:
    """Mean [tokens,F,heads] of the largest cells of maps [tokens,F,heads,h,w]: a share of `count` [F], at least one."""
    # As released the share is taken in float32, and cut to a whole number.
    most = torch.clamp((count.float() * share).long(), min=1)[:, None, None]
    ranked = maps.flatten(-2).sort(dim=-1, descending=True).values
    counts = torch.arange(ranked.shape[-1], device=maps.device) < most
    return (ranked * counts).sum(-1) / most[..., 0]


def _off_centre(maps: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Squared distances, in cells, of the maps' centres of mass from the box's, and of their moves to the next frame
    from its move; frames without the box have none."""
    there = inside.any((1, 2))
    wanted = _centre(torch.where(there[:, None, None], inside, True).to(maps.dtype))
    apart = _centre(maps) - wanted[:, None]
    still = apart.square().sum(-1).mean(-1) * there
    moving = (apart[:, 1:] - apart[:, :-1]).square().sum(-1).mean(-1) * (there[1:] & there[:-1])
    return still.sum() + moving.sum()


def _centre(maps: torch.Tensor) -> torch.Tensor:
    """Centres of mass (row, column) [...,2] of maps [...,h,w], in cells from 0."""
    height, width = maps.shape[-2:]
    mass = maps.sum((-2, -1))
    rows, columns = (torch.arange(side, device=maps.device, dtype=maps.dtype) for side in (height, width))
    return torch.stack([(maps.sum(-1) * rows).sum(-1) / mass, (maps.sum(-2) * columns).sum(-1) / mass], dim=-1)
