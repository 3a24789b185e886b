"""Direct-a-Video's masks of text attention as pure functions: words amplified in their boxes, and hidden outside.

Source: the released code (Yang et al., SIGGRAPH 2024; commit fa3ff99). Boxes become masks of an image, and an image's
masks those of a map: not the boxes' cells, and not their share of a cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

#: Rows, and columns, of the image that are a latent cell: the release's VAE's factor.
FACTOR = 8


@dataclass(frozen=True)
class Words:
    """Whose a clip's words are.

    spans: token positions of its K subjects, and of the background if it has words. Of subjects that share some, a
    later one has them. length, end: of the text's tokens; position of the one that ends its words: BOS, it and padding
    are never hidden. hide_others: whether the words that are nobody's are hidden everywhere.
    """

    spans: Sequence[range]
    length: int
    end: int
    hide_others: bool


def precision(boxes: np.ndarray) -> torch.dtype:
    """The release computes in the numbers that boxes are given in, and both kinds of files exist: float32 if all boxes
    are numbers of it, else float64. In the other the last digit of an edge may cut a pixel off."""
    return torch.float32 if (boxes == boxes.astype(np.float32)).all() else torch.float64


def image_masks(boxes: np.ndarray, height: int, width: int) -> torch.Tensor:
    """Boxes float64 [K,F,4] as masks bool [K+1,F,height,width] of an image, the background's (no subject) last.

    Both edges are cut to whole pixels; what is beyond the frame is left out, and a box turned inside out is empty.
    """
    edges = torch.from_numpy(boxes).to(precision(boxes))
    edges = torch.trunc(edges * torch.tensor([width, height, width, height], dtype=edges.dtype))[..., None]
    rows, columns = torch.arange(height), torch.arange(width)
    down = (rows >= edges[..., 1, :]) & (rows < edges[..., 3, :])
    across = (columns >= edges[..., 0, :]) & (columns < edges[..., 2, :])
    inside = down[..., :, None] & across[..., None, :]
    return torch.cat([inside, ~inside.any(0, keepdim=True)])


def at_level(masks: torch.Tensor, size: int) -> torch.Tensor:
    """Masks [...,H,W] at the cells of a map, size x size pixels each: float32 [...,cells], the mean of the four pixels
    at a cell's centre."""
    height, width = masks.shape[-2:]
    middle = torch.tensor([size // 2 - 1, size // 2])
    rows, columns = ((torch.arange(0, side, size)[:, None] + middle).flatten() for side in (height, width))
    four = masks[..., rows, :][..., columns].unflatten(-2, (-1, 2)).unflatten(-1, (-1, 2))
    return four.float().mean((-3, -1)).flatten(-2)


def evenness(cells: torch.Tensor) -> torch.Tensor:
    """How much a cell gains, [F,N] of masks [K+1,F,N]: 1 less the share of the frame that its mask has. Small boxes
    gain more; where boxes overlap both shares are taken off, and it may be below 0."""
    return 1 - (cells * cells.sum(-1, keepdim=True)).sum(0) / cells.shape[-1]


def logits(boxes: np.ndarray, words: Words, grid: tuple[int, int], stride: int, amplify: float) -> torch.Tensor:
    """What is added to the logits of a map's cells for each token, float64 [F,N,length]; -inf hides the token.

    A subject's tokens gain `amplify` times `evenness` in the cells that its mask fills, and are hidden from all others.
    (In the release a cell on a box's edge gains as well; it does not count, as the token is hidden from it.)

    Args:
        boxes: [K,F,4] xyxy in 0..1. grid, stride: of the map, as `Site` has them.
    """
    size = FACTOR * stride
    cells = at_level(image_masks(boxes, grid[0] * size, grid[1] * size), size).to(precision(boxes))
    gain = amplify * evenness(cells)
    bias = torch.zeros(*gain.shape, words.length, dtype=torch.float64)
    if words.hide_others:
        bias[..., 1 : words.end] = -torch.inf
    for mask, span in zip(cells, words.spans, strict=False):  # the background may have no words
        bias[..., list(span)] = torch.where(mask == 1, gain, -torch.inf)[..., None].double()
    return bias
