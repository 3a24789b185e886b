"""Positions of a DiT's tokens that follow a box: DiTraj's spatial-temporal decoupled RoPE (arXiv 2509.21839).

The box's tokens of every frame get the rows and columns of the box in one frame, so that they lie at one place for the
network, whatever moves. Tokens outside that then share a position with them are redundant.
"""

from __future__ import annotations

from typing import Literal

import torch

from ivgbench.errors import UserError
from ivgbench.generator.edits.masked import Rule

BoxEnd = Literal["official", "inclusive"]
#: Groups of tokens in `isolated`.
FREE, INSIDE, REDUNDANT = 0, 1, 2


def decoupled(cells: torch.Tensor, box_end: BoxEnd = "official") -> torch.Tensor:
    """Position of each token: int64 [f,h,w,3], (frame, row, column).

    The place of reference is the frame with the smallest box, the first of them. Where a frame's box has other sides,
    its rows are spread evenly over those of the reference, rounded to the nearest (halves to even), columns alike.

    Args:
        cells: bool [f,h,w], one box in each frame.
        box_end: "official": the box's last row and column keep their own positions, as released: the code takes the
            last covered cell for the first that is not; "inclusive": they follow with the rest.
    Raises:
        UserError: a frame without a box, or with one that has no row or column left.
    """
    sides = [_sides(frame, number, box_end) for number, frame in enumerate(cells)]
    areas = [(bottom - top) * (right - left) for top, bottom, left, right in sides]
    thin = [number for number, area in enumerate(areas) if area == 0]
    if thin and len(thin) < len(areas):
        raise UserError(
            f"ditraj: the box of latent frame {thin[0]} is one token thin, and its last row and column are left out as "
            f"released: use larger boxes, or box_end 'inclusive'"
        )
    reference = sides[areas.index(min(areas))]
    frames, height, width = cells.shape
    grid = torch.meshgrid(*(torch.arange(size) for size in (frames, height, width)), indexing="ij")
    positions = torch.stack(grid, dim=-1)
    for number, (top, bottom, left, right) in enumerate(sides):
        rows = _spread(reference[0], reference[1], bottom - top)
        columns = _spread(reference[2], reference[3], right - left)
        positions[number, top:bottom, left:right, 1] = rows[:, None]
        positions[number, top:bottom, left:right, 2] = columns
    return positions


def _sides(frame: torch.Tensor, number: int, box_end: BoxEnd) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of a frame's box, ends exclusive."""
    if not frame.any():
        raise UserError(f"ditraj: latent frame {number} has no box, or one that covers no token; every frame needs one")
    last = box_end == "inclusive"
    rows, columns = (frame.any(dim).nonzero()[:, 0].tolist() for dim in (1, 0))
    return rows[0], rows[-1] + last, columns[0], columns[-1] + last


def _spread(first: int, stop: int, count: int) -> torch.Tensor:
    """`count` whole numbers from `first` to `stop` - 1."""
    if count == stop - first:
        return torch.arange(first, stop)
    return first + torch.linspace(0, stop - first - 1, count, dtype=torch.float32).round().long()


def isolated(cells: torch.Tensor, positions: torch.Tensor) -> Rule:
    """Self-attention over the whole clip: redundant tokens and the box's do not see each other; all else is free.

    Args:
        cells: bool [f,h,w]. positions: as `decoupled` gives them.
    """
    _, same, counts = positions.flatten(0, 2).unique(dim=0, return_inverse=True, return_counts=True)
    redundant = (counts[same] > 1).view(cells.shape) & ~cells
    labels = torch.full(cells.shape, FREE)
    labels[cells], labels[redundant] = INSIDE, REDUNDANT
    sees = torch.ones(3, 3, dtype=torch.bool)
    sees[INSIDE, REDUNDANT] = sees[REDUNDANT, INSIDE] = False
    return Rule(labels, sees=sees)


def own_prompts(cells: torch.Tensor, length: int) -> Rule:
    """Text attention over two prompts of `length` tokens each, the background's then the subject's: each its own."""
    return Rule(cells.long(), keys=torch.arange(2).repeat_interleave(length), sees=torch.eye(2, dtype=torch.bool))
