"""TrailBlazer's attention edits and its composition as pure functions (Ma et al. 2024, arXiv 2401.00896).

They follow the released code (commit de2696e) where it differs from the paper.
The maps, their window and the constants are float16 whatever the attention is in: that is the release's arithmetic,
and these functions meet it bit for bit. The caller takes the absolute value of what they return, as the release does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import torch

from ivgbench.errors import UserError

MARGIN = 0.01


def region(box: np.ndarray, height: int, width: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) in cells, right and bottom exclusive, of a box xyxy in 0..1; may be empty.

    A box of zeros stands for a frame without a box: its region is empty.

    Raises:
        UserError: a box so narrow, or so far outside, that its region has a negative size.
    """
    if not np.any(box):
        return 0, 0, 0, 0
    left, top = (int((box[side] + MARGIN) * size) for side, size in ((0, width), (1, height)))
    right, bottom = (int((box[side] - MARGIN) * size) for side, size in ((2, width), (3, height)))
    if right < left or bottom < top or min(left, top) < 0 or right > width or bottom > height:
        spelled = ", ".join(f"{value:g}" for value in box)
        raise UserError(f"trailblazer: the box [{spelled}] has no region on a {width} x {height} map; use a wider one")
    return left, top, right, bottom


def window(height: int, width: int) -> torch.Tensor:
    """The bell over a region of height x width cells: float16, its largest value 1; odd sizes are not symmetric."""

    def axis(count: int) -> torch.Tensor:
        return (torch.linspace(0, count, count, dtype=torch.float32) - count // 2) / (count / 3)

    bell = torch.exp(-(axis(height)[:, None].square() + axis(width)[None, :].square()) / 2)
    return (bell / bell.max()).to(torch.float16)


def peak_map(box: np.ndarray, height: int, width: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """A frame's window in place: float16 [height,width], 0 outside the region, all 0 where the region is empty."""
    left, top, right, bottom = region(box, height, width)
    full = torch.zeros(height, width, dtype=torch.float16)
    if right > left and bottom > top:
        full[top:bottom, left:right] = window(bottom - top, right - left)
    return full.to(device)


def spatial_edit(
    probs: torch.Tensor, boxes: np.ndarray, tokens: Iterable[int], strengthen: float, weaken: float
) -> torch.Tensor:
    """Text attention pulled into the boxes: for the given tokens P' = P (1 inside, weaken outside) + strengthen M.

    M = window x the largest value of all of `probs`, inside the frame's region. No renormalisation.

    Args:
        probs: [F*heads,H,W,L] after softmax, heads fastest; the conditional half only.
        boxes: [F,4] xyxy in 0..1.
        tokens: positions in 0..L-1.
    """
    height, width = probs.shape[1:3]
    boxes = np.asarray(boxes, dtype=np.float64)
    heads = len(probs) // len(boxes)
    windows = torch.stack([peak_map(box, height, width, probs.device) for box in boxes])
    maps = windows.repeat_interleave(heads, 0)[..., None] * probs.max()
    return _apply(probs, maps, strengthen, weaken, sorted(set(tokens)))


def temporal_edit(probs: torch.Tensor, boxes: np.ndarray, strengthen: float, weaken: float) -> torch.Tensor:
    """Attention between frames pulled onto the boxes' path: P' = P (1 where M != 0, weaken elsewhere) + strengthen M.

    For frames i (query) and j (key), d = |i-j|/F: M is window_i x max shifted down by d x max in the region of box i,
    then the same of box j over it. M is negative where the window is below d.

    Args:
        probs: [heads,H,W,F,F] after softmax, (query frame, key frame); one half only.
        boxes: [F,4] xyxy in 0..1.
    """
    boxes = np.asarray(boxes, dtype=np.float64)
    frames, (height, width) = len(boxes), probs.shape[1:3]
    windows = torch.stack([peak_map(box, height, width, probs.device) for box in boxes])
    inside = torch.zeros(frames, height, width, dtype=torch.bool)
    for frame, box in enumerate(boxes):
        left, top, right, bottom = region(box, height, width)
        inside[frame, top:bottom, left:right] = True
    inside = inside.to(probs.device)
    scaled = windows * probs.max()
    # The release takes the largest value over the region, which is what it is over the frame: windows are positive.
    lowered = scaled - scaled.amax(dim=(1, 2), keepdim=True)
    maps = torch.zeros(frames, frames, height, width, dtype=torch.float16, device=probs.device)
    for distance in range(frames):
        share = distance / frames
        shifted = lowered * share + scaled * (1 - share)
        for i in range(frames):
            for j in {i - distance, i + distance} & set(range(frames)):
                first = torch.where(inside[i], shifted[i], 0)
                maps[i, j] = torch.where(inside[j], shifted[j], first)
    return _apply(probs, maps.permute(2, 3, 0, 1), strengthen, weaken, None)


def compose(
    latents: torch.Tensor,
    subjects: Sequence[torch.Tensor],
    boxes: np.ndarray,
    weight: float,
    rows: Literal["official", "intent"] = "official",
) -> torch.Tensor:
    """One blend of several subjects: y[region] = weight x[region] + (1-weight) subject[region], later subjects on top.

    Args:
        latents: x, [1,C,F,h,w], the joint run after its step i.
        subjects: K latents [1,C,F,h,w], each subject's own run after its step i.
        boxes: [K,F,4] xyxy in 0..1.
        weight: i/N for step i of N integration steps, 0 at first.
        rows: "official": rows are computed with the width, as released; "intent": with the height.
    """
    height, width = latents.shape[-2:]
    boxes = np.asarray(boxes, dtype=np.float64)
    blended = latents.clone()
    sizes = np.array([width, height if rows == "intent" else width])
    for subject, track in zip(subjects, boxes, strict=True):
        for frame, box in enumerate(track):
            left, top = np.maximum(np.trunc((box[:2] + MARGIN) * sizes).astype(int) - 1, 0)
            right, bottom = np.maximum(np.trunc((box[2:] - MARGIN) * sizes).astype(int), 0)
            where = (..., frame, slice(top, bottom), slice(left, right))
            blended[where] = weight * latents[where] + (1 - weight) * subject[where].to(latents)
    return blended


def _apply(
    probs: torch.Tensor, maps: torch.Tensor, strengthen: float, weaken: float, tokens: list[int] | None
) -> torch.Tensor:
    factor = torch.where(maps != 0, 1.0, weaken).to(torch.float16)
    if tokens is None:
        return (probs * factor + maps * strengthen).to(probs.dtype)
    edited = probs.clone()
    # Half precision of two kinds makes float32: bfloat16 probabilities must come back as they were.
    edited[..., tokens] = (probs[..., tokens] * factor + maps * strengthen).to(probs.dtype)
    return edited
